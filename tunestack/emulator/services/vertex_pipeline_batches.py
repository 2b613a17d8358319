"""Vertex AI: cancelling and deleting many pipeline jobs at once (aiplatform.v1, v1beta1)."""

from __future__ import annotations

import asyncio
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.jobs.states import ENDED, short_state
from tunestack.emulator.services.vertex import finished_operation
from tunestack.emulator.services.vertex_jobs import remove
from tunestack.emulator.services.vertex_pipeline_jobs import PIPELINE_JOBS

Json = dict[str, Any]

_JOBS = f"aiplatform.projects.locations.{PIPELINE_JOBS}"
_AT_MOST = 32
_LOOK_AGAIN_SECONDS = 0.05


@implements(f"{_JOBS}.batchCancel")
async def batch_cancel(call: Call) -> Json:
    """Those that have ended are skipped. The answer comes when all have ended, the operation done."""
    state, names = call.state, _names(call)
    with state.database.transaction():
        for name in names:
            if not _ended(state.rows.get(name)):
                state.runner.cancel(name)
    while not all(_ended(state.rows.get(name)) for name in names):
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return _answer(call, "BatchCancelPipelineJobs", [state.rows.get(name) for name in names])


@implements(f"{_JOBS}.batchDelete")
def batch_delete(call: Call) -> Json:
    """All or none."""
    rows = [call.state.rows.get(name) for name in _names(call)]
    if live := [row["name"] for row in rows if not _ended(row)]:
        raise failed_precondition(f"{', '.join(live)} must be cancelled before being deleted.")
    for row in rows:
        remove(call.state, row)
    return _answer(call, "BatchDeletePipelineJobs", rows, "Delete")


def _names(call: Call) -> list[str]:
    names = [call.state.projects.canonical(name) for name in call.body["names"]]
    if len(names) > _AT_MOST:
        raise invalid(f"{len(names)} names; at most {_AT_MOST} in a batch.", [("names", str(len(names)))])
    parent = call.parent()
    if wrong := [name for name in names if not name.startswith(f"{parent}/{PIPELINE_JOBS}/")]:
        raise invalid(f"{', '.join(wrong)} is no pipeline job of {parent}.", [("names", wrong[0])])
    return names


def _ended(row: Json) -> bool:
    return short_state(row["state"]) in ENDED


def _answer(call: Call, kind: str, rows: list[Json], metadata: str = "") -> Json:
    return finished_operation(
        call, call.parent(), metadata or kind, {"pipelineJobs": rows}, f"{kind}Response"
    )
