"""The selection of fields for jobs that are waited for: Google's names, and all that is read of a job."""

from __future__ import annotations

import inspect
import json
from importlib.resources import files
from typing import Any

import pytest

from tunestack.emulator import partial_response
from tunestack.vertex.custom_job import CustomJob
from tunestack.vertex.job import Job
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.tuning_job import TuningJob

EVERY = {
    "name": "projects/p/locations/l/jobs/1",
    "displayName": "one",
    "labels": {"tunestack-spec-hash": "0" * 32},
    "createTime": "2026-01-01T00:00:00Z",
    "startTime": "2026-01-01T00:01:00Z",
    "endTime": "2026-01-01T00:05:00Z",
    "error": {"code": 8, "message": "no machines"},
}
JOBS: list[Job] = [
    TuningJob(
        {
            **EVERY,
            "state": "JOB_STATE_RUNNING",
            "baseModel": "gemini-2.5-flash",
            "supervisedTuningSpec": {"trainingDatasetUri": "gs://b/o.jsonl"},
            "tunedModel": {
                "model": "projects/p/locations/l/models/1@1",
                "endpoint": "projects/p/locations/l/endpoints/1",
                "checkpoints": [{"checkpointId": "1", "epoch": "1", "step": "4", "endpoint": "e"}],
            },
            "experiment": "x",
            "tuningDataStats": {"supervisedTuningDataStats": {"tuningStepCount": "8"}},
            "tuningJobState": "TUNING_JOB_STATE_TUNING",
            "tuningJobMetadata": {"completedStepCount": "4", "completedEpochCount": "1"},
        }
    ),
    PipelineJob(
        {
            **EVERY,
            "state": "PIPELINE_STATE_RUNNING",
            "pipelineSpec": {"root": {}},
            "runtimeConfig": {"parameterValues": {"a": 1}},
            "jobDetail": {
                "pipelineContext": {"name": "context"},
                "taskDetails": [
                    {
                        "taskName": "tune",
                        "taskId": "1",
                        "state": "RUNNING",
                        "inputs": {"a": {"artifacts": []}},
                        "error": {"code": 3, "message": "bad rows"},
                        "execution": {"name": "e", "metadata": {"step": 1, "steps": 4, "best_step": 1}},
                    },
                    {
                        "taskName": "upload-llm-model",
                        "execution": {"metadata": {"output:model_resource_name": "m"}},
                    },
                    {
                        "taskName": "deploy-llm-model",
                        "execution": {"metadata": {"output:endpoint_resource_name": "e"}},
                    },
                ],
            },
        }
    ),
    CustomJob(
        {
            **EVERY,
            "state": "JOB_STATE_RUNNING",
            "jobSpec": {
                "workerPoolSpecs": [{"replicaCount": "1"}],
                "baseOutputDirectory": {"outputUriPrefix": "gs://b/out"},
            },
            "webAccessUris": {"workerpool0-0": "https://shell"},
        }
    ),
]
every_kind = pytest.mark.parametrize("job", JOBS, ids=[job.collection.segment for job in JOBS])
NOT_READ_WHILE_WAITING = {"tasks", "job_spec"}
NEVER_SAID = {CustomJob: {"model", "endpoint", "endpoints"}}  # it registers and deploys nothing


def selected(job: Job) -> Any:
    segment = job.collection.segment
    page = {segment: [dict(job.json)], "nextPageToken": "t", "unreachable": []}
    return partial_response.select(page, partial_response.parse(job.collection.fields))


@every_kind
def test_all_that_is_read_of_a_job_is_selected(job: Job) -> None:
    page = selected(job)
    assert page["nextPageToken"] == "t"
    seen = type(job)(page[job.collection.segment][0])
    read = [name for name, _ in inspect.getmembers(type(job), lambda member: isinstance(member, property))]
    for name in set(read) - NOT_READ_WHILE_WAITING:
        value = getattr(job, name)
        silent = name in NEVER_SAID.get(type(job), set())
        assert silent or value or value == 0, f"the example says nothing of {name}"
        assert getattr(seen, name) == value, name


@every_kind
def test_what_a_job_was_submitted_with_is_not(job: Job) -> None:
    (seen,) = selected(job)[job.collection.segment]
    inputs = ("displayName", "supervisedTuningSpec", "pipelineSpec", "runtimeConfig")
    assert not [name for name in inputs if name in seen]
    assert "workerPoolSpecs" not in seen.get("jobSpec", {})


@every_kind
def test_the_selection_uses_names_that_google_knows(job: Job) -> None:
    version = job.collection.version
    document = json.loads(
        files("tunestack.emulator").joinpath(f"discovery/aiplatform.{version}.json").read_text()
    )
    schemas = document["schemas"]

    def known(schema: dict[str, Any], tree: dict[str, Any], at: str) -> None:
        schema = schemas[schema["$ref"]] if "$ref" in schema else schema
        schema = schema.get("items", schema)
        schema = schemas[schema["$ref"]] if "$ref" in schema else schema
        for name, below in tree.items():
            assert name in schema.get("properties", {}), f"{at}.{name}"
            known(schema["properties"][name], below, f"{at}.{name}")

    kind = f"{job.collection.segment[0].upper()}{job.collection.segment[1:]}"
    answer = f"GoogleCloudAiplatform{version.capitalize()}List{kind}Response"
    known({"$ref": answer}, partial_response.parse(job.collection.fields), answer)
