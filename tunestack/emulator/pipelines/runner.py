"""Pipeline jobs from acceptance to their end. Every state is on disk before what it stands for happens.

A job waits for a slot (QUEUED), runs its template's tasks in order (RUNNING), and ends SUCCEEDED, FAILED or
CANCELLED. Each task may be begun again after a restart of the emulator and comes to the same end: what it
creates has a name that was drawn when the job was accepted.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.errors import rpc_status
from tunestack.emulator.pipelines.outcomes import Outcomes
from tunestack.emulator.pipelines.run import Run
from tunestack.emulator.pipelines.states import ENDED, TaskCancelled, TaskFailed
from tunestack.emulator.pipelines.templates import Template, find_template
from tunestack.emulator.pipelines.tune_large_model import TASKS

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

log = logging.getLogger("tunestack.emulator")


class Runner:
    """Runs jobs, at most ``parallel`` at a time, in the order they were accepted."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.outcomes = Outcomes()
        self._slots = asyncio.Semaphore(state.options.parallel)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}

    def folder(self, name: str) -> Path:
        """``jobs/<project number>/<location>/<pipeline job id>``."""
        parts = name.split("/")
        return self.state.options.data / "jobs" / parts[1] / parts[3] / parts[5]

    def counts(self) -> Json:
        running = sum(1 for run in self._runs.values() if run.row["state"] == "PIPELINE_STATE_RUNNING")
        return {"running": running, "waiting": len(self._tasks) - running}

    def accept(self, row: Json) -> None:
        """Note a new job, inside the transaction that creates it; it starts once that is on disk."""
        notes = {
            "modelId": str(self.state.new_id()),
            "endpointId": str(self.state.new_id()),
            "deployedModelId": str(self.state.new_id()),
            "executionIds": [str(self.state.new_id()) for _ in range(8)],
            "starts": 0,
            "outcome": self.outcomes.take(row.get("displayName", "")),
        }
        self.state.database.execute(
            "INSERT INTO job VALUES (?, ?, ?)",
            row["name"],
            self.state.database.next_number("job"),
            orjson.dumps(notes),
        )
        self.state.database.after_commit(lambda: self._begin(row["name"]))

    def take_up(self) -> None:
        """Go on with every job that an earlier process left unfinished."""
        for (name,) in self.state.database.execute("SELECT name FROM job ORDER BY sequence"):
            row = self.state.rows.find(name)
            if row is not None and row["state"] not in ENDED:
                self._begin(name)

    def cancel(self, name: str) -> None:
        row = self.state.rows.get(name)
        self.state.rows.put(
            name, {**row, "state": "PIPELINE_STATE_CANCELLING", "updateTime": self.state.now()}
        )

        def interrupt() -> None:
            task = self._tasks.get(name)
            if task is not None:
                task.cancel()

        self.state.database.after_commit(interrupt)

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
        row = self.state.rows.get(name)
        template = find_template(row.get("templateUri", ""))
        run = Run(self.state, name, template or Template("unknown", {}, ()))
        self._runs[name] = run
        try:
            if row["state"] == "PIPELINE_STATE_CANCELLING":
                raise TaskCancelled
            if self._slots.locked():
                run.change(state="PIPELINE_STATE_QUEUED")
            async with self._slots:
                await self._run_tasks(run, template)
        except asyncio.CancelledError:
            await self._interrupted(run)
        except TaskCancelled:
            self._end(run, "CANCELLED", rpc_status("CANCELLED", "The pipeline job was cancelled."))
        except TaskFailed as failure:
            self._end(run, "FAILED", rpc_status(failure.status, failure.message))
        except Exception as error:
            log.exception("%s", name)
            self._end(
                run, "FAILED", rpc_status("INTERNAL", f"the emulator failed: {type(error).__name__}: {error}")
            )
        finally:
            self._runs.pop(name, None)

    async def _run_tasks(self, run: Run, template: Template | None) -> None:
        now = self.state.now()
        run.change(state="PIPELINE_STATE_RUNNING", startTime=run.row.get("startTime", now))
        if template is None:
            what = run.row.get("templateUri") or "a pipeline_spec without template_uri"
            raise TaskFailed(
                "UNIMPLEMENTED",
                f"the emulator does not play {what}: it has tune-large-model"
                " (https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0)",
            )
        if "jobDetail" not in run.row:
            run.change(jobDetail=self._job_detail(run, template))
        for name in template.tasks:
            if run.task(name)["state"] == "SUCCEEDED":
                continue
            if run.task(name)["state"] != "RUNNING":
                run.change_task(name, state="RUNNING", startTime=self.state.now())
            self._suffer(run, name, None)
            metadata = await TASKS[name](run)
            run.change_task(name, state="SUCCEEDED", endTime=self.state.now(), metadata=metadata)
        run.change(state="PIPELINE_STATE_SUCCEEDED", endTime=self.state.now())

    def suffer_step(self, run: Run, step: int) -> None:
        """A scripted outcome that waits for a step of the tuning."""
        self._suffer(run, "tune", step)

    def _suffer(self, run: Run, task: str, step: int | None) -> None:
        outcome = run.notes.get("outcome")
        if not outcome or outcome["task"] != task:
            return
        due = outcome["afterStep"] is None if step is None else step >= (outcome["afterStep"] or 0)
        if due and outcome["state"] == "CANCELLED":
            raise TaskCancelled
        if due:
            raise TaskFailed(outcome["status"], outcome["message"])

    async def _interrupted(self, run: Run) -> None:
        """Cancelled by a caller, or the emulator stops: in both cases nothing may go on running."""
        if run.training is not None:
            await run.training.end()
        if run.row["state"] == "PIPELINE_STATE_CANCELLING":
            self._end(run, "CANCELLED", rpc_status("CANCELLED", "The pipeline job was cancelled."))
        elif run.training is not None:
            run.training.forget_end()

    def _end(self, run: Run, state: str, error: Json) -> None:
        now = self.state.now()
        with self.state.database.transaction():
            for detail in run.row.get("jobDetail", {}).get("taskDetails", []):
                if detail["state"] == "RUNNING":
                    run.change_task(detail["taskName"], state=state, endTime=now, error=error)
                elif detail["state"] == "PENDING":
                    run.change_task(detail["taskName"], state="NOT_TRIGGERED")
            run.change(state=f"PIPELINE_STATE_{state}", endTime=now, error=error)

    def _job_detail(self, run: Run, template: Template) -> Json:
        now = self.state.now()
        store = f"{run.parent}/metadataStores/default"
        ids = run.notes["executionIds"]
        tasks = []
        for task, identifier in zip(template.tasks, ids, strict=False):
            tasks.append(
                {
                    "taskId": identifier,
                    "taskName": task,
                    "state": "PENDING",
                    "createTime": now,
                    "execution": {
                        "name": f"{store}/executions/{identifier}",
                        "displayName": task,
                        "state": "NEW",
                        "createTime": now,
                        "updateTime": now,
                        "schemaTitle": "system.ContainerExecution",
                        "schemaVersion": "0.0.1",
                        "metadata": {},
                    },
                    "pipelineTaskStatus": [{"state": "PENDING", "updateTime": now}],
                }
            )
        context = {"createTime": now, "updateTime": now, "schemaVersion": "0.0.1"}
        return {
            "pipelineContext": {
                **context,
                "name": f"{store}/contexts/{template.name}",
                "displayName": template.name,
                "schemaTitle": "system.Pipeline",
            },
            "pipelineRunContext": {
                **context,
                "name": f"{store}/contexts/{run.identifier}",
                "displayName": run.identifier,
                "schemaTitle": "system.PipelineRun",
                "parentContexts": [f"{store}/contexts/{template.name}"],
            },
            "taskDetails": tasks,
        }
