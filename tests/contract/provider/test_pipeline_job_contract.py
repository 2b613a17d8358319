"""PipelineJob over gRPC, in the engine's order, against a scripted Vertex AI."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tunestack.provider.values import UNKNOWN

JOB = "tunestack:vertex:PipelineJob"
INPUTS: dict[str, Any] = {
    "location": "us-central1",
    "displayName": "Sarcasm Classification",
    "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
    "parameterValues": {"train_steps": 90, "learning_rate_multiplier": 1.5, "model_display_name": "sarcasm"},
    "gcsOutputDirectory": "gs://acme-pipelines/runs",
    "identity": {"dataset-digest": "d1", "train_steps": "90"},
    "labels": {"job": "sarcasm"},
}


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs, problems = await engine.check(JOB, {**INPUTS, **changes})
    assert problems == {}
    return inputs


async def test_a_job_is_submitted_followed_and_its_model_named(engine: Any, vertex: Any) -> None:
    vertex.tune = {
        "phase": "training",
        "step": 31,
        "steps": 90,
        "loss": 0.41,
        "eval_loss": 0.52,
        "eta_seconds": 58,
    }
    inputs = await declared(engine)
    assert inputs["project"] == "acme"
    assert inputs["deletionPolicy"] == "ABANDON"
    id_, outputs = await engine.create(JOB, inputs)
    assert id_.startswith("projects/acme/locations/us-central1/pipelineJobs/sarcasm-classification-")
    assert outputs["state"] == "SUCCEEDED"
    assert outputs["model"].endswith("@1")
    assert "/endpoints/" in outputs["endpoint"]
    assert outputs["durationSeconds"] == 60.5
    assert outputs["adopted"] is False
    assert vertex.jobs[id_]["labels"]["tunestack-spec-hash"] == outputs["specHash"]
    assert vertex.jobs[id_]["runtimeConfig"]["parameterValues"]["train_steps"] == 90
    assert await engine.diff(JOB, id_, outputs, inputs, inputs) == ({}, False)


async def test_interrupted_while_tuning_the_id_is_kept_and_the_next_up_resumes(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    vertex.states = ["PENDING", "RUNNING"]
    reached = asyncio.Event()
    vertex.looked = lambda count: reached.set() if count >= 5 else None
    inputs = await declared(engine)
    create = asyncio.ensure_future(engine.create(JOB, inputs))
    await reached.wait()
    await engine.cancel()
    await engine.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create
    failure = engine.partial(caught.value)
    assert failure.id in vertex.jobs
    assert failure.outputs["state"] == "RUNNING"
    assert "still RUNNING" in failure.reasons[0]
    assert "tunestack up" in failure.reasons[0]

    vertex.jobs[failure.id]["states"] = ["RUNNING", "RUNNING", "SUCCEEDED"]
    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    again = await declared(second)
    assert await second.diff(JOB, failure.id, failure.outputs, inputs, again) == ({"state": "UPDATE"}, False)
    preview = await second.update(JOB, failure.id, failure.outputs, again, preview=True)
    assert preview["model"] is UNKNOWN
    outputs = await second.update(JOB, failure.id, failure.outputs, again)
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1


async def test_a_preview_asks_nothing_of_the_cloud(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    _, outputs = await engine.create(JOB, inputs, preview=True)
    assert outputs["model"] is UNKNOWN
    assert outputs["state"] is UNKNOWN
    assert len(outputs["specHash"]) == 32
    unknown = await declared(engine, identity={"dataset-digest": UNKNOWN})
    _, outputs = await engine.create(JOB, unknown, preview=True)
    assert outputs["specHash"] is UNKNOWN
    assert vertex.requests == []


async def test_what_is_deleted_is_deleted_in_order(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine, deletionPolicy="DELETE")
    id_, outputs = await engine.create(JOB, inputs)
    read_id, _, read_inputs = await engine.read(JOB, id_, outputs, inputs)
    assert (read_id, read_inputs) == (id_, inputs)
