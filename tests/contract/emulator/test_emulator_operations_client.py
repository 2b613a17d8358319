"""Long-running operations and batches of pipeline jobs, with Google's own client."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import types

PARENT = "projects/p1/locations/us-central1"


def test_operations_are_read_listed_waited_for_cancelled_and_deleted(emulator):
    boards = emulator.google(aiplatform_v1.TensorboardServiceClient)
    made = boards.create_tensorboard(parent=PARENT, tensorboard=types.Tensorboard(display_name="b"))
    name, board = made.operation.name, made.result().name
    assert boards.get_operation({"name": name}).done
    assert name in {row.name for row in boards.list_operations({"name": board}).operations}
    assert boards.wait_operation({"name": name}).done
    boards.cancel_operation({"name": name})
    assert boards.get_operation({"name": name}).done
    boards.delete_operation({"name": name})
    with pytest.raises(exceptions.NotFound):
        boards.get_operation({"name": name})
    for version in ("v1", "v1beta1", "ui"):
        answer = emulator.http.get(f"/{version}/{board}/operations/1")
        assert answer.status_code == 404


def test_an_operation_looks_unfinished_for_as_long_as_a_test_says(start):
    local = start()
    boards = local.google(aiplatform_v1.TensorboardServiceClient)
    local.call("POST", "/_local/settings", {"operationPolls": 2})
    made = boards.create_tensorboard(parent=PARENT, tensorboard=types.Tensorboard(display_name="b"))
    assert [boards.get_operation({"name": made.operation.name}).done for _ in range(3)] == [
        False,
        False,
        True,
    ]


def test_pipeline_jobs_are_cancelled_and_deleted_in_batches(emulator):
    pipelines = emulator.google(aiplatform_v1.PipelineServiceClient)
    name = emulator.script(state="RUNNING", times=2)
    jobs = [emulator.submit(emulator.bucket(), display_name=name) for _ in range(2)]
    with pytest.raises(exceptions.BadRequest, match="must be cancelled"):
        pipelines.batch_delete_pipeline_jobs(parent=PARENT, names=jobs)
    pipelines.batch_cancel_pipeline_jobs(parent=PARENT, names=jobs).result()
    assert {emulator.call("GET", f"/v1/{job}")["state"] for job in jobs} == {"PIPELINE_STATE_CANCELLED"}
    gone = pipelines.batch_delete_pipeline_jobs(parent=PARENT, names=jobs).result()
    assert [job.name for job in gone.pipeline_jobs] == jobs
    with pytest.raises(exceptions.NotFound):
        pipelines.get_pipeline_job(name=jobs[0])
    with pytest.raises(exceptions.BadRequest, match="at most 32"):
        pipelines.batch_delete_pipeline_jobs(parent=PARENT, names=[jobs[0]] * 33)
