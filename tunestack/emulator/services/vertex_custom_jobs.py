"""Vertex AI: custom jobs (aiplatform.v1, v1beta1). Their other methods are all jobs': vertex_jobs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.jobs.states import ENDED, short_state
from tunestack.emulator.services import accelerators
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

CUSTOM_JOBS = "customJobs"

_RESTRICTED = "/vertex-ai-restricted/"


@implements("aiplatform.projects.locations.customJobs.create")
def create(call: Call) -> Json:
    problems = [
        (f"job_spec.worker_pool_specs[{index}]", text)
        for index, pool in enumerate(call.body["jobSpec"]["workerPoolSpecs"])
        if (text := _problem(pool))
    ]
    if "tensorboard" in call.body["jobSpec"] and not call.body["jobSpec"].get("serviceAccount"):
        # kubeflow/pipelines#7123
        text = "custom_job.job_spec.service_account must be specified when uploading to TensorBoard"
        problems.append(("job_spec.service_account", text))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    _check_quotas(call)
    return submit(call, CUSTOM_JOBS, str(call.state.new_id()), "JOB_STATE_PENDING")


def _check_quotas(call: Call) -> None:
    """Raises 429 where the accelerators of this job and of those that live would be more than is granted."""
    used: Counter[str] = Counter()
    for row in call.state.rows.list(CUSTOM_JOBS, call.parent()):
        if short_state(row["state"]) not in ENDED:
            used += _accelerators(row["jobSpec"])
    accelerators.require(call.state, call.parent(), _accelerators(call.body["jobSpec"]), used)


def _accelerators(job_spec: Json) -> Counter[str]:
    """Quota id -> accelerators. Google's own tuning images count against quotas of their own (vertex.md, section 4)."""
    pools = job_spec["workerPoolSpecs"]
    if any(_RESTRICTED in pool.get("containerSpec", {}).get("imageUri", "") for pool in pools):
        return accelerators.of_pools("RestrictedImageTraining", pools)
    preemptible = job_spec.get("scheduling", {}).get("strategy") in ("SPOT", "FLEX_START")
    use = "CustomModelTrainingPreemptible" if preemptible else "CustomModelTraining"
    return accelerators.of_pools(use, pools)


def _problem(pool: Json) -> str | None:
    if ("containerSpec" in pool) == ("pythonPackageSpec" in pool):
        return "Exactly one of container_spec and python_package_spec must be set."
    return None
