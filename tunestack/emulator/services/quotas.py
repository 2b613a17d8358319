"""Quotas of Vertex AI: which there are, what is granted, and how requests for more are decided.

Ids and metrics: vertex-ai-samples ``common_util.get_quota_id`` and real QuotaPreference output (CustomModel*,
RestrictedImageTrainingA10080GB*). Google's ids of the last three were not found: theirs are ours, so a program should
find them by metric or display name, as it must at Google.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

import orjson

from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

VERTEX = "aiplatform.googleapis.com"
REGIONS = (
    "asia-northeast1",
    "asia-southeast1",
    "europe-west1",
    "europe-west4",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-west1",
    "us-west4",
)
DECISIONS = ("grant", "deny", "partial", "hold")
UNLIMITED = -1

_ACCELERATORS = {
    "V100GPUs": ("nvidia_v100_gpus", "Nvidia V100 GPUs"),
    "P100GPUs": ("nvidia_p100_gpus", "Nvidia P100 GPUs"),
    "T4GPUs": ("nvidia_t4_gpus", "Nvidia T4 GPUs"),
    "L4GPUs": ("nvidia_l4_gpus", "Nvidia L4 GPUs"),
    "A100GPUs": ("nvidia_a100_gpus", "Nvidia A100 GPUs"),
    "A10080GBGPUs": ("nvidia_a100_80gb_gpus", "Nvidia A100 80GB GPUs"),
    "H100GPUs": ("nvidia_h100_gpus", "Nvidia H100 GPUs"),
    "H100MEGAGPUs": ("nvidia_h100_mega_gpus", "Nvidia H100 Mega 80GB GPUs"),
    "H200GPUs": ("nvidia_h200_gpus", "Nvidia H200 GPUs"),
    "B200GPUs": ("nvidia_b200_gpus", "Nvidia B200 GPUs"),
    "V3TPUs": ("tpu_v3", "TPU v3 cores"),
    "V5ETPU": ("tpu_v5e", "TPU v5e chips"),
    "V6ETPU": ("tpu_v6e", "TPU v6e chips"),
}
_USES = {
    "CustomModelTraining": ("custom_model_training", "Custom model training"),
    "CustomModelTrainingPreemptible": (
        "custom_model_training_preemptible",
        "Custom model training preemptible",
    ),
    "CustomModelServing": ("custom_model_serving", "Custom model serving"),
}


@dataclass(frozen=True)
class Quota:
    """One quota of a service. ``default`` is what a new project has."""

    id: str
    metric: str
    display_name: str
    dimensions: tuple[str, ...] = ("region",)
    default: int = 0
    service: str = VERTEX

    @property
    def unit(self) -> str:
        """As Service Usage writes it: ``1/{project}/{region}``."""
        return "/".join(["1", "{project}", *(f"{{{name}}}" for name in self.dimensions)])

    def info_name(self, project: str) -> str:
        return f"projects/{project}/locations/global/services/{self.service}/quotaInfos/{self.id}"


def _quotas() -> list[Quota]:
    found = [
        Quota(f"{use}{what}PerProjectPerRegion", f"{VERTEX}/{prefix}_{suffix}", f"{title} {name} per region")
        for use, (prefix, title) in _USES.items()
        for what, (suffix, name) in _ACCELERATORS.items()
    ]
    restricted, title = f"{VERTEX}/restricted_image_training", "Restricted image training"
    return [
        *found,
        Quota(
            "RestrictedImageTrainingA10080GBGPUsPerProjectPerRegion",
            f"{restricted}_nvidia_a100_80gb_gpus",
            f"{title} Nvidia A100 80GB GPUs per region",
        ),
        Quota(
            "RestrictedImageTrainingV3PodTPUsPerProjectPerRegion",
            f"{restricted}_tpu_v3_pod",
            f"{title} TPU V3 pod cores per region",
        ),
        Quota(
            "RestrictedImageTrainingA2CPUsPerProjectPerRegion",
            f"{restricted}_a2_cpus",
            f"{title} CPUs for A2 CPU types per region",
        ),
        Quota(
            TUNING_JOBS,
            f"{VERTEX}/global_concurrent_tuning_jobs",
            "Global concurrent tuning jobs",
            dimensions=(),
            default=1,
        ),
    ]


TUNING_JOBS = "GlobalConcurrentTuningJobsPerProject"
QUOTAS = {(quota.service, quota.id): quota for quota in _quotas()}


def limits(state: State, project: str, quota: Quota) -> list[tuple[Json, int]]:
    """What is granted to a project (by number): (dimensions, value), the specific before the general."""
    row = state.rows.find(_values_name(project, quota)) or {"values": []}
    values = {
        _key(item["dimensions"]): item["value"]
        for item in [{"dimensions": {}, "value": quota.default}, *row["values"]]
    }
    return sorted(
        ((dict(key), value) for key, value in values.items()), key=lambda item: (-len(item[0]), str(item[0]))
    )


def limit(state: State, project: str, quota: Quota, dimensions: Json) -> int:
    """What is in force for ``dimensions``."""
    known = limits(state, project, quota)
    return next(value for have, value in known if have in (dimensions, {}))


def set_limit(state: State, project: str, quota: Quota, dimensions: Json, value: int) -> None:
    """Put ``value`` in force. Raises 400 on dimensions that the quota has not."""
    if wrong := sorted(set(dimensions) - set(quota.dimensions)):
        raise invalid(
            f"{quota.id} has the dimensions {list(quota.dimensions)}, not {wrong}.", [("dimensions", "")]
        )
    name = _values_name(project, quota)
    row = state.rows.find(name)
    kept = [item for item in (row or {"values": []})["values"] if item["dimensions"] != dimensions]
    changed = {"values": [*kept, {"dimensions": dimensions, "value": value}]}
    if row is None:
        state.rows.create("quotaValues", f"projects/{project}", name, changed)
    else:
        state.rows.put(name, changed)


def enforced(state: State, project: str, quota: Quota, dimensions: Json) -> int | None:
    """What may be used at once; None where it is not enforced.

    Before anyone sets a project's quota it is enforced only where Google's defaults are asked for
    (`State.default_quotas`): a new project may use no accelerator at all.
    """
    if not state.default_quotas and state.rows.find(_values_name(project, quota)) is None:
        return None
    value = limit(state, project, quota, dimensions)
    return None if value == UNLIMITED else value


def exceeded(quota: Quota, project: str, value: int) -> ApiError:
    """429 RESOURCE_EXHAUSTED, as Google words it."""
    subject = f"project:{project}"
    return ApiError(
        "RESOURCE_EXHAUSTED",
        f"The following quota metrics exceed quota limits: {quota.metric}",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [
                    {"subject": subject, "description": f"{quota.display_name}: the limit is {value}."}
                ],
            },
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "domain": "googleapis.com",
                "metadata": {
                    "consumer": f"projects/{project}",
                    "quota_limit": quota.id,
                    "quota_limit_value": str(value),
                    "quota_metric": quota.metric,
                    "service": quota.service,
                },
            },
        ],
    )


class Decisions:
    """How Google would decide on requests, as a test says it; the newest that fits counts. Kept on disk."""

    def __init__(self, state: State) -> None:
        self._database = state.database

    def all(self) -> list[Json]:
        row = self._database.one("SELECT value FROM meta WHERE key = 'quota decisions'")
        return list(orjson.loads(row[0])) if row else []

    def add(self, body: Json) -> Json:
        """From ``{"quotaId": pattern, "region": pattern, "decision", "value", "afterSeconds"}``. Raises 400."""
        unknown = sorted(set(body) - {"quotaId", "region", "decision", "value", "afterSeconds"})
        decision = {
            "quotaId": "*",
            "region": "*",
            "decision": "grant",
            "value": None,
            "afterSeconds": 0,
            **body,
        }
        if unknown or decision["decision"] not in DECISIONS:
            raise invalid(f"a decision is one of {list(DECISIONS)}; unknown: {unknown}")
        if (decision["decision"] == "partial") != isinstance(decision["value"], int):
            raise invalid("a partial grant has a value, and nothing else has")
        if isinstance(decision["afterSeconds"], bool) or not isinstance(
            decision["afterSeconds"], int | float
        ):
            raise invalid("afterSeconds is a number")
        self._keep([*self.all(), decision])
        return decision

    def clear(self) -> None:
        self._keep([])

    def on(self, quota: str, dimensions: Json) -> Json:
        """The decision on a request. Without a script everything is granted."""
        region = dimensions.get("region", "")
        for decision in reversed(self.all()):
            if fnmatch.fnmatchcase(quota, decision["quotaId"]) and fnmatch.fnmatchcase(
                region, decision["region"]
            ):
                return decision
        return {"decision": "grant"}

    def _keep(self, decisions: list[Json]) -> None:
        text = orjson.dumps(decisions).decode()
        self._database.execute("INSERT OR REPLACE INTO meta VALUES ('quota decisions', ?)", text)


def find_quota(service: str, quota_id: str) -> Quota | None:
    return QUOTAS.get((service, quota_id))


def _values_name(project: str, quota: Quota) -> str:
    return f"projects/{project}/quotaValues/{quota.service}/{quota.id}"


def _key(dimensions: Json) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(dimensions.items()))
