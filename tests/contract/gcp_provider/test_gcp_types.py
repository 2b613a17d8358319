"""Every type's life against a real emulator: made, left alone, changed, drifted, taken over, replaced, deleted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tunestack.emulator.gcp_provider.resources import TYPES

Inputs = dict[str, Any]

READER = "user:reader@example.org"
WRITER = "user:writer@example.org"
DASHBOARD = (
    '{"displayName": "%s", "gridLayout": {"columns": "2", "widgets": [{"text": {"content": "hello"}}]}}'
)
KEY_RING = "projects/{project}/locations/europe-west4/keyRings/ring"


@dataclass(frozen=True)
class Case:
    """What a type's life is made of. Texts may hold ``{project}``, ``{name.property}`` of a ``need`` and ``{id}``."""

    type: str
    inputs: Inputs
    #: Changed inputs, and how each property changes; a change to None takes the input away.
    update: Inputs = field(default_factory=dict)
    updated: dict[str, str] = field(default_factory=dict)
    #: A change that makes a new resource, and the property that says so.
    replace: Inputs = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    #: What someone does behind its back: verb, path, body; and the properties that refresh finds (None: it is gone).
    drift: tuple[str, str, Any] | None = None
    found: dict[str, str] | None = None
    #: The id to import by, where it is not the resource's own.
    by: str = "{id}"
    #: Resources that must be there first, by name.
    needs: tuple[str, ...] = ()
    #: Where it lies at Google; None where nothing is ever deleted there.
    at: str | None = None
    #: Inputs that no read tells, so that an import needs an update for them.
    untold: tuple[str, ...] = ()


NEEDS: dict[str, tuple[str, Inputs]] = {
    "bucket": ("gcp:storage/bucket:Bucket", {"location": "EU", "forceDestroy": True}),
    "account": ("gcp:serviceaccount/account:Account", {"accountId": "runner-one"}),
    "ring": ("gcp:kms/keyRing:KeyRing", {"name": "ring", "location": "europe-west4"}),
    "key": ("gcp:kms/cryptoKey:CryptoKey", {"name": "key", "keyRing": KEY_RING}),
    "topic": ("gcp:pubsub/topic:Topic", {"name": "events"}),
    "subscription": ("gcp:pubsub/subscription:Subscription", {"name": "events", "topic": "events"}),
    "repository": (
        "gcp:artifactregistry/repository:Repository",
        {"repositoryId": "templates", "location": "europe-west4", "format": "KFP"},
    ),
    "endpoint": (
        "gcp:vertex/aiEndpoint:AiEndpoint",
        {"name": "4711", "location": "europe-west4", "displayName": "served"},
    ),
    "experiment": (
        "gcp:vertex/aiTensorboardExperiment:AiTensorboardExperiment",
        {"tensorboard": "{board.short}", "location": "europe-west4", "tensorboardExperimentId": "tuning"},
    ),
    "dataset": ("gcp:bigquery/dataset:Dataset", {"datasetId": "billing", "location": "EU"}),
    "secret": (
        "gcp:secretmanager/secret:Secret",
        {"secretId": "token", "replication": {"auto": {}}},
    ),
    "board": ("gcp:vertex/aiTensorboard:AiTensorboard", {"displayName": "curves", "region": "europe-west4"}),
}


def policies(
    prefix: str,
    holder: Inputs,
    need: str,
    role: str,
    read: tuple[str, str],
    write: tuple[str, str],
    **more: Any,
) -> list[Case]:
    """The three ways in which a program speaks of a policy, each drifted by someone who empties it."""
    name = prefix.rpartition("/")[2]
    cls = name[0].upper() + name[1:]
    whole = json.dumps({"bindings": [{"role": role, "members": [READER]}]})
    both = json.dumps({"bindings": [{"role": role, "members": [WRITER, READER]}]})
    policy: Any = {"bindings": []}
    # Cloud Storage takes the policy itself, BigQuery a dataset's list of accesses.
    body = {"PUT": policy, "PATCH": {"access": []}}.get(write[0], {"policy": policy})
    drift = (write[0], write[1], body)
    common: Inputs = {"needs": (need,) if need else (), "drift": drift, **more}
    return [
        Case(
            f"{prefix}Member:{cls}Member",
            {**holder, "role": role, "member": READER},
            replace={"member": WRITER},
            replaced=("member",),
            found=None,
            by=f"{{holder}} {role} {READER}",
            **common,
        ),
        Case(
            f"{prefix}Binding:{cls}Binding",
            {**holder, "role": role, "members": [READER]},
            update={"members": [READER, WRITER]},
            updated={"members[1]": "add"},
            found={"members[0]": "add", "members[1]": "add"},
            by=f"{{holder}} {role}",
            **common,
        ),
        Case(
            f"{prefix}Policy:{cls}Policy",
            {**holder, "policyData": whole},
            update={"policyData": both},
            updated={"policyData": "update"},
            found={"policyData": "update"},
            by="{holder}",
            **common,
        ),
    ]


CASES = [
    *policies(
        "gcp:storage/bucketIAM",
        {"bucket": "{bucket.name}"},
        "bucket",
        "roles/storage.objectViewer",
        ("GET", "/storage/v1/b/{bucket.name}/iam"),
        ("PUT", "/storage/v1/b/{bucket.name}/iam"),
    ),
    *policies(
        "gcp:projects/iAM",
        {"project": "{project}"},
        "",
        "roles/aiplatform.user",
        ("POST", "/v1/projects/{project}:getIamPolicy"),
        ("POST", "/v1/projects/{project}:setIamPolicy"),
    ),
    *policies(
        "gcp:serviceaccount/iAM",
        {"serviceAccountId": "{account.name}"},
        "account",
        "roles/iam.serviceAccountUser",
        ("POST", "/v1/{account.name}:getIamPolicy"),
        ("POST", "/v1/{account.name}:setIamPolicy"),
    ),
    *policies(
        "gcp:kms/keyRingIAM",
        {"keyRingId": KEY_RING},
        "ring",
        "roles/cloudkms.admin",
        ("GET", f"/v1/{KEY_RING}:getIamPolicy"),
        ("POST", f"/v1/{KEY_RING}:setIamPolicy"),
    ),
    *policies(
        "gcp:kms/cryptoKeyIAM",
        {"cryptoKeyId": f"{KEY_RING}/cryptoKeys/key"},
        "key",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        ("GET", f"/v1/{KEY_RING}/cryptoKeys/key:getIamPolicy"),
        ("POST", f"/v1/{KEY_RING}/cryptoKeys/key:setIamPolicy"),
    ),
    *policies(
        "gcp:pubsub/topicIAM",
        {"topic": "events"},
        "topic",
        "roles/pubsub.publisher",
        ("GET", "/v1/projects/{project}/topics/events:getIamPolicy"),
        ("POST", "/v1/projects/{project}/topics/events:setIamPolicy"),
    ),
    *policies(
        "gcp:pubsub/subscriptionIAM",
        {"subscription": "events"},
        "subscription",
        "roles/pubsub.subscriber",
        ("GET", "/v1/projects/{project}/subscriptions/events:getIamPolicy"),
        ("POST", "/v1/projects/{project}/subscriptions/events:setIamPolicy"),
    ),
    *policies(
        "gcp:artifactregistry/repositoryIam",
        {"repository": "templates", "location": "europe-west4"},
        "repository",
        "roles/artifactregistry.reader",
        ("GET", "/v1/{repository.name}:getIamPolicy"),
        ("POST", "/v1/{repository.name}:setIamPolicy"),
    ),
    *policies(
        "gcp:vertex/aiEndpointIam",
        {"endpoint": "4711", "location": "europe-west4"},
        "endpoint",
        "roles/aiplatform.user",
        ("POST", "/v1beta1/{endpoint.id}:getIamPolicy"),
        ("POST", "/v1beta1/{endpoint.id}:setIamPolicy"),
    ),
    *policies(
        "gcp:secretmanager/secretIam",
        {"secretId": "token"},
        "secret",
        "roles/secretmanager.secretAccessor",
        ("GET", "/v1/{secret.id}:getIamPolicy"),
        ("POST", "/v1/{secret.id}:setIamPolicy"),
    ),
    Case(
        "gcp:secretmanager/secret:Secret",
        {
            "secretId": "token",
            "replication": {"userManaged": {"replicas": [{"location": "europe-west4"}]}},
            "labels": {"team": "ml"},
            "annotations": {"of": "the hub"},
        },
        update={"versionDestroyTtl": "172800s", "annotations": {"of": "the webhook"}},
        updated={"versionDestroyTtl": "add", "annotations.of": "update"},
        replace={"replication": {"auto": {}}},
        replaced=("replication.userManaged",),
        drift=("PATCH", "/v1/{id}?updateMask=labels", {"labels": {"team": "someone"}}),
        found={"labels.team": "update"},
        by="{project}/token",
        at="/v1/{id}",
    ),
    Case(
        "gcp:secretmanager/secretVersion:SecretVersion",
        {"secret": "{secret.id}", "secretData": "hf_one", "enabled": False},
        update={"enabled": True},
        updated={"enabled": "update"},
        replace={"secretData": "hf_two"},
        replaced=("secretData",),
        drift=("POST", "/v1/{id}:disable", {}),
        found={"enabled": "update"},
        needs=("secret",),
    ),
    Case(
        "gcp:kms/keyRing:KeyRing",
        {"name": "ring", "location": "europe-west4"},
        replace={"location": "us-central1"},
        replaced=("location",),
        by="{project}/europe-west4/ring",
    ),
    Case(
        "gcp:kms/cryptoKey:CryptoKey",
        {"name": "key", "keyRing": KEY_RING, "rotationPeriod": "7776000s", "labels": {"team": "ml"}},
        update={"rotationPeriod": "2592000s", "labels": {"team": "nlp"}},
        updated={"rotationPeriod": "update", "labels.team": "update"},
        replace={"name": "another"},
        replaced=("name",),
        drift=("PATCH", f"/v1/{KEY_RING}/cryptoKeys/key?updateMask=labels", {"labels": {"team": "someone"}}),
        found={"labels.team": "update"},
        needs=("ring",),
    ),
    Case(
        "gcp:kms/cryptoKeyVersion:CryptoKeyVersion",
        {"cryptoKey": f"{KEY_RING}/cryptoKeys/key"},
        update={"state": "DISABLED"},
        updated={"state": "update"},
        drift=("PATCH", "/v1/{id}?updateMask=state", {"state": "ENABLED"}),
        found={"state": "update"},
        needs=("ring", "key"),
    ),
    Case(
        "gcp:artifactregistry/repository:Repository",
        {
            "repositoryId": "templates",
            "location": "europe-west4",
            "format": "DOCKER",
            "cleanupPolicies": [
                {"id": "old", "action": "DELETE", "condition": {"olderThan": "30d", "tagState": "UNTAGGED"}}
            ],
        },
        update={"description": "templates", "dockerConfig": {"immutableTags": True}},
        updated={"description": "add", "dockerConfig": "add"},
        replace={"format": "KFP", "dockerConfig": None, "cleanupPolicies": None},
        replaced=("format",),
        drift=("PATCH", "/v1/{id}?updateMask=description", {"description": "someone's"}),
        found={"description": "update"},
        by="{project}/europe-west4/templates",
        at="/v1/{id}",
    ),
    Case(
        "gcp:pubsub/topic:Topic",
        {"name": "events", "labels": {"team": "ml"}, "messageRetentionDuration": "86400s"},
        update={"messageRetentionDuration": "172800s", "labels": {"team": "nlp"}},
        updated={"messageRetentionDuration": "update", "labels.team": "update"},
        replace={"name": "others"},
        replaced=("name",),
        drift=(
            "PATCH",
            "/v1/{id}",
            {"topic": {"messageRetentionDuration": "600s"}, "updateMask": "messageRetentionDuration"},
        ),
        found={"messageRetentionDuration": "update"},
        by="{project}/events",
        at="/v1/{id}",
    ),
    Case(
        "gcp:pubsub/subscription:Subscription",
        {"name": "jobs", "topic": "events", "ackDeadlineSeconds": 30, "filter": 'attributes.kind = "job"'},
        update={"ackDeadlineSeconds": 60, "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"}},
        updated={"ackDeadlineSeconds": "update", "retryPolicy": "add"},
        replace={"filter": 'attributes.kind = "model"'},
        replaced=("filter",),
        drift=(
            "PATCH",
            "/v1/{id}",
            {"subscription": {"ackDeadlineSeconds": 15}, "updateMask": "ackDeadlineSeconds"},
        ),
        found={"ackDeadlineSeconds": "update"},
        needs=("topic",),
        at="/v1/{id}",
    ),
    Case(
        "gcp:billing/budget:Budget",
        {
            "billingAccount": "012345-6789AB-CDEF01",
            "displayName": "tuning",
            "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "500"}},
            "budgetFilter": {"projects": ["projects/123"], "labels": {"stack": "dev"}},
            "thresholdRules": [{"thresholdPercent": 0.5}, {"thresholdPercent": 1.0}],
        },
        update={"amount": {"specifiedAmount": {"currencyCode": "USD", "units": "800"}}},
        updated={"amount.specifiedAmount.units": "update"},
        replace={"billingAccount": "ABCDEF-ABCDEF-ABCDEF"},
        replaced=("billingAccount",),
        drift=(
            "PATCH",
            "/v1/{id}?updateMask=thresholdRules",
            {"thresholdRules": [{"thresholdPercent": 0.9, "spendBasis": "CURRENT_SPEND"}]},
        ),
        found={"thresholdRules[0].thresholdPercent": "update", "thresholdRules[1]": "add"},
        at="/v1/{id}",
    ),
    Case(
        "gcp:cloudquota/sQuotaPreference:SQuotaPreference",
        {
            "parent": "projects/{project}",
            "name": "tpu",
            "service": "aiplatform.googleapis.com",
            "quotaId": "CustomModelTrainingA10080GBGPUsPerProjectPerRegion",
            "dimensions": {"region": "europe-west4"},
            "quotaConfig": {"preferredValue": "8"},
            "contactEmail": "ml@example.org",
        },
        untold=("contactEmail",),
        update={"quotaConfig": {"preferredValue": "16"}},
        updated={"quotaConfig.preferredValue": "update"},
        drift=(
            "PATCH",
            "/v1/{id}?ignoreSafetyChecks=QUOTA_DECREASE_PERCENTAGE_TOO_HIGH&updateMask=quotaConfig",
            {"quotaConfig": {"preferredValue": "4"}},
        ),
        found={"quotaConfig.preferredValue": "update"},
    ),
    Case(
        "gcp:vertex/aiMetadataStore:AiMetadataStore",
        {"name": "experiments", "region": "europe-west4", "description": "runs"},
        replace={"description": "others"},
        replaced=("description",),
        by="projects/{project}/locations/europe-west4/metadataStores/experiments",
        at="/v1/projects/{project}/locations/europe-west4/metadataStores/experiments",
    ),
    Case(
        "gcp:vertex/aiTensorboard:AiTensorboard",
        {"displayName": "curves", "region": "europe-west4", "labels": {"team": "ml"}},
        update={"displayName": "losses"},
        updated={"displayName": "update"},
        replace={"region": "us-central1"},
        replaced=("region",),
        drift=("PATCH", "/v1/{id}?updateMask=labels", {"labels": {"team": "someone"}}),
        found={"labels.team": "update"},
        at="/v1/{id}",
    ),
    Case(
        "gcp:vertex/aiTensorboardExperiment:AiTensorboardExperiment",
        {
            "tensorboard": "{board.short}",
            "location": "europe-west4",
            "tensorboardExperimentId": "tuning",
            "displayName": "tuning",
        },
        update={"description": "all runs"},
        updated={"description": "add"},
        replace={"tensorboardExperimentId": "others"},
        replaced=("tensorboardExperimentId",),
        drift=("PATCH", "/v1/{id}?updateMask=displayName", {"displayName": "someone's"}),
        found={"displayName": "update"},
        needs=("board",),
        at="/v1/{id}",
    ),
    Case(
        "gcp:vertex/aiTensorboardRun:AiTensorboardRun",
        {
            "tensorboard": "{board.short}",
            "location": "europe-west4",
            "experiment": "tuning",
            "tensorboardRunId": "first",
            "displayName": "first run",
            "labels": {"team": "ml"},
        },
        update={"description": "90 steps"},
        updated={"description": "add"},
        replace={"tensorboardRunId": "second", "displayName": "second run"},
        replaced=("tensorboardRunId",),
        drift=("PATCH", "/v1/{id}?updateMask=displayName", {"displayName": "someone's"}),
        found={"displayName": "update"},
        needs=("experiment",),
        at="/v1/{id}",
    ),
    Case(
        "gcp:vertex/aiDataset:AiDataset",
        {
            "displayName": "support tickets",
            "region": "europe-west4",
            "metadataSchemaUri": "gs://google-cloud-aiplatform/schema/dataset/metadata/text_1.0.0.yaml",
            "labels": {"team": "ml"},
        },
        update={"displayName": "tickets"},
        updated={"displayName": "update"},
        replace={"region": "us-central1"},
        replaced=("region",),
        drift=("PATCH", "/v1/{id}?updateMask=displayName", {"displayName": "someone's"}),
        found={"displayName": "update"},
        at="/v1/{id}",
    ),
    Case(
        "gcp:vertex/aiEndpoint:AiEndpoint",
        {"name": "4712", "location": "europe-west4", "displayName": "served", "labels": {"team": "ml"}},
        update={"displayName": "tuned", "description": "answers tickets"},
        updated={"displayName": "update", "description": "add"},
        replace={"name": "4713"},
        replaced=("name",),
        drift=("PATCH", "/v1/{id}?updateMask=labels", {"labels": {"team": "someone"}}),
        found={"labels.team": "update"},
        by="{project}/europe-west4/4712",
        at="/v1/{id}",
    ),
    Case(
        "gcp:projects/iAMAuditConfig:IAMAuditConfig",
        {
            "project": "{project}",
            "service": "storage.googleapis.com",
            "auditLogConfigs": [{"logType": "DATA_READ", "exemptedMembers": [READER]}],
        },
        update={"auditLogConfigs": [{"logType": "DATA_READ"}, {"logType": "DATA_WRITE"}]},
        updated={"auditLogConfigs[0].exemptedMembers[0]": "delete", "auditLogConfigs[1]": "add"},
        replace={"service": "aiplatform.googleapis.com"},
        replaced=("service",),
        drift=(
            "POST",
            "/v1/projects/{project}:setIamPolicy",
            {"policy": {"auditConfigs": []}, "updateMask": "auditConfigs"},
        ),
        found=None,
        by="{project} storage.googleapis.com",
    ),
    Case(
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        {"roleId": "tuner", "title": "Tuner", "permissions": ["aiplatform.tuningJobs.create"]},
        update={
            "permissions": ["aiplatform.tuningJobs.create", "aiplatform.tuningJobs.get"],
            "stage": "BETA",
        },
        updated={"permissions[1]": "add", "stage": "update"},
        replace={"roleId": "tuner_two"},
        replaced=("roleId",),
        drift=("PATCH", "/v1/{id}?updateMask=includedPermissions", {"includedPermissions": []}),
        found={"permissions[0]": "add", "permissions[1]": "add"},
        by="{project}/tuner",
    ),
    Case(
        "gcp:projects/service:Service",
        {"service": "aiplatform.googleapis.com", "disableOnDestroy": True},
        replace={"service": "pubsub.googleapis.com"},
        replaced=("service",),
        drift=("POST", "/v1/projects/{project}/services/aiplatform.googleapis.com:disable", {}),
        found=None,
        untold=("disableOnDestroy",),
    ),
    Case(
        "gcp:projects/serviceIdentity:ServiceIdentity",
        {"service": "aiplatform.googleapis.com"},
        replace={"service": "pubsub.googleapis.com"},
        replaced=("service",),
    ),
    Case(
        "gcp:serviceaccount/account:Account",
        {"accountId": "runner-two", "displayName": "Runs tuning"},
        update={"displayName": "Tunes", "disabled": True},
        updated={"displayName": "update", "disabled": "update"},
        replace={"accountId": "runner-three"},
        replaced=("accountId",),
        drift=("POST", "/v1/{id}:enable", {}),
        found={"disabled": "update"},
        at="/v1/{id}",
    ),
    Case(
        "gcp:serviceaccount/key:Key",
        {"serviceAccountId": "{account.name}", "keepers": {"month": "11"}},
        replace={"keepers": {"month": "12"}},
        replaced=("keepers.month",),
        drift=("DELETE", "/v1/{id}", None),
        found=None,
        untold=("serviceAccountId", "keepers.month"),
        needs=("account",),
        at="/v1/{id}",
    ),
    Case(
        "gcp:storage/bucket:Bucket",
        {"name": "{project}-data", "location": "EU", "labels": {"team": "ml"}, "forceDestroy": True},
        update={"versioning": {"enabled": True}, "labels": {"team": "nlp"}},
        updated={"versioning": "add", "labels.team": "update"},
        replace={"location": "US"},
        replaced=("location",),
        drift=("PATCH", "/storage/v1/b/{id}", {"versioning": {"enabled": False}}),
        found={"versioning.enabled": "update"},
        untold=("forceDestroy",),
        at="/storage/v1/b/{id}",
    ),
    Case(
        "gcp:storage/bucketObject:BucketObject",
        {"bucket": "{bucket.name}", "name": "rows.jsonl", "content": "one", "metadata": {"by": "us"}},
        update={"content": "two"},
        updated={"content": "update"},
        replace={"name": "others.jsonl"},
        replaced=("name",),
        drift=("DELETE", "/storage/v1/b/{bucket.name}/o/rows.jsonl", None),
        found=None,
        untold=("content",),
        needs=("bucket",),
    ),
    Case(
        "gcp:storage/notification:Notification",
        {
            "bucket": "{bucket.name}",
            "payloadFormat": "JSON_API_V1",
            "topic": "projects/{project}/topics/events",
        },
        replace={"objectNamePrefix": "datasets/"},
        replaced=("objectNamePrefix",),
        drift=("DELETE", "/storage/v1/b/{id}", None),
        found=None,
        needs=("bucket", "topic"),
        at="/storage/v1/b/{id}",
    ),
    Case(
        "gcp:serviceusage/consumerQuotaOverride:ConsumerQuotaOverride",
        {
            "service": "aiplatform.googleapis.com",
            "metric": "aiplatform.googleapis.com%2Fglobal_concurrent_tuning_jobs",
            "limit": "%2Fproject",
            "overrideValue": "1",
            "force": True,
        },
        update={"overrideValue": "0"},
        updated={"overrideValue": "update"},
        untold=("force",),
    ),
    Case(
        "gcp:monitoring/alertPolicy:AlertPolicy",
        {
            "displayName": "red jobs",
            "combiner": "OR",
            "conditions": [
                {
                    "displayName": "a job failed",
                    "conditionThreshold": {
                        "filter": 'metric.type="logging.googleapis.com/user/red" resource.type="global"',
                        "comparison": "COMPARISON_GT",
                        "duration": "0s",
                        "thresholdValue": 0.5,
                        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_RATE"}],
                    },
                }
            ],
            "userLabels": {"team": "ml"},
        },
        update={"documentation": {"content": "look at the job"}, "severity": "WARNING"},
        updated={"documentation": "add", "severity": "add"},
        drift=("PATCH", "/v3/{id}?updateMask=enabled", {"enabled": False}),
        found={"enabled": "update"},
        at="/v3/{id}",
    ),
    Case(
        "gcp:monitoring/notificationChannel:NotificationChannel",
        {"type": "email", "displayName": "us", "labels": {"email_address": "ml@example.org"}},
        update={"displayName": "the team", "userLabels": {"team": "ml"}},
        updated={"displayName": "update", "userLabels.team": "add"},
        drift=("PATCH", "/v3/{id}?updateMask=enabled", {"enabled": False}),
        found={"enabled": "update"},
        at="/v3/{id}",
    ),
    Case(
        "gcp:monitoring/metricDescriptor:MetricDescriptor",
        {
            "type": "custom.googleapis.com/tuning/loss",
            "metricKind": "GAUGE",
            "valueType": "DOUBLE",
            "displayName": "loss",
            "labels": [{"key": "job", "valueType": "STRING", "description": "its name"}],
        },
        update={"description": "of the training set"},
        updated={"description": "add"},
        replace={"type": "custom.googleapis.com/tuning/reward"},
        replaced=("type",),
        drift=("DELETE", "/v3/{id}", None),
        found=None,
        at="/v3/{id}",
    ),
    Case(
        "gcp:monitoring/dashboard:Dashboard",
        {"dashboardJson": DASHBOARD % "tuning"},
        update={"dashboardJson": DASHBOARD % "all runs"},
        updated={"dashboardJson": "update"},
        drift=("DELETE", "/v1/{id}", None),
        found=None,
        at="/v1/{id}",
    ),
    Case(
        "gcp:logging/projectSink:ProjectSink",
        {
            "name": "red",
            "destination": "storage.googleapis.com/{project}-logs",
            "filter": "severity>=ERROR",
        },
        update={"filter": "severity>=WARNING", "disabled": True},
        updated={"filter": "update", "disabled": "add"},
        replace={"name": "all"},
        replaced=("name",),
        drift=("PATCH", "/v2/{id}?updateMask=disabled", {"disabled": False}),
        found={"disabled": "update"},
        at="/v2/{id}",
    ),
    Case(
        "gcp:logging/metric:Metric",
        {
            "name": "red",
            "filter": 'resource.type="aiplatform.googleapis.com/PipelineJob" severity>=ERROR',
            "metricDescriptor": {"metricKind": "DELTA", "valueType": "INT64"},
        },
        update={"description": "red jobs"},
        updated={"description": "add"},
        drift=(
            "PUT",
            "/v2/projects/{project}/metrics/red",
            {"name": "red", "filter": "severity>=ALERT", "description": "red jobs"},
        ),
        found={"filter": "update"},
        by="{project} red",
        at="/v2/projects/{project}/metrics/red",
    ),
    Case(
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        {"project": "{project}", "location": "europe-west4", "bucketId": "audit", "retentionDays": 90},
        update={"retentionDays": 365},
        updated={"retentionDays": "update"},
        replace={"bucketId": "other"},
        replaced=("bucketId",),
        drift=("PATCH", "/v2/{id}?updateMask=retentionDays", {"retentionDays": 1}),
        found={"retentionDays": "update"},
    ),
    Case(
        "gcp:logging/projectExclusion:ProjectExclusion",
        {"name": "noise", "filter": "severity<INFO"},
        update={"disabled": True},
        updated={"disabled": "add"},
        replace={"name": "debug"},
        replaced=("name",),
        drift=("PATCH", "/v2/{id}?updateMask=filter", {"filter": "severity<ERROR"}),
        found={"filter": "update"},
        at="/v2/{id}",
    ),
    Case(
        "gcp:bigquery/dataset:Dataset",
        {"datasetId": "billing", "location": "EU", "labels": {"team": "ml"}},
        update={"description": "the export", "defaultTableExpirationMs": 86400000},
        updated={"description": "add", "defaultTableExpirationMs": "add"},
        replace={"location": "US"},
        replaced=("location",),
        drift=("PATCH", "/bigquery/v2/{id}", {"description": "someone's"}),
        found={"description": "update"},
        by="{project}/billing",
        at="/bigquery/v2/{id}",
    ),
    Case(
        "gcp:bigquery/table:Table",
        {
            "datasetId": "billing",
            "tableId": "receipts",
            "deletionProtection": False,
            "schema": json.dumps([{"name": "job", "type": "STRING", "mode": "REQUIRED"}]),
        },
        update={
            "schema": json.dumps(
                [{"name": "job", "type": "STRING", "mode": "REQUIRED"}, {"name": "cost", "type": "NUMERIC"}]
            )
        },
        updated={"schema": "update"},
        replace={"schema": json.dumps([{"name": "job", "type": "INT64", "mode": "REQUIRED"}])},
        replaced=("schema",),
        drift=("PATCH", "/bigquery/v2/{id}", {"description": "someone's"}),
        found={"description": "delete"},
        by="{project}/billing/receipts",
        needs=("dataset",),
        untold=("deletionProtection",),
        at="/bigquery/v2/{id}",
    ),
    *policies(
        "gcp:bigquery/datasetIam",
        {"datasetId": "billing"},
        "dataset",
        "roles/bigquery.dataViewer",
        ("GET", "/bigquery/v2/projects/{project}/datasets/billing"),
        ("PATCH", "/bigquery/v2/projects/{project}/datasets/billing"),
    ),
]


def test_every_type_has_a_case():
    assert {case.type for case in CASES} == set(TYPES)


def filled(value: Any, known: dict[str, str]) -> Any:
    """``value`` with ``{name}`` replaced in every text; inputs of None are left out."""
    if isinstance(value, str):
        return re.sub(r"\{([\w.]+)\}", lambda match: known.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: filled(each, known) for key, each in value.items() if each is not None}
    return [filled(each, known) for each in value] if isinstance(value, list) else value


async def prepared(engine: Any, case: Case, project: str) -> dict[str, str]:
    """Make what the case needs (a need's own needs come first in its list); all that texts may name."""
    known = {"project": project}
    implied = {"key": ("ring",), "subscription": ("topic",), "experiment": ("board",)}
    names = [each for need in case.needs for each in (*implied.get(need, ()), need)]
    for name in dict.fromkeys(names):
        type_, inputs = NEEDS[name]
        await engine.up(type_, name, **filled(inputs, known))
        made = engine.state[name]
        known |= {f"{name}.id": made.id, f"{name}.short": made.id.rpartition("/")[2]}
        known |= {f"{name}.name": str(made["name"])} if made["name"] else {}
    return known


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.type.rpartition(":")[0].removeprefix("gcp:"))
async def test_a_type_lives_its_life(
    engine: Any, another_engine: Any, google: httpx.AsyncClient, project: str, case: Case
):
    known = await prepared(engine, case, project)
    inputs = filled(case.inputs, known)
    assert await engine.up(case.type, "it", **inputs) == "create"
    known |= {"id": engine.state["it"].id}
    known["holder"] = known["id"].partition(f"/{inputs['role']}" if "role" in inputs else "\0")[0]
    assert await engine.up(case.type, "it", **inputs) == "same"
    assert await engine.refresh("it") == {}

    if case.update:
        inputs = filled({**inputs, **case.update}, known)
        assert await engine.diff("it", await engine.check(case.type, "it", inputs)) == case.updated
        assert await engine.up(case.type, "it", **inputs) == "update"
        assert engine.state["it"].id == known["id"]
        assert await engine.up(case.type, "it", **inputs) == "same"
        assert await engine.refresh("it") == {}

    if case.drift:
        verb, path, body = filled(case.drift, known) if isinstance(case.drift, list) else case.drift
        answer = await google.request(verb, filled(path, known), json=filled(body, known))
        assert answer.is_success, answer.text
        assert await engine.refresh("it") == case.found
        await engine.up(case.type, "it", **inputs)
        assert await engine.refresh("it") == {}
        known["id"] = engine.state["it"].id

    imported = await another_engine.import_(case.type, "taken", filled(case.by, known))
    assert imported is not None
    assert imported.id == known["id"]
    found = await another_engine.diff("taken", await another_engine.check(case.type, "taken", inputs))
    assert set(found) == set(case.untold)

    if case.replace:
        changed = filled({**inputs, **case.replace}, known)
        found = await engine.diff("it", await engine.check(case.type, "it", changed))
        assert {path for path, how in found.items() if how.endswith("-replace")} == set(case.replaced)
        assert await engine.up(case.type, "it", **changed) == "replace"
        assert await engine.refresh("it") == {}
        known["id"] = engine.state["it"].id

    await engine.delete("it")
    if case.at is not None:
        assert (await google.get(filled(case.at, known))).status_code == 404
