"""BigQuery's jobs: accepted, run in a thread, ended in the same transaction that makes their rows count.

A job that was running when the emulator ended is begun again by the next start: until its last transaction it has
changed nothing, so it comes about once.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.emulator.bigquery.tables import HIDDEN, TABLES, tables_of
from tunestack.emulator.errors import ApiError

if TYPE_CHECKING:
    import duckdb

    from tunestack.emulator.state import State

Json = dict[str, Any]

log = logging.getLogger("tunestack.emulator")

JOBS = "bigqueryJobs"
KINDS = ("query", "load", "extract", "copy")


def job_name(project: str, job: str) -> str:
    return f"bigquery/{project}/jobs/{job}"


def work_of(kind: str) -> Any:
    """The module that plays a kind of job: ``check(state, row)`` and ``async run(state, row, interrupts)``."""
    from tunestack.emulator.bigquery import job_copy, job_extract, job_load, job_query

    return {"query": job_query, "load": job_load, "extract": job_extract, "copy": job_copy}[kind]


class BigQueryJobs:
    """Runs jobs over one `State`, two at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._slots = asyncio.Semaphore(2)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._connections: dict[str, list[duckdb.DuckDBPyConnection]] = {}

    def take_up(self) -> None:
        """Begin again what an earlier process left, and let go of what nobody can ask for any more."""
        live = [row for row in self._state.rows.list(JOBS) if row["status"]["state"] != "DONE"]
        for row in live:
            self.begin(row)
        for path in set(self._state.warehouse.loads.iterdir()) - {
            upload_path(self._state, row) for row in live
        }:
            path.unlink()
        for project in {row["tableReference"]["projectId"] for row in self._state.rows.list(TABLES)}:
            tables_of(self._state, project, HIDDEN)

    def begin(self, row: Json) -> None:
        """Start an accepted job. Call it once its row is on disk."""
        name = job_name(row["jobReference"]["projectId"], row["jobReference"]["jobId"])
        task = asyncio.get_running_loop().create_task(self._run(name), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def wait(self, name: str, seconds: float) -> None:
        """Until the job has ended, or for ``seconds``."""
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait([task], timeout=seconds)

    def cancel(self, name: str) -> None:
        """Ask a job to end; one that has ended stays as it is, as at Google."""
        row = self._state.rows.get(name)
        if row["status"]["state"] == "DONE":
            return
        self._state.rows.put(name, {**row, "_cancelled": True})

        def interrupt() -> None:
            for connection in self._connections.get(name, []):
                connection.interrupt()

        self._state.database.after_commit(interrupt)

    async def stop(self) -> None:
        """Let go of what runs; the next start begins it again."""
        tasks = list(self._tasks.values())
        for connections in self._connections.values():
            for connection in connections:
                connection.interrupt()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, name: str) -> None:
        state = self._state
        connections = self._connections[name] = []
        try:
            async with self._slots:
                row = state.rows.get(name)
                row["status"] = {"state": "RUNNING"}
                row["statistics"].setdefault("startTime", milliseconds(state))
                state.rows.put(name, row)
                with state.warehouse.reading():
                    commit = await work_of(kind_of(row)).run(state, row, connections)
                with state.database.transaction():
                    if state.rows.get(name).get("_cancelled"):
                        raise ApiError(
                            "CANCELLED",
                            "Job execution was cancelled: User requested cancellation",
                            reason="stopped",
                        )
                    statistics = commit()
                    self._end(name, row, statistics, None)
        except ApiError as error:
            self._end(name, state.rows.get(name), {}, error.bigquery(), *error.details)
        except Exception as error:
            log.exception("%s", name)
            words = f"the emulator failed: {type(error).__name__}: {error}"
            self._end(name, state.rows.get(name), {}, {"reason": "internalError", "message": words})
        finally:
            self._connections.pop(name, None)

    def _end(self, name: str, row: Json, statistics: Json, error: Json | None, *more: Json) -> None:
        row["statistics"] = merged(row["statistics"], statistics) | {"endTime": milliseconds(self._state)}
        row["status"] = {
            "state": "DONE",
            **({"errorResult": error, "errors": [error, *more]} if error else {}),
        }
        self._state.rows.put(name, row)
        uploaded = upload_path(self._state, row)
        self._state.database.after_commit(lambda: uploaded.unlink(missing_ok=True))


def upload_path(state: State, row: Json) -> Path:
    """Where the data lies that was uploaded with a load job, until the job has ended."""
    reference = row["jobReference"]
    return state.warehouse.loads / f"{reference['projectId']}.{reference['jobId']}".replace("/", "_")


def milliseconds(state: State) -> str:
    return str(int(state.clock().timestamp() * 1000))


def kind_of(row: Json) -> str:
    return next(kind for kind in KINDS if kind in row["configuration"])


def merged(first: Json, second: Json) -> Json:
    result = dict(first)
    for key, value in second.items():
        kept = result.get(key)
        result[key] = merged(kept, value) if isinstance(kept, dict) and isinstance(value, dict) else value
    return result
