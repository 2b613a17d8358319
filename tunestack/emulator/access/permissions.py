"""The permission that a method of Google's asks for, by a rule with exceptions.

Google names a permission ``<service>.<collection>.<verb>`` after the method: the last collection of its id, ``update``
for patches, ``create`` for inserts. A method that nobody wrote down here gets its permission by that rule, so a new
service needs no entry. Exceptions are those of cloud.google.com/iam/docs/permissions-reference as of 2026-11; where
the reference names none (long-running operations are read with the permission to read what they work on) it is ours.
"""

from __future__ import annotations

import re

SERVICES = {"cloudresourcemanager": "resourcemanager", "billingbudgets": "billing", "iamcredentials": "iam"}
"""The service's name in permissions, where it is not that of the API."""

_VERBS = {"patch": "update", "insert": "create", "aggregatedList": "list", "undelete": "update"}

# Method id without `projects.` and `locations.` -> permission.
EXCEPTIONS = {
    # Vertex AI
    "aiplatform.endpoints.deployModel": "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.mutateDeployedModel": "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.undeployModel": "aiplatform.endpoints.undeploy",
    "aiplatform.endpoints.countTokens": "aiplatform.endpoints.predict",
    "aiplatform.endpoints.computeTokens": "aiplatform.endpoints.predict",
    "aiplatform.endpoints.fetchPredictOperation": "aiplatform.endpoints.predict",
    "aiplatform.publishers.models.countTokens": "aiplatform.endpoints.predict",
    "aiplatform.publishers.models.computeTokens": "aiplatform.endpoints.predict",
    "aiplatform.publishers.models.get": "aiplatform.models.get",
    "aiplatform.publishers.models.list": "aiplatform.models.list",
    "aiplatform.models.copy": "aiplatform.models.upload",
    "aiplatform.models.listVersions": "aiplatform.models.list",
    "aiplatform.models.listCheckpoints": "aiplatform.models.get",
    "aiplatform.models.deleteVersion": "aiplatform.models.delete",
    "aiplatform.models.mergeVersionAliases": "aiplatform.models.update",
    "aiplatform.models.updateExplanationDataset": "aiplatform.models.update",
    "aiplatform.models.evaluations.import": "aiplatform.modelEvaluations.import",
    "aiplatform.models.evaluations.get": "aiplatform.modelEvaluations.get",
    "aiplatform.models.evaluations.list": "aiplatform.modelEvaluations.list",
    "aiplatform.pipelineJobs.batchCancel": "aiplatform.pipelineJobs.cancel",
    "aiplatform.pipelineJobs.batchDelete": "aiplatform.pipelineJobs.delete",
    "aiplatform.tuningJobs.rebaseTunedModel": "aiplatform.tuningJobs.create",
    "aiplatform.evaluateInstances": "aiplatform.locations.evaluateInstances",
    "aiplatform.evaluateDataset": "aiplatform.locations.evaluateInstances",
    "aiplatform.generateInstanceRubrics": "aiplatform.locations.evaluateInstances",
    "aiplatform.get": "aiplatform.locations.get",
    "aiplatform.list": "aiplatform.locations.list",
    "aiplatform.tensorboards.batchRead": "aiplatform.tensorboardTimeSeries.batchRead",
    "aiplatform.tensorboards.experiments.batchCreate": "aiplatform.tensorboardTimeSeries.batchCreate",
    "aiplatform.tensorboards.experiments.write": "aiplatform.tensorboardExperiments.write",
    "aiplatform.tensorboards.experiments.runs.batchCreate": "aiplatform.tensorboardRuns.batchCreate",
    "aiplatform.tensorboards.experiments.runs.write": "aiplatform.tensorboardRuns.write",
    # Cloud Storage
    "storage.objects.rewrite": "storage.objects.create",
    "storage.objects.copy": "storage.objects.create",
    "storage.objects.compose": "storage.objects.create",
    "storage.objects.bulkRestore": "storage.objects.restore",
    "storage.objects.watchAll": "storage.buckets.update",
    "storage.buckets.lockRetentionPolicy": "storage.buckets.update",
    "storage.buckets.getStorageLayout": "storage.objects.list",
    "storage.serviceAccount.get": "resourcemanager.projects.get",
    # IAM
    "iam.serviceAccounts.patch": "iam.serviceAccounts.update",
    "iam.serviceAccounts.keys.create": "iam.serviceAccountKeys.create",
    "iam.serviceAccounts.keys.delete": "iam.serviceAccountKeys.delete",
    "iam.serviceAccounts.keys.get": "iam.serviceAccountKeys.get",
    "iam.serviceAccounts.keys.list": "iam.serviceAccountKeys.list",
    "iam.serviceAccounts.undelete": "iam.serviceAccounts.undelete",
    "iam.roles.undelete": "iam.roles.undelete",
    "iamcredentials.serviceAccounts.generateAccessToken": "iam.serviceAccounts.getAccessToken",
    "iamcredentials.serviceAccounts.generateIdToken": "iam.serviceAccounts.getOpenIdToken",
    # Cloud Quotas, Service Usage
    "cloudquotas.services.quotaInfos.get": "cloudquotas.quotas.get",
    "cloudquotas.services.quotaInfos.list": "cloudquotas.quotas.get",
    "cloudquotas.quotaPreferences.create": "cloudquotas.quotas.update",
    "cloudquotas.quotaPreferences.patch": "cloudquotas.quotas.update",
    "cloudquotas.quotaPreferences.get": "cloudquotas.quotas.get",
    "cloudquotas.quotaPreferences.list": "cloudquotas.quotas.get",
    "serviceusage.services.batchEnable": "serviceusage.services.enable",
    "serviceusage.services.batchGet": "serviceusage.services.get",
    "serviceusage.services.consumerQuotaMetrics.get": "serviceusage.quotas.get",
    "serviceusage.services.consumerQuotaMetrics.list": "serviceusage.quotas.get",
    "serviceusage.services.consumerQuotaMetrics.limits.get": "serviceusage.quotas.get",
    **{
        f"serviceusage.services.consumerQuotaMetrics.limits.consumerOverrides.{verb}": f"serviceusage.quotas.{right}"
        for verb, right in (("create", "update"), ("delete", "update"), ("list", "get"), ("patch", "update"))
    },
    # KMS
    "cloudkms.keyRings.cryptoKeys.encrypt": "cloudkms.cryptoKeyVersions.useToEncrypt",
    "cloudkms.keyRings.cryptoKeys.decrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
    "cloudkms.keyRings.cryptoKeys.updatePrimaryVersion": "cloudkms.cryptoKeys.update",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.asymmetricDecrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.asymmetricSign": "cloudkms.cryptoKeyVersions.useToSign",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.macSign": "cloudkms.cryptoKeyVersions.useToSign",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.macVerify": "cloudkms.cryptoKeyVersions.useToVerify",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.getPublicKey": "cloudkms.cryptoKeyVersions.viewPublicKey",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.rawEncrypt": "cloudkms.cryptoKeyVersions.useToEncrypt",
    "cloudkms.keyRings.cryptoKeys.cryptoKeyVersions.rawDecrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
    "cloudkms.generateRandomBytes": "cloudkms.locations.generateRandomBytes",
    # Logging, Monitoring
    "logging.entries.write": "logging.logEntries.create",
    "logging.entries.list": "logging.logEntries.list",
    "logging.entries.tail": "logging.logEntries.list",
    "logging.buckets.createAsync": "logging.buckets.create",
    "logging.buckets.updateAsync": "logging.buckets.update",
    "logging.buckets.undelete": "logging.buckets.undelete",
    "logging.metrics.create": "logging.logMetrics.create",
    "logging.metrics.delete": "logging.logMetrics.delete",
    "logging.metrics.get": "logging.logMetrics.get",
    "logging.metrics.list": "logging.logMetrics.list",
    "logging.metrics.update": "logging.logMetrics.update",
    "monitoring.timeSeries.query": "monitoring.timeSeries.list",
    "monitoring.notificationChannels.verify": "monitoring.notificationChannels.update",
    # Pub/Sub
    "pubsub.subscriptions.acknowledge": "pubsub.subscriptions.consume",
    "pubsub.subscriptions.pull": "pubsub.subscriptions.consume",
    "pubsub.subscriptions.modifyAckDeadline": "pubsub.subscriptions.consume",
    "pubsub.subscriptions.seek": "pubsub.subscriptions.consume",
    "pubsub.subscriptions.modifyPushConfig": "pubsub.subscriptions.update",
    "pubsub.subscriptions.detach": "pubsub.topics.detachSubscription",
    "pubsub.topics.subscriptions.list": "pubsub.topics.get",
    "pubsub.topics.snapshots.list": "pubsub.topics.get",
    # BigQuery
    "bigquery.jobs.query": "bigquery.jobs.create",
    # Who may start jobs may see and cancel their own; of others' the service asks for bigquery.jobs.get and .update.
    "bigquery.jobs.get": "bigquery.jobs.create",
    "bigquery.jobs.cancel": "bigquery.jobs.create",
    "bigquery.jobs.getQueryResults": "bigquery.jobs.create",
    "bigquery.tabledata.list": "bigquery.tables.getData",
    "bigquery.tabledata.insertAll": "bigquery.tables.updateData",
    "bigquery.datasets.list": "bigquery.datasets.get",
    "bigquery.projects.getServiceAccount": "resourcemanager.projects.get",
    # Artifact Registry
    "artifactregistry.repositories.packages.versions.get": "artifactregistry.versions.get",
    "artifactregistry.repositories.packages.versions.batchDelete": "artifactregistry.versions.delete",
    "artifactregistry.repositories.genericArtifacts.upload": "artifactregistry.repositories.uploadArtifacts",
    "artifactregistry.repositories.kfpArtifacts.upload": "artifactregistry.repositories.uploadArtifacts",
    # Secret Manager (cloud.google.com/secret-manager/docs/access-control)
    "secretmanager.secrets.addVersion": "secretmanager.versions.add",
    # Billing (cloud.google.com/billing/docs/access-control)
    "cloudbilling.billingAccounts.get": "billing.accounts.get",
    "cloudbilling.billingAccounts.list": "billing.accounts.list",
    "cloudbilling.billingAccounts.projects.list": "billing.resourceAssociations.list",
    "cloudbilling.projects.getBillingInfo": "resourcemanager.projects.get",
    "cloudbilling.projects.updateBillingInfo": "resourcemanager.projects.createBillingAssignment",
}

FREE = frozenset({"testIamPermissions"})
"""Verbs that anyone may call: the answer itself says what the caller may do."""

# Vertex AI's nested collections carry their parent's noun in permissions.
_NESTED = {
    ("tensorboards", "experiments"): "tensorboardExperiments",
    ("experiments", "runs"): "tensorboardRuns",
    ("runs", "timeSeries"): "tensorboardTimeSeries",
    ("models", "evaluations"): "modelEvaluations",
    ("evaluations", "slices"): "modelEvaluationSlices",
}
# Services without permissions for operations of their own: they are read with the right to read what they make.
_OPERATIONS = {"artifactregistry": "artifactregistry.repositories.get"}
_PREDICTING = re.compile(
    r"aiplatform\.(endpoints|publishers\.models)\."
    r"(direct|raw|server|stream|\w*)?(Raw|Streaming)?([pP]redict\w*|[gG]enerateContent|[cC]hat\w*)"
)


def permission_of(method_id: str) -> str | None:
    """The permission that a method's caller needs on the resource that its path names; None where none is."""
    service, *parts = method_id.split(".")
    if parts[-1] in FREE:
        return None
    parts = [
        part
        for index, part in enumerate(parts)
        if not (part in ("projects", "locations") and len(parts) - index > 2)
    ]
    if parts[0] == "locations":
        parts = parts[1:] if len(parts) > 2 else parts
    short = ".".join([service, *parts])
    if short in EXCEPTIONS:
        return EXCEPTIONS[short]
    if _PREDICTING.fullmatch(short):
        return "aiplatform.endpoints.predict"
    name = SERVICES.get(service, service)
    verb = _VERBS.get(parts[-1], parts[-1])
    if "operations" in parts:
        # Read, awaited or cancelled with the right to read what the operation works on.
        owner = parts[: parts.index("operations")]
        if verb == "list" or not owner:
            return f"{name}.operations.{verb}"
        return f"{name}.{_collection(service, owner)}.get"
    if len(parts) == 1:
        return f"{name}.locations.{verb}"
    return f"{name}.{_collection(service, parts[:-1])}.{verb}"


def operation_permission(metadata_type: str, verb: str) -> str | None:
    """The permission for an operation by its metadata's type (``google.logging.v2.BucketMetadata``).

    None where the method's own is right: Vertex AI's operations are named after what they work on.
    """
    service = next(iter(metadata_type.split(".")[-3:-2]), "aiplatform")
    if service == "aiplatform":
        return None
    return _OPERATIONS.get(service, f"{service}.operations.{verb}")


def _collection(service: str, collections: list[str]) -> str:
    if service == "aiplatform" and len(collections) > 1:
        return _NESTED.get((collections[-2], collections[-1]), collections[-1])
    return collections[-1]
