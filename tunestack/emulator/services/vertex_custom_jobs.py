"""Vertex AI: custom jobs (aiplatform.v1, v1beta1). Their other methods are all jobs': vertex_jobs."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

CUSTOM_JOBS = "customJobs"


@implements("aiplatform.projects.locations.customJobs.create")
def create(call: Call) -> Json:
    problems = [
        (f"job_spec.worker_pool_specs[{index}]", text)
        for index, pool in enumerate(call.body["jobSpec"]["workerPoolSpecs"])
        if (text := _problem(pool))
    ]
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    return submit(call, CUSTOM_JOBS, str(call.state.new_id()), "JOB_STATE_PENDING")


def _problem(pool: Json) -> str | None:
    if ("containerSpec" in pool) == ("pythonPackageSpec" in pool):
        return "Exactly one of container_spec and python_package_spec must be set."
    return None
