"""Every kind of job × every end, against the emulator: submitted exactly as often as was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.vertex.timing import Timing

TRAINER = Path(__file__).parents[1] / "emulator" / "trainer"
TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"
TURNS = [
    {
        "contents": [
            {"role": "user", "parts": [{"text": f"w{i}"}]},
            {"role": "model", "parts": [{"text": "a"}]},
        ]
    }
    for i in range(16)
]
LINES = "".join(json.dumps(row) + "\n" for row in TURNS).encode()
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "pipelineJobs": (
        "tunestack:vertex:PipelineJob",
        {
            "displayName": "d",
            "templateUri": TEMPLATE,
            "parameterValues": {
                "project": "p1",
                "location": "us-central1",
                "model_display_name": "m",
                "dataset_uri": "gs://acme-jobs/rows.jsonl",
            },
            "gcsOutputDirectory": "gs://acme-jobs/out",
        },
    ),
    "tuningJobs": (
        "tunestack:vertex:TuningJob",
        {
            "baseModel": "gemini-2.5-flash",
            "supervisedTuningSpec": {
                "trainingDatasetUri": "gs://acme-jobs/rows.jsonl",
                "hyperParameters": {"epochCount": 2, "adapterSize": "ADAPTER_SIZE_FOUR"},
            },
        },
    ),
    "customJobs": (
        "tunestack:vertex:CustomJob",
        {
            "displayName": "d",
            "jobSpec": {
                "workerPoolSpecs": [
                    {
                        "machineSpec": {"machineType": "n1-standard-4"},
                        "replicaCount": 1,
                        "containerSpec": {"imageUri": "europe-docker.pkg.dev/p1/trainers/hf@sha256:0"},
                    }
                ]
            },
        },
    ),
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))
named_by_the_server = pytest.mark.parametrize("kind", ["tuningJobs", "customJobs"])


class BriskClock:
    """Real time, short pauses."""

    def timing(self) -> Timing:
        return Timing(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.02)))


@pytest.fixture
def clock() -> BriskClock:
    return BriskClock()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("jobs-emulator")
    (folder / "base-model").mkdir()
    (folder / "base-model" / "config.json").write_text(json.dumps({"step_seconds": 0.01}))
    options = EmulatorOptions(
        data=folder / "data", port=0, trainer=TRAINER, base_model=folder / "base-model", parallel_jobs=2
    )
    http = httpx.Client(base_url=process.start(options).url, timeout=30)
    http.post("/storage/v1/b", params={"project": "p1"}, json={"name": "acme-jobs"}).raise_for_status()
    upload = {"uploadType": "media", "name": "rows.jsonl"}
    http.post("/upload/storage/v1/b/acme-jobs/o", params=upload, content=LINES).raise_for_status()
    yield http
    http.close()
    process.stop(options.data)


@dataclass
class Run:
    """One resource of one kind, with an identity of its own."""

    new_engine: Any
    http: httpx.Client
    kind: str
    seed: str
    hash: str = ""

    async def engine(self, project: str = "p1") -> Any:
        engine = await self.new_engine()
        await engine.configure(
            project=project, endpoint=str(self.http.base_url).rstrip("/"), accessToken="local"
        )
        return engine

    @property
    def token(self) -> str:
        return KINDS[self.kind][0]

    async def inputs(self, engine: Any, **changes: Any) -> dict[str, Any]:
        given = {"location": "us-central1", "identity": {"seed": self.seed}, **KINDS[self.kind][1], **changes}
        checked, problems = await engine.check(self.token, given)
        assert problems == {}
        _, outputs = await engine.create(self.token, checked, preview=True)
        self.hash = outputs["specHash"]
        return dict(checked)

    def script(self, **outcome: Any) -> None:
        body = {"kind": self.kind, "labels": {"tunestack-spec-hash": self.hash}, **outcome}
        self.http.post("/_local/outcomes", json=body).raise_for_status()

    def fault(self, **fault: Any) -> None:
        method = f"aiplatform.projects.locations.{self.kind}.create"
        self.http.post("/_local/faults", json={"method": method, **fault}).raise_for_status()

    @property
    def submissions(self) -> int:
        return int(self.http.get("/_local/submissions").json()["bySpecHash"].get(self.hash, 0))

    async def failure(self, engine: Any, operation: Any) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await operation
        return engine.partial(caught.value)


@pytest.fixture
def run(new_engine: Any, emulator: httpx.Client, kind: str, request: pytest.FixtureRequest) -> Run:
    return Run(new_engine, emulator, kind, request.node.name)


@every_kind
async def test_success_is_green_adopted_refreshed_imported_and_taken_away(run: Run) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine, deletionPolicy="DELETE")
    run.script(state="SUCCEEDED")
    id_, outputs = await engine.create(run.token, inputs)
    assert (outputs["state"], outputs["adopted"]) == ("SUCCEEDED", False)
    assert await engine.diff(run.token, id_, outputs, inputs, inputs) == ({}, False)
    second = await run.engine()
    again, adopted = await second.create(run.token, await run.inputs(second, deletionPolicy="DELETE"))
    assert (again, adopted["adopted"]) == (id_, True)
    _, _, imported = await second.read(run.token, id_, {}, {})
    assert imported == {
        **{key: value for key, value in inputs.items() if key != "identity"},
        "deletionPolicy": "ABANDON",
    }
    elsewhere = await run.engine("another-project")
    by_id = "/".join(["projects", "p1", *id_.split("/")[2:]])  # Google's own name has the project's number
    assert (await elsewhere.read(run.token, by_id, {}, {}))[2]["project"] == "p1"
    third = await run.engine()
    await third.delete(run.token, id_, adopted, inputs)
    for gone in [outputs.get("model"), outputs.get("endpoint"), None if run.kind == "tuningJobs" else id_]:
        assert gone is None or run.http.get(f"/v1/{gone}").status_code == 404
    assert run.submissions == 1


@every_kind
@pytest.mark.parametrize(
    ("outcome", "causes", "retried"),
    [
        ({"cause": "stockout"}, ["stockout"], True),
        ({"cause": "preemption"}, ["stockout", "preemption"], True),
        ({"cause": "data"}, ["stockout", "preemption", "internal", "deadline"], False),
        ({"state": "CANCELLED"}, ["stockout", "preemption", "internal", "deadline"], False),
        ({"state": "CANCELLED"}, True, True),
    ],
)
async def test_a_red_end_is_submitted_again_only_for_a_cause_that_was_asked_for(
    run: Run, outcome: dict[str, Any], causes: Any, retried: bool
) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine, retryFailed=causes)
    run.script(**outcome)
    failure = await run.failure(engine, engine.create(run.token, inputs))
    assert failure.outputs["state"] == outcome.get("state", "FAILED")
    second = await run.engine()
    again = await run.inputs(second, retryFailed=causes)
    _, replaces = await second.diff(run.token, failure.id, failure.outputs, inputs, again)
    assert replaces is retried
    run.script(state="SUCCEEDED")
    if retried:
        _, outputs = await second.create(run.token, again)
        assert outputs["state"] == "SUCCEEDED"
    else:
        await run.failure(second, second.update(run.token, failure.id, failure.outputs, again))
        await run.failure(second, second.create(run.token, again))
    assert run.submissions == 1 + retried


@named_by_the_server
@pytest.mark.parametrize("state", ["EXPIRED", "PARTIALLY_SUCCEEDED"])
async def test_the_ends_that_only_jobs_have_are_red_too(run: Run, state: str) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine)
    run.script(state=state)
    failure = await run.failure(engine, engine.create(run.token, inputs))
    assert failure.outputs["state"] == state
    await run.failure(engine, engine.read(run.token, failure.id, failure.outputs, inputs))


@every_kind
async def test_a_job_stopped_in_the_console_is_red_and_stays_the_only_one(run: Run) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine)
    run.script(state="RUNNING")
    create = asyncio.ensure_future(engine.create(run.token, inputs))
    while not (ids := [line.split()[1] for line in engine.lines if line.startswith("RUNNING ")]):
        await asyncio.sleep(0.02)
    name = f"projects/p1/locations/us-central1/{run.kind}/{ids[0]}"
    run.http.post(f"/v1/{name}:cancel", json={}).raise_for_status()
    failure = await run.failure(engine, create)
    assert failure.outputs["state"] == "CANCELLED"
    for _ in range(2):
        second = await run.engine()
        await run.failure(second, second.update(run.token, failure.id, failure.outputs, inputs))
        await run.failure(second, second.create(run.token, inputs))
    assert run.submissions == 1


@every_kind
async def test_a_paused_job_is_waited_for_and_resumed(run: Run) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine)
    run.script(state="PAUSED")
    failure = await run.failure(engine, engine.create(run.token, inputs, timeout=1))
    assert failure.outputs["state"] == "PAUSED"
    assert "still PAUSED" in failure.reasons[0]
    second = await run.engine()
    update = asyncio.ensure_future(second.update(run.token, failure.id, failure.outputs, inputs))
    run.http.post("/_local/jobs", json={"name": failure.id, "state": "SUCCEEDED"}).raise_for_status()
    assert (await update)["state"] == "SUCCEEDED"
    assert run.submissions == 1


@every_kind
@pytest.mark.parametrize(
    "fault", [{"truncateAfter": 0}, {"status": 503}, {"status": 429}], ids=["answer-lost", "503", "429"]
)
async def test_a_broken_create_call_is_one_submission(run: Run, fault: dict[str, Any]) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine)
    run.script(state="SUCCEEDED")
    run.fault(**fault)
    _, outputs = await engine.create(run.token, inputs)
    assert (outputs["state"], outputs["adopted"], run.submissions) == ("SUCCEEDED", False, 1)


@every_kind
async def test_a_running_job_is_cancelled_and_waited_for_at_its_deletion(run: Run) -> None:
    engine = await run.engine()
    inputs = await run.inputs(engine, wait=False)
    run.script(state="RUNNING")
    id_, outputs = await engine.create(run.token, inputs)
    second = await run.engine()
    await second.delete(run.token, id_, outputs, inputs)
    answer = run.http.get(f"/v1/{id_}")
    if run.kind == "tuningJobs":
        assert answer.json()["state"] == "JOB_STATE_CANCELLED"
    else:
        assert answer.status_code == 404


@pytest.mark.parametrize("kind", ["tuningJobs"])
async def test_a_tuning_job_really_trains_and_tells_what_it_did(run: Run) -> None:
    engine = await run.engine()
    id_, outputs = await engine.create(run.token, await run.inputs(engine))
    assert outputs["tuningDataStats"]["tuningDatasetExampleCount"] == "16"
    assert run.http.get(f"/v1/{outputs['model']}").status_code == 200
    assert run.http.get(f"/v1/{outputs['endpoint']}").status_code == 200
    assert id_.startswith("projects/")
    assert outputs["durationSeconds"] > 0
