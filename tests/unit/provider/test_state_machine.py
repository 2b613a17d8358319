"""Every path of job states and commands, for every kind of job: the provider does what the table says, and no more.

The cloud is a table of jobs, the engine's state one resource; each command is a new provider process.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tunestack.provider.configuration import Configuration
from tunestack.provider.custom_job import CustomJobResource
from tunestack.provider.job_resource import JobResource
from tunestack.provider.pipeline_job import PipelineJobResource
from tunestack.provider.resource import Call, InitFailed, Refused, Session
from tunestack.provider.tuning_job import TuningJobResource
from tunestack.vertex.errors import Conflict, NotFound
from tunestack.vertex.job import JobCollection
from tunestack.vertex.job_state import STATES, Outcome, RetryCause, retry_allowed, state_rule
from tunestack.vertex.state_machine import STATE_MACHINE, Command, Deed, End, Standing, standing
from tunestack.vertex.state_machine_page import state_machine_page
from tunestack.vertex.timing import Timing

PARENT = "projects/acme/locations/us-central1"
DELETED = -1
CAUSES = [cause.value for cause in RetryCause]
ENDINGS = st.tuples(
    st.sampled_from(["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED", "PAUSED"]),
    st.sampled_from([None, 3, 8, 10, 13]),
)
RETRY = st.sampled_from([False, True, ["stockout"], ["preemption", "internal"]])
INPUTS: dict[type[JobResource[Any, Any]], dict[str, Any]] = {
    PipelineJobResource: {
        "displayName": "d",
        "templateUri": "https://us-kfp.pkg.dev/a/b/c/d",
        "parameterValues": {},
        "gcsOutputDirectory": "gs://acme/out",
    },
    TuningJobResource: {
        "baseModel": "gemini-2.5-flash",
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://acme/train.jsonl"},
    },
    CustomJobResource: {
        "displayName": "d",
        "jobSpec": {
            "workerPoolSpecs": [{"machineSpec": {"machineType": "n1"}, "containerSpec": {"imageUri": "i"}}]
        },
    },
}


@dataclass
class Cloud:
    """Jobs by name; a live one ends after two looks as ``ending`` says."""

    ending: tuple[str, int | None] = ("SUCCEEDED", None)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    created: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    submissions: int = 0

    def look(self, name: str) -> dict[str, Any]:
        job = self.jobs.get(name)
        if job is None:
            raise NotFound(404, "NOT_FOUND", name)
        if job["state"] == "CANCELLING":
            self.end(name, "CANCELLED", None)
        elif state_rule(job["state"]).outcome is Outcome.LIVE:
            job["looks"] += 1
            if job["looks"] >= 2 or job["state"] == "PAUSED":
                self.end(name, *job["ending"])
            else:
                job["state"] = "RUNNING"
        return self.view(name)

    def end(self, name: str, state: str, code: int | None) -> None:
        job = self.jobs[name]
        job["state"] = state
        job["error"] = {"code": code, "message": "it broke"} if code and state != "SUCCEEDED" else None
        if state == "SUCCEEDED" and "/customJobs/" not in name:
            job["model"] = f"{PARENT}/models/{name.rsplit('/', 1)[1]}"
            self.models.add(job["model"])

    def view(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        view = {key: value for key, value in job.items() if key not in ("looks", "ending", "model") and value}
        model = job.get("model")
        if model and "/pipelineJobs/" in name:
            metadata = {"output:model_resource_name": f"{model}@1"}
            task = {"taskName": "upload-llm-model", "execution": {"metadata": metadata}}
            view["jobDetail"] = {"taskDetails": [task]}
        elif model:
            view["tunedModel"] = {"model": f"{model}@1"}
        return view

    # What VertexClient offers

    async def create_job(
        self, collection: JobCollection, project: str, location: str, job: Any, *, job_id: Any, **_: Any
    ) -> dict[str, Any]:
        number = next(self.created)
        name = collection.name(project, location, job_id or str(number))
        if name in self.jobs:
            raise Conflict(409, "ALREADY_EXISTS", name)
        self.submissions += 1
        self.jobs[name] = {
            **job,
            "name": name,
            "state": "PENDING",
            "createTime": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z",
            "looks": 0,
            "ending": self.ending,
        }
        return self.view(name)

    async def get_job(self, collection: JobCollection, name: str, **_: Any) -> dict[str, Any]:
        return self.look(name)

    async def list_jobs(self, *_: Any, **__: Any) -> AsyncGenerator[dict[str, Any], None]:
        for name in list(self.jobs):
            yield self.view(name)

    async def cancel_job(self, collection: JobCollection, name: str) -> None:
        self.jobs[name]["state"] = "CANCELLING"

    async def delete_job(self, collection: JobCollection, name: str) -> None:
        assert collection.deletable
        assert state_rule(self.jobs[name]["state"]).terminal
        del self.jobs[name]

    async def get_model(self, name: str) -> dict[str, Any]:
        if name.partition("@")[0] not in self.models:
            raise NotFound(404, "NOT_FOUND", name)
        return {"name": name}

    async def list_model_versions(self, name: str) -> list[dict[str, Any]]:
        return [{**await self.get_model(name), "versionId": "1"}]

    async def delete_model(self, name: str) -> None:
        self.models.discard(name.partition("@")[0])


class Silent:
    async def status(self, message: str) -> None: ...
    async def info(self, message: str) -> None: ...
    async def warning(self, message: str) -> None: ...


class Paths(RuleBasedStateMachine):
    """One resource, one spec, any number of jobs."""

    @initialize(kind=st.sampled_from(sorted(INPUTS, key=str)), ending=ENDINGS)
    def begin(self, kind: type[JobResource[Any, Any]], ending: tuple[str, int | None]) -> None:
        self.kind = kind
        self.cloud = Cloud(ending)
        self.moments = itertools.count(1_767_225_600)
        self.retry: Any = False
        self.policy = "ABANDON"
        self.stored: tuple[str, dict[str, Any], dict[str, Any]] | None = None

    # The world

    @rule(ending=ENDINGS)
    def jobs_that_are_submitted_will_end_so(self, ending: tuple[str, int | None]) -> None:
        self.cloud.ending = ending

    @rule(retry=RETRY, policy=st.sampled_from(["ABANDON", "DELETE"]))
    def the_program_changes(self, retry: Any, policy: str) -> None:
        self.retry, self.policy = retry, policy

    @precondition(lambda self: self.cloud.jobs)
    @rule(data=st.data(), ending=ENDINGS)
    def something_happens_in_the_console(self, data: Any, ending: tuple[str, int | None]) -> None:
        name = data.draw(st.sampled_from(sorted(self.cloud.jobs)))
        job = self.cloud.jobs[name]
        live = state_rule(job["state"]).outcome is Outcome.LIVE
        deeds = ["end", "cancel"] if live else ["delete model"]
        if not live and self.kind.view.collection.deletable:
            deeds.append("delete record")
        deed = data.draw(st.sampled_from(deeds))
        if deed == "end":
            self.cloud.end(name, *ending)
        elif deed == "cancel":
            job["state"] = "CANCELLING"
        elif deed == "delete model":
            self.cloud.models.discard(job.get("model", ""))
        else:
            del self.cloud.jobs[name]

    @precondition(lambda self: self.stored is not None)
    @rule()
    def the_state_is_lost(self) -> None:
        self.stored = None

    # Commands

    @precondition(lambda self: self.stored is not None)
    @rule()
    def preview(self) -> None:
        before = self.cloud.submissions
        assert self.stored is not None
        _, outputs, inputs = self.stored
        resource = self.provider()
        differences = resource.differences(outputs, inputs, self.inputs())
        at = standing(outputs["state"], error_code=code_of(outputs), retry_failed=self.retry)
        assert ("state" in differences.changes) is (at is not Standing.SUCCEEDED)
        assert differences.replace is (at is Standing.RED_RETRIED)
        resource.preview(self.inputs(), outputs)
        assert self.cloud.submissions == before

    @rule()
    def up(self) -> None:
        if self.stored is None:
            self.up_anew()
            return
        id_, outputs, old_inputs = self.stored
        recorded = standing(outputs["state"], error_code=code_of(outputs), retry_failed=self.retry)
        inputs, resource = self.inputs(), self.provider()
        differences = resource.differences(outputs, old_inputs, inputs)
        if recorded is Standing.RED_RETRIED:
            assert differences.replace
            self.up_anew()
            assert self.stored is not None
            if self.stored[0] != id_:
                self.run(resource.delete(self.call(), id_, outputs, old_inputs))
            return
        if not differences.changes:
            assert recorded is Standing.SUCCEEDED
            return
        if id_ not in self.cloud.jobs and recorded is not Standing.SUCCEEDED:
            at = Standing.JOB_DELETED
        elif recorded is Standing.SUCCEEDED:
            at = recorded
        else:
            # What the state did not know of yet is only told: a retry follows with the next up.
            at = self.actual(id_, retry=False)
        self.held(
            STATE_MACHINE[at].deeds[Command.UP], resource.update(self.call(), id_, outputs, inputs), inputs
        )

    def up_anew(self) -> None:
        at = self.anew()
        deed = STATE_MACHINE[at].deeds[Command.UP_ANEW]
        if at is Standing.STOPPING and self.retry is True:
            deed = STATE_MACHINE[Standing.RED_RETRIED].deeds[Command.UP_ANEW]
        inputs = self.inputs()
        self.held(deed, self.provider().create(self.call(), inputs), inputs)

    @precondition(lambda self: self.stored is not None)
    @rule()
    def refresh(self) -> None:
        assert self.stored is not None
        id_, outputs, inputs = self.stored
        at = self.actual(id_)
        read = self.provider().read(self.call(), id_, outputs, inputs)
        self.held(STATE_MACHINE[at].deeds[Command.REFRESH], read, inputs)

    @precondition(lambda self: self.stored is None and self.cloud.jobs)
    @rule(data=st.data())
    def import_(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.cloud.jobs)))
        at = self.actual(name)
        read = self.provider().read(self.call(), name, {}, {})
        self.held(STATE_MACHINE[at].deeds[Command.IMPORT], read, self.inputs())

    @precondition(lambda self: self.stored is not None)
    @rule()
    def down(self) -> None:
        assert self.stored is not None
        id_, outputs, inputs = self.stored
        try:
            at = self.actual(id_)
            delete = self.provider().delete(self.call(), id_, outputs, inputs)
            self.held(STATE_MACHINE[at].deeds[Command.DOWN], delete, inputs)
        except Refused:
            assert self.cloud.jobs[id_]["state"] == "CANCELLING"
        job = self.cloud.jobs.get(id_)
        assert job is None or state_rule(job["state"]).terminal

    # What must always be true

    @invariant()
    def no_live_job_is_out_of_reach(self) -> None:
        for job in self.cloud.jobs.values() if hasattr(self, "cloud") else ():
            assert job["labels"]["tunestack-spec-hash"]

    # How it is done

    def inputs(self) -> dict[str, Any]:
        given = {**INPUTS[self.kind], "project": "acme", "location": "us-central1", "identity": {"x": "1"}}
        given |= {"retryFailed": self.retry, "deletionPolicy": self.policy}
        checked = self.provider().check(given)
        assert not checked.problems
        return dict(checked.inputs)

    def provider(self) -> JobResource[Any, Any]:
        self.now = 0.0

        async def sleep(seconds: float) -> None:
            self.now += seconds
            await asyncio.sleep(0)

        moment = next(self.moments)
        timing = Timing(lambda: self.now, sleep, lambda: float(moment), lambda: 0.5)
        configuration = Configuration(project="acme", endpoint="http://127.0.0.1:1")
        self.resource = self.kind(Session(configuration, self.cloud, None, None, timing))  # type: ignore[arg-type]
        return self.resource

    def call(self) -> Call:
        return Call("urn", "r", Silent(), asyncio.Event(), 30.0)

    def run(self, operation: Any) -> Any:
        return asyncio.run(operation)

    def actual(self, name: str, *, retry: bool = True) -> Standing:
        job = self.cloud.jobs.get(name)
        if job is None:
            return Standing.JOB_DELETED
        gone = "model" in job and job["model"] not in self.cloud.models
        code = (job.get("error") or {}).get("code")
        asked = self.retry if retry else False
        return standing(job["state"], model_deleted=gone, error_code=code, retry_failed=asked)

    def anew(self) -> Standing:
        """Of all jobs with the spec, by the table's order; a red end that a later success answered counts as none."""
        newest = sorted(
            self.cloud.jobs, key=lambda name: str(self.cloud.jobs[name]["createTime"]), reverse=True
        )
        stand = [self.actual(name) for name in newest]
        for first in (Standing.SUCCEEDED, Standing.LIVE):
            if first in stand:
                return first
        return stand[0] if stand else Standing.JOB_DELETED

    def held(self, deed: Deed, operation: Any, inputs: dict[str, Any]) -> None:
        """Runs it, and holds it against the table."""
        before = self.cloud.submissions
        kept: Any = None
        red = False
        try:
            result = self.run(operation)
            if hasattr(result, "outputs"):
                kept = (result.id, result.outputs, getattr(result, "inputs", inputs))
            elif isinstance(result, dict):
                assert self.stored is not None
                kept = (self.stored[0], result, inputs)
        except InitFailed as failure:
            red = True
            kept = (failure.id, failure.outputs, failure.inputs or inputs)
        self.stored = kept
        assert self.cloud.submissions - before == deed.submits
        assert (kept is None) is deed.forgets
        state = "" if kept is None else kept[1]["state"]
        if deed.end is End.AS_THE_JOB:
            assert red is (state_rule(state).outcome is not Outcome.SUCCESS)
        else:
            assert red is (deed.end in (End.RED, End.WARNS))
        if kept is not None and not red:
            assert state == "SUCCEEDED"


def code_of(outputs: dict[str, Any]) -> int | None:
    code = outputs.get("error", {}).get("code")
    return code if isinstance(code, int) else None


TestPaths = Paths.TestCase
TestPaths.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate, Phase.shrink),
)


def test_the_page_says_what_the_tables_say() -> None:
    page = (Path(__file__).parents[3] / "docs" / "state-machine.md").read_text(encoding="utf-8")
    assert page == state_machine_page(), (
        "stale: python -m tunestack.vertex.state_machine_page > docs/state-machine.md"
    )


def test_every_state_stands_somewhere_and_every_command_is_said() -> None:
    assert list(STATE_MACHINE) == list(Standing)
    for row in STATE_MACHINE.values():
        assert row.deeds.keys() == set(Command)
    told = " ".join(row.meaning for row in STATE_MACHINE.values())
    for state in STATES.keys() - {"UNSPECIFIED"}:
        assert state in told


@pytest.mark.parametrize("state", sorted(STATES))
@pytest.mark.parametrize("code", [None, 3, 4, 8, 10, 13, 14])
def test_a_job_is_sent_again_only_where_its_end_is_red_and_its_cause_was_named(
    state: str, code: int | None
) -> None:
    assert not retry_allowed(state, code, False)
    assert retry_allowed(state, code, CAUSES) <= (STATES[state].outcome is Outcome.RED)
    if state in ("CANCELLED", "PARTIALLY_SUCCEEDED") or code == 3:
        assert not retry_allowed(state, code, CAUSES)
