"""What a job's account must be allowed beside its objects (`jobs.files`). Asked where IAM is enforced.

A pipeline's steps are containers that run as its account and call Vertex AI in its name, so it needs the permission
of each call (google-cloud-pipeline-components: the launcher makes a custom job, the uploader a model, the deployer an
endpoint). Images are not pulled as it, but by Vertex AI's agent for custom code, whatever account is configured
(cloud.google.com/vertex-ai/docs/general/custom-service-account#configure). What a container prints is collected by
Google as well: no account needs a role for its logs.
"""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.state import State

Json = dict[str, Any]

CUSTOM_CODE_AGENT = "service-{}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
_IMAGE = re.compile(r"([\w-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/.+")
# A tensorboard is looked at before anything is written to it (GoogleCloudPlatform/training-data-analyst#1570).
_TENSORBOARD = (
    "aiplatform.tensorboards.get",
    "aiplatform.tensorboardExperiments.create",
    "aiplatform.tensorboardRuns.create",
    "aiplatform.tensorboardTimeSeries.create",
    "aiplatform.tensorboardRuns.write",
)


def require(run: Run, *permissions: str, on: str | None = None) -> None:
    """Raises `TaskFailed` where the job's account lacks one of ``permissions`` on a resource (the job's location)."""
    for permission in permissions:
        if problem := run.state.access.problem_with(run.account, permission, on or run.parent):
            raise TaskFailed("PERMISSION_DENIED", problem)


def require_tensorboard(run: Run, name: str) -> None:
    """Raises `TaskFailed` where the job's account may not write curves to a tensorboard, or it is not there."""
    if not name:
        return
    require(run, *_TENSORBOARD, on=name)
    if run.state.rows.find(run.state.projects.canonical(name)) is None:
        raise TaskFailed("NOT_FOUND", f"The Tensorboard {name} is not found.")


def require_to_begin_pipeline(run: Run, output_uri: str) -> None:
    """Raises `TaskFailed` where Vertex AI would not begin a pipeline as its account.

    Words: googleapis/python-aiplatform#1880, statmike/vertex-ai-mlops#60.
    """
    access = run.state.access
    store = f"{run.parent}/metadataStores/default"
    problem = access.problem_with(run.account, "aiplatform.metadataStores.get", store)
    if problem is None and output_uri.startswith("gs://"):
        bucket, name = parse_gs_uri(output_uri)
        lacks = access.lacks_in_bucket(
            run.account, bucket, name, "storage.objects.get", "storage.objects.create"
        )
        if lacks:
            problem = (
                f"Service account `{run.account}` does not have `[{', '.join(lacks)}]` IAM permission(s) to the"
                f' bucket "{bucket}". Please either copy the files to the Google Cloud Storage bucket owned by your'
                " project, or grant the required IAM permission(s) to the service account."
            )
    if problem:
        raise TaskFailed("PERMISSION_DENIED", f"Failed to create pipeline job. Error: {problem}.")


def require_images(run: Run, worker_pools: list[Json]) -> None:
    """Raises `TaskFailed` where Vertex AI's agent may not pull an image from a repository that is here."""
    agent = CUSTOM_CODE_AGENT.format(run.parent.split("/")[1])
    for pool in worker_pools:
        repository = _repository(run.state, pool.get("containerSpec", {}).get("imageUri", ""))
        if repository and (
            problem := run.state.access.problem_with(
                agent, "artifactregistry.repositories.downloadArtifacts", repository
            )
        ):
            raise TaskFailed("PERMISSION_DENIED", f"{agent} cannot pull the image: {problem}")


def _repository(state: State, image: str) -> str | None:
    """The repository that an image's address names, where it is one of this emulator's."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        return None
    location, project, name = found.groups()
    repository = f"projects/{state.projects.number(project)}/locations/{location}/repositories/{name}"
    return repository if state.rows.find(repository) else None
