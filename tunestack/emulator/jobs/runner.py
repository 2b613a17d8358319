"""Jobs from acceptance to their end. Every state is on disk before what it stands for happens.

A job that trains waits for a slot (QUEUED), works (RUNNING), and ends. It may be begun again after a restart of
the emulator and comes to the same end: what it creates has a name that was drawn when the job was accepted.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.errors import failed_precondition, rpc_status
from tunestack.emulator.jobs.batch_prediction_job import BatchPredictionJob
from tunestack.emulator.jobs.custom_job import CustomJob
from tunestack.emulator.jobs.evaluation_run import EvaluationRun
from tunestack.emulator.jobs.kind import JobKind
from tunestack.emulator.jobs.outcomes import Outcome, Outcomes, display_name
from tunestack.emulator.jobs.pipeline_job import PipelineJob
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import ENDED, Ended, TaskCancelled, TaskFailed, short_state
from tunestack.emulator.jobs.training import Training
from tunestack.emulator.jobs.tuning_job import TuningJob

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

log = logging.getLogger("tunestack.emulator")

KINDS: dict[str, JobKind[Any]] = {
    kind.collection: kind
    for kind in (PipelineJob(), TuningJob(), CustomJob(), BatchPredictionJob(), EvaluationRun())
}


_STATES = {collection: kind.states for collection, kind in KINDS.items()}


class Runner:
    """Runs jobs; of those that train at most ``parallel`` at a time, in the order they were accepted."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.outcomes = Outcomes(state.database)
        self._slots = asyncio.Semaphore(state.options.parallel)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}

    def folder(self, name: str) -> Path:
        """``jobs/<project number>/<location>/<job id>``."""
        parts = name.split("/")
        return self.state.options.data / "jobs" / parts[1] / parts[3] / parts[5]

    def counts(self) -> Json:
        running = sum(1 for run in self._runs.values() if run.short_state == "RUNNING")
        return {"running": running, "waiting": len(self._tasks) - running}

    def live(self) -> list[Json]:
        """The jobs that have not ended."""
        return [{"name": run.name, "state": run.row["state"]} for run in self._runs.values()]

    def accept(self, row: Json) -> None:
        """Note a new job, inside the transaction that creates it; it starts once that is on disk."""
        name, database = row["name"], self.state.database
        kind = kind_of(name)
        notes = {
            "modelId": str(self.state.new_id()),
            "endpointId": str(self.state.new_id()),
            "deployedModelId": str(self.state.new_id()),
            "executionIds": [str(self.state.new_id()) for _ in range(8)],
            "starts": 0,
            "outcome": self.outcomes.take(kind.collection, kind.states, row),
        }
        database.execute(
            "INSERT INTO job VALUES (?, ?, ?)", name, database.next_number("job"), orjson.dumps(notes)
        )
        database.execute(
            "INSERT INTO submission (time, name, display_name, labels) VALUES (?, ?, ?, ?)",
            row["createTime"],
            name,
            display_name(row),
            orjson.dumps(row.get("labels", {})),
        )
        database.after_commit(lambda: self._begin(name))

    def take_up(self) -> None:
        """Go on with every job that an earlier process left unfinished."""
        for (name,) in self.state.database.execute("SELECT name FROM job ORDER BY sequence"):
            row = self.state.rows.find(name)
            if row is not None and short_state(row["state"]) not in ENDED:
                self._begin(name)

    def cancel(self, name: str) -> None:
        """Ask a job to end. Raises 400 FAILED_PRECONDITION where it has."""
        kind = kind_of(name)
        row = self.state.rows.get(name)
        if short_state(row["state"]) in ENDED:
            raise failed_precondition(f"{name} has ended ({row['state']}) and cannot be cancelled.")
        kind.open(self.state, name).change(state="CANCELLING")

        def interrupt() -> None:
            task = self._tasks.get(name)
            if task is not None:
                task.cancel()

        self.state.database.after_commit(interrupt)

    def forget(self, name: str) -> None:
        """Let go of an ended job whose row is deleted."""
        self.state.database.execute("DELETE FROM job WHERE name = ?", name)

    def script(self, body: Json) -> Json:
        """Keep an outcome for coming jobs."""
        return self.outcomes.add(body, _STATES).to_json()

    def move(self, body: Json) -> list[str]:
        """Give a script to the live jobs that fit it: their names. ``name`` picks one by its full name.

        It comes about at once, or with the next step of a training.
        """
        only = self.state.projects.canonical(body.pop("name", "*"))
        outcome = Outcome.from_json(body)
        outcome.check(_STATES)
        moved = []
        for run in list(self._runs.values()):
            kind = kind_of(run.name)
            fits = outcome.state in kind.states and outcome.fits(kind.collection, run.row)
            if fits and fnmatch.fnmatchcase(run.name, only):
                run.note(outcome=outcome.to_json())
                run.moved.set()
                moved.append(run.name)
        return moved

    async def stop(self) -> None:
        """End what runs; the jobs stay as they are and are taken up by the next start."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._run(name), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _run(self, name: str) -> None:
        kind = kind_of(name)
        run = kind.open(self.state, name)
        cancelled = rpc_status("CANCELLED", f"The {kind.noun} was cancelled.")
        self._runs[name] = run
        try:
            if run.short_state == "CANCELLING":
                # The emulator ended between the cancellation and the end of what it had started.
                await Training(run.folder).end()
                raise TaskCancelled
            await run.script_start()
            trains = kind.trains(run)
            if trains and self._slots.locked():
                run.change(state="QUEUED")
            slot: AbstractAsyncContextManager[None] = self._slots if trains else nullcontext()
            async with slot:
                run.change(state="RUNNING", startTime=run.row.get("startTime", self.state.now()))
                fields = await kind.work(run)
            outcome = run.notes.get("outcome") or {}
            partly = outcome.get("state") == "PARTIALLY_SUCCEEDED"
            run.change(
                state="PARTIALLY_SUCCEEDED" if partly else "SUCCEEDED", endTime=self.state.now(), **fields
            )
        except asyncio.CancelledError:
            # Cancelled by a caller, or the emulator stops: in both cases nothing may go on running.
            if run.training is not None:
                await run.training.end()
            if run.short_state == "CANCELLING":
                self._end(kind, run, "CANCELLED", cancelled)
            elif run.training is not None:
                run.training.forget_end()
        except TaskCancelled:
            self._end(kind, run, "CANCELLED", cancelled)
        except Ended as end:
            # Google fills `error` for FAILED and CANCELLED alone.
            self._end(kind, run, end.state, None)
        except TaskFailed as failure:
            self._end(kind, run, "FAILED", rpc_status(failure.status, failure.message))
        except Exception as error:
            log.exception("%s", name)
            words = f"the emulator failed: {type(error).__name__}: {error}"
            self._end(kind, run, "FAILED", rpc_status("INTERNAL", words))
        finally:
            self._runs.pop(name, None)

    def _end(self, kind: JobKind[Any], run: Run, state: str, error: Json | None) -> None:
        with self.state.database.transaction():
            kind.close(run, state, error)
            run.change(state=state, endTime=self.state.now(), error=error)


def kind_of(name: str) -> JobKind[Any]:
    """The kind of a job by its full name."""
    return KINDS[name.split("/")[4]]
