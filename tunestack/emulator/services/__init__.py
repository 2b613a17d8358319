"""One file for each service of Google's; importing a file registers its handlers by method id."""

from __future__ import annotations

import importlib

SERVICES = (
    "artifact_registry",
    "artifact_registry_packages",
    "artifact_registry_uploads",
    "bigquery_datasets",
    "bigquery_jobs",
    "bigquery_rows",
    "bigquery_tables",
    "billing_budgets",
    "cloud_billing",
    "cloud_kms",
    "cloud_kms_encryption",
    "cloud_kms_versions",
    "cloud_logging",
    "cloud_logging_entries",
    "cloud_logging_exports",
    "cloud_logging_sinks",
    "cloud_quotas",
    "cloud_resource_manager",
    "iam",
    "iam_credentials",
    "iam_roles",
    "iam_service_account_keys",
    "monitoring",
    "monitoring_alerts",
    "monitoring_metrics",
    "pubsub_delivery",
    "pubsub_snapshots",
    "pubsub_subscriptions",
    "pubsub_topics",
    "secret_manager",
    "secret_manager_versions",
    "service_usage",
    "service_usage_quotas",
    "storage_acl",
    "storage_buckets",
    "storage_copies",
    "storage_hmac_keys",
    "storage_managed_folders",
    "storage_notifications",
    "storage_objects",
    "storage_soft_delete",
    "storage_uploads",
    "vertex_batch_prediction_jobs",
    "vertex_custom_jobs",
    "vertex_data_items",
    "vertex_datasets",
    "vertex_endpoint_policies",
    "vertex_endpoints",
    "vertex_evaluation",
    "vertex_evaluation_datasets",
    "vertex_evaluation_runs",
    "vertex_evaluation_sets",
    "vertex_jobs",
    "vertex_lineage",
    "vertex_metadata_nodes",
    "vertex_metadata_stores",
    "vertex_model_evaluations",
    "vertex_models",
    "vertex_operations",
    "vertex_pipeline_batches",
    "vertex_pipeline_jobs",
    "vertex_prediction",
    "vertex_publishers",
    "vertex_raw_prediction",
    "vertex_tensorboard_runs",
    "vertex_tensorboards",
    "vertex_time_series",
    "vertex_tokens",
    "vertex_tuning_jobs",
)


def register_services() -> None:
    """Import every service. A handler for a method that Google does not have is an error."""
    for service in SERVICES:
        importlib.import_module(f"{__name__}.{service}")
    from tunestack.emulator.call import HANDLERS
    from tunestack.emulator.documents import load

    unknown = sorted(set(HANDLERS) - set(load().methods))
    if unknown:
        raise ValueError(f"handlers for methods that are in no discovery document: {unknown}")
