"""The provider against the emulator, with a small trainer: the two must agree on everything that both know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from blake3 import blake3

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.vertex.timing import Timing

JOB = "tunestack:vertex:PipelineJob"
EVALUATION = "tunestack:vertex:Evaluation"
TRAINER = Path(__file__).parents[1] / "emulator" / "trainer"
PARENT = "projects/p1/locations/us-central1"
ROWS = [{"input_text": f"word{i} of a text", "output_text": f"label{i % 2}"} for i in range(16)]
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


class BriskClock:
    """Real time, short pauses: the emulator's trainer needs a second."""

    def timing(self) -> Timing:
        return Timing(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.05)))


@pytest.fixture
def clock() -> BriskClock:
    return BriskClock()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("provider-emulator")
    (folder / "base-model").mkdir()
    (folder / "base-model" / "config.json").write_text(json.dumps({"step_seconds": 0.02}))
    options = EmulatorOptions(
        data=folder / "data", port=0, trainer=TRAINER, base_model=folder / "base-model", parallel_jobs=2
    )
    http = httpx.Client(base_url=process.start(options).url, timeout=30)
    http.post("/storage/v1/b", params={"project": "p1"}, json={"name": "acme-data"}).raise_for_status()
    upload = http.post(
        "/upload/storage/v1/b/acme-data/o",
        params={"uploadType": "media", "name": "rows.jsonl"},
        content=JSON_LINES,
    )
    upload.raise_for_status()
    yield http
    http.close()
    process.stop(options.data)


@pytest.fixture
async def local(new_engine: Any, emulator: httpx.Client) -> Any:
    return await started(new_engine, emulator)


async def started(new_engine: Any, emulator: httpx.Client) -> Any:
    engine = await new_engine()
    await engine.configure(project="p1", endpoint=str(emulator.base_url).rstrip("/"), accessToken="local")
    return engine


async def declared(engine: Any, seed: str, steps: int = 40, **changes: Any) -> dict[str, Any]:
    inputs = {
        "location": "us-central1",
        "displayName": f"Job {seed}",
        "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
        "parameterValues": {
            "project": "p1",
            "location": "us-central1",
            "model_display_name": "a model",
            "dataset_uri": "gs://acme-data/rows.jsonl",
            "evaluation_data_uri": "gs://acme-data/rows.jsonl",
            "train_steps": steps,
        },
        "gcsOutputDirectory": "gs://acme-data/out",
        "identity": {"seed": seed},
        "labels": {"job": "sarcasm"},
        **changes,
    }
    checked, problems = await engine.check(JOB, inputs)
    assert problems == {}
    return dict(checked)


def submissions(emulator: httpx.Client, inputs: dict[str, Any]) -> int:
    jobs = emulator.get(f"/v1/{PARENT}/pipelineJobs").json().get("pipelineJobs", [])
    return sum(job["displayName"] == inputs["displayName"] for job in jobs)


async def test_a_model_is_tuned_judged_adopted_and_taken_away(
    local: Any, new_engine: Any, emulator: httpx.Client
) -> None:
    inputs = await declared(local, "whole")
    id_, outputs = await local.create(JOB, inputs)
    assert outputs["state"] == "SUCCEEDED"
    assert outputs["tuning"]["steps"] == 40
    assert outputs["durationSeconds"] > 0
    assert any(line.startswith("tune ") and " % · step " in line for line in local.lines)

    judged = {
        "location": "us-central1",
        "endpoint": outputs["endpoint"],
        "baseModel": "publishers/google/models/text-bison@001",
        "task": "classification",
        "labels": ["label0", "label1"],
        "heldOut": [
            {"name": "rows", "uri": "gs://acme-data/rows.jsonl", "digest": blake3(JSON_LINES).hexdigest()}
        ],
        "gate": [{"set": "rows", "metric": "accuracy", "aboveBase": 0.2}],
        "maxOutputTokens": 8,
        "reportDirectory": "gs://acme-data/reports",
    }
    checked, problems = await local.check(EVALUATION, judged)
    assert problems == {}
    _, evaluated = await local.create(EVALUATION, checked)
    assert evaluated["verdict"] == "PASS"
    name = evaluated["reportUri"].removeprefix("gs://acme-data/")
    report = emulator.get(
        f"/storage/v1/b/acme-data/o/{name.replace('/', '%2F')}", params={"alt": "media"}
    ).text
    assert "Simulated" in report

    second = await started(new_engine, emulator)
    adopted_id, adopted = await second.create(JOB, await declared(second, "whole"))
    assert (adopted_id, adopted["adopted"]) == (id_, True)
    assert await second.read(JOB, id_, adopted, inputs) == (id_, adopted, inputs)
    _, _, imported = await second.read(JOB, id_, {}, {})
    assert imported == {key: value for key, value in inputs.items() if key != "identity"}

    third = await started(new_engine, emulator)
    await third.delete(JOB, id_, adopted, {**inputs, "deletionPolicy": "DELETE"})
    for gone in (id_, outputs["model"], outputs["endpoint"]):
        assert emulator.get(f"/v1/{gone}").status_code == 404


async def test_a_lost_answer_is_one_submission_on_the_emulator_too(
    local: Any, emulator: httpx.Client
) -> None:
    fault = {"method": "aiplatform.projects.locations.pipelineJobs.create", "truncateAfter": 0}
    emulator.post("/_local/faults", json=fault).raise_for_status()
    inputs = await declared(local, "lost", steps=5)
    _, outputs = await local.create(JOB, inputs)
    assert outputs["state"] == "SUCCEEDED"
    assert submissions(emulator, inputs) == 1


async def test_interrupted_and_resumed_on_the_emulator_it_is_one_submission(
    local: Any, new_engine: Any, emulator: httpx.Client
) -> None:
    inputs = await declared(local, "interrupted", steps=150)
    create = asyncio.ensure_future(local.create(JOB, inputs))
    while not any("step" in line for line in local.lines):
        await asyncio.sleep(0.02)
    await local.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create
    failure = local.partial(caught.value)
    second = await started(new_engine, emulator)
    outputs = await second.update(
        JOB, failure.id, failure.outputs, await declared(second, "interrupted", steps=150)
    )
    assert outputs["state"] == "SUCCEEDED"
    assert submissions(emulator, inputs) == 1


async def test_a_live_job_is_cancelled_and_taken_away(
    local: Any, new_engine: Any, emulator: httpx.Client
) -> None:
    inputs = await declared(local, "doomed", steps=5000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await local.create(JOB, inputs, timeout=0.5)
    failure = local.partial(caught.value)
    second = await started(new_engine, emulator)
    await second.delete(JOB, failure.id, failure.outputs, inputs)
    assert emulator.get(f"/v1/{failure.id}").status_code == 404


async def test_what_the_template_refuses_is_said_and_nothing_is_left(
    local: Any, emulator: httpx.Client
) -> None:
    inputs = await declared(local, "refused")
    inputs["parameterValues"]["train_stepz"] = 3
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await local.create(JOB, inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "train_stepz" in str(caught.value.details())
    assert submissions(emulator, inputs) == 0
