"""What predefined roles permit, as of 2026-11-23.

Source: cloud.google.com/iam/docs/roles-permissions, by service, and cloud.google.com/storage/docs/access-control/
iam-roles. A role is written as patterns: ``aiplatform.*`` where the reference lists all permissions of a service. Where
Google's lists are longer than this table needs (the basic roles, the service agents' roles) the patterns are ours,
drawn so that they permit no administration that the role does not have. A role that is not here is kept in policies
and permits nothing.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

_PROJECT = ("resourcemanager.projects.get", "resourcemanager.projects.list")
_READ = ("*.get", "*.list", "*.search*", "*.query*", "*.read*", "*.batchRead", "*.view*")

# Bucket by bucket: what basic roles may do in one follows from the bucket's own policy (projectOwner:… and the like).
_BUCKET_BY_BUCKET = (
    "storage.objects.*",
    "storage.buckets.get",
    "storage.buckets.update",
    "storage.buckets.getIamPolicy",
    "storage.buckets.setIamPolicy",
)
_IMPERSONATION = (
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.implicitDelegation",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
)
_GOVERNMENT = (
    "*.setIamPolicy",
    "iam.roles.create",
    "iam.roles.delete",
    "iam.roles.update",
    "iam.roles.undelete",
    "resourcemanager.projects.delete",
    "resourcemanager.projects.update",
    "billing.*",
)
_KMS_USE = ("cloudkms.cryptoKeyVersions.use*", "cloudkms.cryptoKeyVersions.destroy")
_OBJECTS_READ = (
    "storage.objects.get",
    "storage.objects.list",
    "storage.folders.*",
    "storage.managedFolders.*",
)
_UPLOADS = (
    "storage.multipartUploads.create",
    "storage.multipartUploads.abort",
    "storage.multipartUploads.listParts",
)


@dataclass(frozen=True)
class Role:
    """Patterns of permissions: those that it has, without those of ``but``."""

    title: str
    has: tuple[str, ...]
    but: tuple[str, ...] = ()

    def permits(self, permission: str) -> bool:
        return _fits(permission, self.has) and not _fits(permission, self.but)


def _fits(permission: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(permission, pattern) for pattern in patterns)


def _role(title: str, *has: str, but: tuple[str, ...] = ()) -> Role:
    return Role(title, has, but)


ROLES: dict[str, Role] = {
    # Basic roles
    "roles/owner": _role("Owner", "*", but=(*_BUCKET_BY_BUCKET, *_IMPERSONATION)),
    "roles/editor": _role(
        "Editor",
        "*",
        but=(
            *_BUCKET_BY_BUCKET,
            *_IMPERSONATION,
            *_GOVERNMENT,
            *_KMS_USE,
            "secretmanager.versions.access",
        ),
    ),
    "roles/viewer": _role(
        "Viewer",
        *_READ,
        "bigquery.jobs.create",
        "bigquery.tables.getData",
        but=(*_BUCKET_BY_BUCKET, "billing.*"),
    ),
    # Vertex AI
    "roles/aiplatform.admin": _role("Vertex AI Administrator", "aiplatform.*", *_PROJECT),
    "roles/aiplatform.user": _role(
        "Vertex AI User",
        "aiplatform.*",
        *_PROJECT,
        but=("*.setIamPolicy", "aiplatform.migratableResources.migrate", "aiplatform.metadataStores.delete"),
    ),
    "roles/aiplatform.viewer": _role(
        "Vertex AI Viewer", *(f"aiplatform.{pattern}" for pattern in _READ), *_PROJECT
    ),
    "roles/aiplatform.serviceAgent": _role(
        "Vertex AI Service Agent",
        "aiplatform.*",
        "artifactregistry.repositories.*",
        "bigquery.datasets.*",
        "bigquery.jobs.*",
        "bigquery.tables.*",
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get*",
        "logging.logEntries.*",
        "monitoring.*",
        "pubsub.topics.publish",
        "storage.buckets.*",
        "storage.objects.*",
        *_PROJECT,
        but=("*.setIamPolicy",),
    ),
    "roles/aiplatform.customCodeServiceAgent": _role(
        "Vertex AI Custom Code Service Agent",
        "aiplatform.*",
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
        "bigquery.datasets.*",
        "bigquery.jobs.*",
        "bigquery.tables.*",
        "logging.logEntries.create",
        "monitoring.timeSeries.*",
        "pubsub.topics.publish",
        "storage.buckets.*",
        "storage.objects.*",
        *_PROJECT,
        but=("*.setIamPolicy",),
    ),
    "roles/aiplatform.tuningServiceAgent": _role(
        "Vertex AI Tuning Service Agent",
        "aiplatform.*",
        "storage.buckets.get",
        "storage.buckets.list",
        "storage.objects.*",
        *_PROJECT,
        but=("*.setIamPolicy",),
    ),
    # Cloud Storage
    "roles/storage.admin": _role("Storage Admin", "storage.*", *_PROJECT, but=("storage.hmacKeys.*",)),
    "roles/storage.bucketViewer": _role(
        "Storage Bucket Viewer", "storage.buckets.get", "storage.buckets.list"
    ),
    "roles/storage.objectAdmin": _role(
        "Storage Object Admin",
        "storage.objects.*",
        "storage.folders.*",
        "storage.managedFolders.*",
        "storage.multipartUploads.*",
        *_PROJECT,
    ),
    "roles/storage.objectUser": _role(
        "Storage Object User",
        *_OBJECTS_READ,
        "storage.objects.create",
        "storage.objects.createContext",
        "storage.objects.delete",
        "storage.objects.deleteContext",
        "storage.objects.move",
        "storage.objects.restore",
        "storage.objects.update",
        "storage.objects.updateContext",
        "storage.multipartUploads.*",
        *_PROJECT,
        but=("*IamPolicy",),
    ),
    "roles/storage.objectViewer": _role(
        "Storage Object Viewer",
        "storage.objects.get",
        "storage.objects.list",
        "storage.folders.get",
        "storage.folders.list",
        "storage.managedFolders.get",
        "storage.managedFolders.list",
        *_PROJECT,
    ),
    "roles/storage.objectCreator": _role(
        "Storage Object Creator",
        "storage.objects.create",
        "storage.folders.create",
        "storage.managedFolders.create",
        *_UPLOADS,
        *_PROJECT,
    ),
    "roles/storage.legacyBucketOwner": _role(
        "Storage Legacy Bucket Owner",
        "storage.buckets.get",
        "storage.buckets.getIamPolicy",
        "storage.buckets.setIamPolicy",
        "storage.buckets.update",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
        "storage.objects.move",
        "storage.objects.restore",
        "storage.objects.setRetention",
        "storage.multipartUploads.*",
    ),
    "roles/storage.legacyBucketWriter": _role(
        "Storage Legacy Bucket Writer",
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
        "storage.objects.move",
        "storage.objects.restore",
        "storage.objects.setRetention",
        "storage.multipartUploads.*",
    ),
    "roles/storage.legacyBucketReader": _role(
        "Storage Legacy Bucket Reader",
        "storage.buckets.get",
        "storage.objects.list",
        "storage.multipartUploads.list",
    ),
    "roles/storage.legacyObjectOwner": _role(
        "Storage Legacy Object Owner",
        "storage.objects.get",
        "storage.objects.getIamPolicy",
        "storage.objects.setIamPolicy",
        "storage.objects.setRetention",
        "storage.objects.overrideUnlockedRetention",
        "storage.objects.update",
    ),
    "roles/storage.legacyObjectReader": _role("Storage Legacy Object Reader", "storage.objects.get"),
    # IAM and projects
    "roles/iam.serviceAccountUser": _role(
        "Service Account User",
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_PROJECT,
    ),
    "roles/iam.serviceAccountAdmin": _role(
        "Service Account Admin",
        "iam.serviceAccounts.*",
        *_PROJECT,
        but=(*_IMPERSONATION, "iam.serviceAccounts.actAs"),
    ),
    "roles/iam.serviceAccountCreator": _role(
        "Create Service Accounts",
        "iam.serviceAccounts.create",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_PROJECT,
    ),
    "roles/iam.serviceAccountViewer": _role(
        "View Service Accounts",
        "iam.serviceAccountKeys.get",
        "iam.serviceAccountKeys.list",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.getIamPolicy",
        "iam.serviceAccounts.list",
        *_PROJECT,
    ),
    "roles/iam.serviceAccountTokenCreator": _role(
        "Service Account Token Creator",
        *_IMPERSONATION,
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_PROJECT,
    ),
    "roles/iam.serviceAccountKeyAdmin": _role(
        "Service Account Key Admin",
        "iam.serviceAccountKeys.*",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_PROJECT,
    ),
    "roles/iam.roleAdmin": _role(
        "Role Administrator", "iam.roles.*", *_PROJECT, "resourcemanager.projects.getIamPolicy"
    ),
    "roles/iam.securityReviewer": _role("Security Reviewer", "*.getIamPolicy", "*.list", "iam.roles.get"),
    "roles/iam.securityAdmin": _role(
        "Security Admin", "*.getIamPolicy", "*.setIamPolicy", "*.list", "iam.roles.*", *_PROJECT
    ),
    "roles/resourcemanager.projectIamAdmin": _role(
        "Project IAM Admin",
        *_PROJECT,
        "resourcemanager.projects.getIamPolicy",
        "resourcemanager.projects.setIamPolicy",
        "iam.policybindings.*",
    ),
    "roles/browser": _role("Browser", *_PROJECT, "resourcemanager.projects.getIamPolicy"),
    # Services and quotas
    "roles/serviceusage.serviceUsageAdmin": _role("Service Usage Admin", "serviceusage.*", *_PROJECT),
    "roles/serviceusage.serviceUsageConsumer": _role(
        "Service Usage Consumer",
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
        "serviceusage.quotas.get",
    ),
    "roles/serviceusage.serviceUsageViewer": _role(
        "Service Usage Viewer",
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.quotas.get",
    ),
    "roles/cloudquotas.admin": _role(
        "Cloud Quotas Admin",
        "cloudquotas.*",
        *_PROJECT,
        "serviceusage.services.list",
        "serviceusage.quotas.*",
    ),
    "roles/cloudquotas.viewer": _role("Cloud Quotas Viewer", "cloudquotas.quotas.get", *_PROJECT),
    # Logging and Monitoring
    "roles/logging.admin": _role("Logging Admin", "logging.*", *_PROJECT),
    "roles/logging.configWriter": _role(
        "Logs Configuration Writer",
        "logging.buckets.*",
        "logging.exclusions.*",
        "logging.links.*",
        "logging.locations.*",
        "logging.logMetrics.*",
        "logging.operations.*",
        "logging.settings.*",
        "logging.sinks.*",
        "logging.views.*",
        *_PROJECT,
    ),
    "roles/logging.logWriter": _role("Logs Writer", "logging.logEntries.create", "logging.logEntries.route"),
    "roles/logging.viewer": _role(
        "Logs Viewer",
        *(f"logging.{pattern}" for pattern in _READ),
        *_PROJECT,
        but=("logging.privateLogEntries.*",),
    ),
    "roles/monitoring.admin": _role("Monitoring Admin", "monitoring.*", *_PROJECT),
    "roles/monitoring.editor": _role("Monitoring Editor", "monitoring.*", *_PROJECT, but=("*.setIamPolicy",)),
    "roles/monitoring.viewer": _role(
        "Monitoring Viewer", *(f"monitoring.{pattern}" for pattern in _READ), *_PROJECT
    ),
    "roles/monitoring.metricWriter": _role(
        "Monitoring Metric Writer",
        "monitoring.metricDescriptors.*",
        "monitoring.monitoredResourceDescriptors.*",
        "monitoring.timeSeries.create",
    ),
    "roles/monitoring.alertPolicyEditor": _role(
        "Monitoring AlertPolicy Editor", "monitoring.alertPolicies.*"
    ),
    "roles/monitoring.notificationChannelEditor": _role(
        "Monitoring NotificationChannel Editor", "monitoring.notificationChannel*.*"
    ),
    # Pub/Sub
    "roles/pubsub.admin": _role("Pub/Sub Admin", "pubsub.*", *_PROJECT),
    "roles/pubsub.editor": _role("Pub/Sub Editor", "pubsub.*", *_PROJECT, but=("*IamPolicy",)),
    "roles/pubsub.publisher": _role("Pub/Sub Publisher", "pubsub.topics.publish"),
    "roles/pubsub.subscriber": _role(
        "Pub/Sub Subscriber",
        "pubsub.snapshots.seek",
        "pubsub.subscriptions.consume",
        "pubsub.topics.attachSubscription",
    ),
    "roles/pubsub.viewer": _role("Pub/Sub Viewer", "pubsub.*.get", "pubsub.*.list", *_PROJECT),
    # Cloud KMS
    "roles/cloudkms.admin": _role(
        "Cloud KMS Admin", "cloudkms.*", *_PROJECT, but=("cloudkms.cryptoKeyVersions.use*",)
    ),
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": _role(
        "Cloud KMS CryptoKey Encrypter/Decrypter",
        "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cloudkms.locations.*",
    ),
    "roles/cloudkms.cryptoKeyEncrypter": _role(
        "Cloud KMS CryptoKey Encrypter", "cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.locations.*"
    ),
    "roles/cloudkms.cryptoKeyDecrypter": _role(
        "Cloud KMS CryptoKey Decrypter", "cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.locations.*"
    ),
    "roles/cloudkms.viewer": _role("Cloud KMS Viewer", "cloudkms.*.get", "cloudkms.*.list", *_PROJECT),
    # Secret Manager
    "roles/secretmanager.admin": _role("Secret Manager Admin", "secretmanager.*", *_PROJECT),
    "roles/secretmanager.secretAccessor": _role(
        "Secret Manager Secret Accessor", "secretmanager.versions.access", *_PROJECT
    ),
    "roles/secretmanager.secretVersionAdder": _role(
        "Secret Manager Secret Version Adder", "secretmanager.versions.add", *_PROJECT
    ),
    "roles/secretmanager.secretVersionManager": _role(
        "Secret Manager Secret Version Manager",
        *(
            f"secretmanager.versions.{verb}"
            for verb in ("add", "destroy", "disable", "enable", "get", "list")
        ),
        *_PROJECT,
    ),
    "roles/secretmanager.viewer": _role(
        "Secret Manager Viewer",
        "secretmanager.*.get",
        "secretmanager.*.list",
        "secretmanager.secrets.getIamPolicy",
        *_PROJECT,
    ),
    # Artifact Registry
    "roles/artifactregistry.admin": _role("Artifact Registry Administrator", "artifactregistry.*", *_PROJECT),
    "roles/artifactregistry.reader": _role(
        "Artifact Registry Reader",
        "artifactregistry.*.get",
        "artifactregistry.*.list",
        "artifactregistry.*.download*",
        "artifactregistry.repositories.read*",
    ),
    "roles/artifactregistry.writer": _role(
        "Artifact Registry Writer",
        "artifactregistry.*.get",
        "artifactregistry.*.list",
        "artifactregistry.*.download*",
        "artifactregistry.repositories.read*",
        "artifactregistry.repositories.upload*",
        "artifactregistry.tags.*",
        "artifactregistry.aptartifacts.create",
    ),
    "roles/artifactregistry.repoAdmin": _role(
        "Artifact Registry Repository Administrator",
        "artifactregistry.*",
        but=("*IamPolicy", "artifactregistry.repositories.create", "artifactregistry.repositories.delete"),
    ),
    # BigQuery
    "roles/bigquery.admin": _role("BigQuery Admin", "bigquery.*", *_PROJECT),
    "roles/bigquery.dataOwner": _role(
        "BigQuery Data Owner", "bigquery.datasets.*", "bigquery.tables.*", "bigquery.routines.*", *_PROJECT
    ),
    "roles/bigquery.dataEditor": _role(
        "BigQuery Data Editor",
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.routines.*",
        "bigquery.tables.*",
        *_PROJECT,
        but=("*.setIamPolicy",),
    ),
    "roles/bigquery.dataViewer": _role(
        "BigQuery Data Viewer",
        "bigquery.datasets.get",
        "bigquery.datasets.getIamPolicy",
        "bigquery.models.*",
        "bigquery.routines.get",
        "bigquery.routines.list",
        "bigquery.tables.export",
        "bigquery.tables.get",
        "bigquery.tables.getData",
        "bigquery.tables.getIamPolicy",
        "bigquery.tables.list",
        *_PROJECT,
    ),
    "roles/bigquery.jobUser": _role("BigQuery Job User", "bigquery.jobs.create", *_PROJECT),
    "roles/bigquery.user": _role(
        "BigQuery User",
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.jobs.create",
        "bigquery.jobs.list",
        "bigquery.routines.list",
        "bigquery.tables.list",
        *_PROJECT,
    ),
    # Billing
    "roles/billing.admin": _role("Billing Account Administrator", "billing.*"),
    "roles/billing.costsManager": _role(
        "Billing Account Costs Manager", "billing.budgets.*", "billing.accounts.get"
    ),
    "roles/billing.viewer": _role("Billing Account Viewer", "billing.*.get", "billing.*.list"),
}


@cache
def permits(role: str, permission: str) -> bool:
    """Whether a predefined role has a permission; a role that is not known has none."""
    known = ROLES.get(role)
    return known is not None and known.permits(permission)
