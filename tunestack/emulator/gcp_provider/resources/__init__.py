"""The resource types that the stand-in serves: one table each."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.resources import (
    artifact_registry,
    bigquery,
    billing,
    kms,
    logging,
    monitoring,
    projects,
    pubsub,
    quotas,
    secret_manager,
    service_account,
    storage,
    vertex,
)
from tunestack.emulator.gcp_provider.resources.project_service import PROJECT_SERVICE
from tunestack.emulator.gcp_provider.resources.storage_bucket import BUCKET
from tunestack.emulator.gcp_provider.resources.storage_bucket_object import BUCKET_OBJECT
from tunestack.emulator.gcp_provider.resources.vertex_endpoint import ENDPOINT, ENDPOINT_POLICIES
from tunestack.emulator.gcp_provider.schema import ResourceType

TYPES: dict[str, ResourceType] = {
    resource.name: resource
    for resource in (
        *artifact_registry.TYPES,
        *bigquery.TYPES,
        *billing.TYPES,
        *kms.TYPES,
        *logging.TYPES,
        *monitoring.TYPES,
        *projects.TYPES,
        PROJECT_SERVICE,
        *pubsub.TYPES,
        *quotas.TYPES,
        *secret_manager.TYPES,
        *service_account.TYPES,
        BUCKET,
        BUCKET_OBJECT,
        *storage.TYPES,
        ENDPOINT,
        *ENDPOINT_POLICIES,
        *vertex.TYPES,
    )
}
