"""What the stand-in sends is what the real provider sends (terraform-provider-google, as read in 2026-08)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

PLACE = "/v1/projects/{project}/locations/europe-west4"
VERTEX = "/v1beta1/projects/{project}/locations/europe-west4"
RING = "projects/{project}/locations/europe-west4/keyRings/ring"
POLICY = "/v1/projects/{project}:getIamPolicy"

#: type, inputs, changed inputs, and the requests of a create, an update and a delete (then: what is read for each).
CALLS: list[tuple[str, dict[str, Any], dict[str, Any], list[str], list[str], list[str]]] = [
    (
        "gcp:storage/bucket:Bucket",
        {"name": "{project}-data", "location": "EU", "forceDestroy": True},
        {"labels": {"team": "ml"}},
        ["POST /storage/v1/b?project={project}", "GET /storage/v1/b/{project}-data"],
        ["PATCH /storage/v1/b/{project}-data", "GET /storage/v1/b/{project}-data"],
        ["GET /storage/v1/b/{project}-data/o?versions=true", "DELETE /storage/v1/b/{project}-data"],
    ),
    (
        "gcp:serviceaccount/account:Account",
        {"accountId": "runner-one"},
        {"disabled": True},
        ["POST /v1/projects/{project}/serviceAccounts", "GET /v1/{id}"],
        ["POST /v1/{id}:disable", "GET /v1/{id}"],
        ["DELETE /v1/{id}"],
    ),
    (
        "gcp:projects/iAMMember:IAMMember",
        {"project": "{project}", "role": "roles/viewer", "member": "user:a@x.org"},
        {},
        [f"POST {POLICY}", "POST /v1/projects/{project}:setIamPolicy"],
        [],
        [f"POST {POLICY}", "POST /v1/projects/{project}:setIamPolicy"],
    ),
    (
        "gcp:projects/service:Service",
        {"service": "aiplatform.googleapis.com"},
        {},
        [
            "POST /v1/projects/{project}/services/aiplatform.googleapis.com:enable",
            "GET /v1/projects/{project}/services"
            "?filter=state:ENABLED&pageSize=200&fields=services/name,nextPageToken",
        ],
        [],
        [],
    ),
    (
        "gcp:cloudquota/sQuotaPreference:SQuotaPreference",
        {
            "parent": "projects/{project}",
            "name": "gpus",
            "service": "aiplatform.googleapis.com",
            "quotaId": "CustomModelTrainingA10080GBGPUsPerProjectPerRegion",
            "dimensions": {"region": "europe-west4"},
            "quotaConfig": {"preferredValue": "8"},
        },
        {"quotaConfig": {"preferredValue": "16"}},
        [
            "POST /v1/projects/{project}/locations/global/quotaPreferences"
            "?quotaPreferenceId=gpus&ignoreSafetyChecks=QUOTA_SAFETY_CHECK_UNSPECIFIED",
            "GET /v1/{id}",
        ],
        [
            "PATCH /v1/{id}?ignoreSafetyChecks=QUOTA_SAFETY_CHECK_UNSPECIFIED&updateMask=quotaConfig",
            "GET /v1/{id}",
        ],
        [],
    ),
    (
        "gcp:artifactregistry/repository:Repository",
        {"repositoryId": "templates", "location": "europe-west4", "format": "KFP"},
        {"description": "d"},
        [f"POST {PLACE}/repositories?repository_id=templates", "GET /v1/{id}"],
        ["PATCH /v1/{id}?updateMask=description", "GET /v1/{id}"],
        ["DELETE /v1/{id}"],
    ),
    (
        "gcp:vertex/aiTensorboard:AiTensorboard",
        {"displayName": "curves", "region": "europe-west4"},
        {"displayName": "losses"},
        [f"POST {VERTEX}/tensorboards", "GET /v1beta1/{id}"],
        ["PATCH /v1beta1/{id}?updateMask=displayName", "GET /v1beta1/{id}"],
        ["DELETE /v1beta1/{id}"],
    ),
    (
        "gcp:vertex/aiMetadataStore:AiMetadataStore",
        {"name": "runs", "region": "europe-west4"},
        {},
        [f"POST {VERTEX}/metadataStores?metadataStoreId=runs", f"GET {VERTEX}/metadataStores/runs"],
        [],
        [f"DELETE {VERTEX}/metadataStores/runs"],
    ),
    (
        "gcp:vertex/aiEndpoint:AiEndpoint",
        {"name": "4711", "location": "europe-west4", "displayName": "served"},
        {"displayName": "tuned"},
        [f"POST {VERTEX}/endpoints?endpointId=4711", "GET /v1beta1/{id}"],
        ["PATCH /v1beta1/{id}?updateMask=displayName", "GET /v1beta1/{id}"],
        ["DELETE /v1beta1/{id}"],
    ),
    (
        "gcp:kms/keyRing:KeyRing",
        {"name": "ring", "location": "europe-west4"},
        {},
        [f"POST {PLACE}/keyRings?keyRingId=ring", "GET /v1/{id}"],
        [],
        [],
    ),
    (
        "gcp:kms/cryptoKey:CryptoKey",
        {"name": "key", "keyRing": RING, "rotationPeriod": "7776000s"},
        {"rotationPeriod": "2592000s"},
        [f"POST /v1/{RING}/cryptoKeys?cryptoKeyId=key&skipInitialVersionCreation=false", "GET /v1/{id}"],
        ["PATCH /v1/{id}?updateMask=rotationPeriod,nextRotationTime", "GET /v1/{id}"],
        [
            "GET /v1/{id}/cryptoKeyVersions",
            "POST /v1/{id}/cryptoKeyVersions/1:destroy",
            "PATCH /v1/{id}?updateMask=rotationPeriod,nextRotationTime",
        ],
    ),
    (
        "gcp:billing/budget:Budget",
        {"billingAccount": "012345-6789AB-CDEF01", "amount": {"lastPeriodAmount": True}},
        {"displayName": "tuning"},
        ["POST /v1/billingAccounts/012345-6789AB-CDEF01/budgets", "GET /v1/{id}"],
        ["PATCH /v1/{id}?updateMask=displayName", "GET /v1/{id}"],
        ["DELETE /v1/{id}"],
    ),
    (
        "gcp:monitoring/notificationChannel:NotificationChannel",
        {"type": "email", "labels": {"email_address": "ml@example.org"}},
        {"displayName": "us"},
        ["POST /v3/projects/{project}/notificationChannels", "GET /v3/{id}"],
        ["PATCH /v3/{id}", "GET /v3/{id}"],
        ["DELETE /v3/{id}?force=false"],
    ),
    (
        "gcp:pubsub/topic:Topic",
        {"name": "events"},
        {"messageRetentionDuration": "86400s"},
        ["PUT /v1/projects/{project}/topics/events", "GET /v1/{id}"],
        ["PATCH /v1/{id}?updateMask=messageRetentionDuration", "GET /v1/{id}"],
        ["DELETE /v1/{id}"],
    ),
    (
        "gcp:bigquery/dataset:Dataset",
        {"datasetId": "billing", "location": "EU"},
        {"description": "d"},
        [
            "POST /bigquery/v2/projects/{project}/datasets?accessPolicyVersion=3",
            "GET /bigquery/v2/projects/{project}/datasets/billing",
        ],
        [
            "PUT /bigquery/v2/projects/{project}/datasets/billing?accessPolicyVersion=3",
            "GET /bigquery/v2/projects/{project}/datasets/billing",
        ],
        ["DELETE /bigquery/v2/projects/{project}/datasets/billing?deleteContents=false"],
    ),
]


def filled(value: Any, **known: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, **known) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, **known) for each in value]
    return value.format(**known) if isinstance(value, str) else value


class Log:
    """The requests that Google received since it was last asked."""

    def __init__(self, google: httpx.AsyncClient) -> None:
        self.google = google
        self.last = 0

    async def new(self) -> list[str]:
        found = (await self.google.get("/_local/requests", params={"since": self.last})).json()["requests"]
        self.last = max((each["sequence"] for each in found), default=self.last)
        return [
            f"{each['verb']} {each['path']}"
            + (
                "?" + "&".join(f"{key}={value}" for key, value in each["query"].items())
                if each["query"]
                else ""
            )
            for each in found
            if not each["path"].startswith("/_local")
        ]


@pytest.mark.parametrize(
    ("type_", "inputs", "change", "created", "updated", "deleted"),
    CALLS,
    ids=[each[0].rpartition(":")[0].removeprefix("gcp:") for each in CALLS],
)
async def test_the_requests_are_those_of_the_real_provider(
    engine, google, project, type_, inputs, change, created, updated, deleted
):
    if "keyRing" in inputs:
        ring = {"name": "ring", "location": "europe-west4"}
        await engine.up("gcp:kms/keyRing:KeyRing", "ring", **ring)
    log, inputs = Log(google), filled(inputs, project=project)
    await log.new()
    await engine.up(type_, "it", **inputs)
    known = {"project": project, "id": engine.state["it"].id}
    assert await log.new() == filled(created, **known)
    if change:
        assert await engine.up(type_, "it", **{**inputs, **change}) == "update"
        assert await log.new() == filled(updated, **known)
    await engine.delete("it")
    assert await log.new() == filled(deleted, **known)
