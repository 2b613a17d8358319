"""Every kind of job × every state, in the engine's order: check, diff, create, cancel, update, read, delete.

What is expected follows from the table's row alone (``tunestack.vertex.job_state``), so a new state cannot be left out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tunestack.vertex.job_state import STATES, Outcome

TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"
POOL = {
    "machineSpec": {"machineType": "n1-standard-4"},
    "replicaCount": 1,
    "containerSpec": {"imageUri": "us-docker.pkg.dev/acme/trainers/hf@sha256:0"},
}
INPUTS: dict[str, dict[str, Any]] = {
    "tunestack:vertex:PipelineJob": {
        "location": "us-central1",
        "displayName": "Sarcasm",
        "templateUri": TEMPLATE,
        "parameterValues": {"train_steps": 90},
        "gcsOutputDirectory": "gs://acme-pipelines/runs",
    },
    "tunestack:vertex:TuningJob": {
        "location": "us-central1",
        "baseModel": "gemini-2.5-flash",
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://acme-data/train.jsonl"},
    },
    "tunestack:vertex:CustomJob": {
        "location": "us-central1",
        "displayName": "Sarcasm",
        "jobSpec": {"workerPoolSpecs": [POOL]},
    },
}
KEEPS_ITS_RECORD = "tunestack:vertex:TuningJob"
every_kind = pytest.mark.parametrize("token", INPUTS, ids=lambda token: token.rsplit(":", 1)[1])


def states(outcome: Outcome) -> Any:
    return pytest.mark.parametrize(
        "state", [rule.state for rule in STATES.values() if rule.outcome is outcome]
    )


class Run:
    """One resource under a new engine process for each operation, as between two commands."""

    def __init__(self, new_engine: Any, vertex: Any, token: str) -> None:
        self.new_engine = new_engine
        self.vertex = vertex
        self.token = token
        self.id = ""
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.difference: tuple[dict[str, str], bool] = ({}, False)
        self.partial: Any = None

    async def process(self) -> Any:
        """A new process of the provider."""
        engine = await self.new_engine()
        self.partial = engine.partial
        await engine.configure(project="acme", endpoint=self.vertex.endpoint)
        return engine

    async def engine(self, **changes: Any) -> Any:
        """One that has checked the program's inputs, and compared them where there is something in state."""
        engine = await self.process()
        news, problems = await engine.check(self.token, {**INPUTS[self.token], **changes})
        assert problems == {}
        if self.id:
            self.difference = await engine.diff(self.token, self.id, self.outputs, self.inputs, news)
        self.inputs = dict(news)
        return engine

    async def fails(self, operation: Any) -> Any:
        """The partial failure that an operation ends with; what it leaves is in state from then on."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await operation
        failure = self.partial(caught.value)
        assert failure.id in self.vertex.jobs
        assert failure.reasons
        self.id, self.outputs = failure.id, failure.outputs
        return failure

    @property
    def creations(self) -> int:
        return sum(method == "POST" and path.endswith("Jobs") for method, path in self.vertex.requests)

    async def deleted(self) -> None:
        """Destroys it, twice: what is gone is fine."""
        for _ in range(2):
            engine = await self.process()
            await engine.delete(self.token, self.id, self.outputs, self.inputs)
        assert list(self.vertex.jobs) == ([self.id] if self.token == KEEPS_ITS_RECORD else [])
        assert self.creations == 1


@pytest.fixture
def run(new_engine: Any, vertex: Any, token: str) -> Run:
    return Run(new_engine, vertex, token)


@every_kind
@states(Outcome.SUCCESS)
async def test_a_success_is_green_clean_and_judged_by_nobody_again(run: Run, vertex: Any, state: str) -> None:
    vertex.states = ["PENDING", "RUNNING", state]
    engine = await run.engine(deletionPolicy="DELETE")
    _, previewed = await engine.create(run.token, run.inputs, preview=True)
    assert previewed["specHash"]
    assert vertex.requests == []
    run.id, run.outputs = await engine.create(run.token, run.inputs)
    await engine.cancel()
    engine = await run.engine(deletionPolicy="DELETE")
    assert run.difference == ({}, False)
    assert await engine.read(run.token, run.id, run.outputs, run.inputs) == (run.id, run.outputs, run.inputs)
    engine = await run.engine(deletionPolicy="DELETE", labels={"team": "nlp"})
    assert run.difference == ({"labels.team": "ADD"}, False)
    run.outputs = await engine.update(run.token, run.id, run.outputs, run.inputs)
    assert (run.outputs["state"], run.creations) == (state, 1)
    await run.deleted()
    assert (vertex.models, vertex.endpoints) == ({}, {})


@every_kind
@states(Outcome.RED)
async def test_a_red_end_is_red_in_every_command_until_it_is_taken_away(
    run: Run, vertex: Any, state: str
) -> None:
    vertex.states, vertex.error = ["RUNNING", state], {"code": 3, "message": "row 12 is no JSON"}
    engine = await run.engine()
    created = await run.fails(engine.create(run.token, run.inputs))
    engine = await run.engine()
    assert run.difference == ({"state": "UPDATE"}, False)
    updated = await run.fails(engine.update(run.token, run.id, run.outputs, run.inputs))
    engine = await run.engine()
    read = await run.fails(engine.read(run.token, run.id, run.outputs, run.inputs))
    assert [end.outputs["state"] for end in (created, updated, read)] == [state] * 3
    assert created.reasons == updated.reasons == read.reasons
    assert (run.id, run.creations) == (created.id, 1)
    await run.deleted()


@every_kind
@states(Outcome.LIVE)
async def test_a_live_state_is_let_go_at_an_interrupt_and_gone_on_with(
    run: Run, vertex: Any, state: str
) -> None:
    vertex.states = [state]
    engine = await run.engine()
    failure = await interrupted(run, vertex, engine, engine.create(run.token, run.inputs))
    assert failure.outputs["state"] == state
    engine = await run.engine()
    assert run.difference == ({"state": "UPDATE"}, False)
    again = await interrupted(run, vertex, engine, engine.update(run.token, run.id, run.outputs, run.inputs))
    assert (again.id, again.outputs["state"]) == (failure.id, state)
    engine = await run.engine()
    seen = await run.fails(engine.read(run.token, run.id, run.outputs, run.inputs))
    assert (seen.id, seen.outputs["state"]) == (failure.id, state)
    vertex.jobs[run.id]["states"] = [state, "SUCCEEDED"]
    engine = await run.engine()
    run.outputs = await engine.update(run.token, run.id, run.outputs, run.inputs)
    assert (run.outputs["state"], run.creations) == ("SUCCEEDED", 1)
    await run.engine()
    assert run.difference == ({}, False)


@every_kind
@states(Outcome.LIVE)
async def test_a_live_state_is_cancelled_and_waited_for_by_a_delete(
    run: Run, vertex: Any, state: str
) -> None:
    vertex.states = [state]
    engine = await run.engine()
    await interrupted(run, vertex, engine, engine.create(run.token, run.inputs))
    await run.deleted()
    assert [path for _, path in vertex.requests if path.endswith(":cancel")]
    if run.token == KEEPS_ITS_RECORD:
        assert vertex.jobs[run.id]["states"] == ["CANCELLED"]


async def interrupted(run: Run, vertex: Any, engine: Any, operation: Any) -> Any:
    """The partial failure of an operation that waits for a job and is cancelled then."""
    waits = asyncio.Event()
    before = vertex.looks
    vertex.looked = lambda count: waits.set() if count >= before + 3 else None
    task = asyncio.ensure_future(operation)
    await waits.wait()
    await engine.cancel()
    failure = await run.fails(task)
    vertex.looked = lambda count: None
    return failure
