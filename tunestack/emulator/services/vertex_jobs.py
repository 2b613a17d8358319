"""Vertex AI: what all kinds of jobs have in common (aiplatform.v1, v1beta1).

They run in `tunestack.emulator.jobs`.
"""

from __future__ import annotations

import shutil
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.documents import load
from tunestack.emulator.errors import failed_precondition
from tunestack.emulator.jobs.run import account_of
from tunestack.emulator.jobs.states import ENDED, short_state
from tunestack.emulator.services.vertex import check_labels, finished_operation, list_rows, named_row
from tunestack.emulator.state import State

Json = dict[str, Any]

SHOWN_WHOLE = ("pipelineJobs", "tuningJobs", "customJobs", "batchPredictionJobs")
COLLECTIONS = (*SHOWN_WHOLE, "evaluationRuns")


def submit(call: Call, collection: str, identifier: str, state: str, **fields: Any) -> Json:
    """Accept a job: what was sent, plus what the server sets."""
    parent, now = call.parent(), call.state.now()
    call.state.access.require_acting_as(call, account_of(collection, call.body, parent))
    check_labels(call.body.get("labels", {}))
    row = {
        **call.body,
        **fields,
        "name": f"{parent}/{collection}/{identifier}",
        "state": state,
        "createTime": now,
        "updateTime": now,
    }
    call.state.rows.create(collection, parent, row["name"], row)
    call.state.runner.accept(row)
    return row


def _ids(verb: str, collections: tuple[str, ...] = COLLECTIONS) -> list[str]:
    """The ids of a method in every collection that has it: tuning jobs know no delete."""
    ids = (f"aiplatform.projects.locations.{collection}.{verb}" for collection in collections)
    return [method_id for method_id in ids if method_id in load().methods]


@implements(*_ids("get", SHOWN_WHOLE))
def get(call: Call) -> Json:
    return named_row(call)


@implements(*_ids("list", SHOWN_WHOLE))
def list_jobs(call: Call) -> Json:
    return list_rows(call, call.method.id.split(".")[-2])


@implements(*_ids("cancel"))
def cancel(call: Call) -> Json:
    call.state.runner.cancel(named_row(call)["name"])
    return {}


@implements(*_ids("delete"))
def delete(call: Call) -> Json:
    row = named_row(call)
    if short_state(row["state"]) not in ENDED:
        raise failed_precondition(f"{row['name']} is {row['state']}: cancel it before deleting it.")
    remove(call.state, row)
    return finished_operation(call, row["name"], "Delete", None)


def remove(state: State, row: Json) -> None:
    """Remove a job that has ended, with its folder."""
    folder = state.runner.folder(row["name"])
    state.rows.delete(row["name"])
    state.runner.forget(row["name"])
    state.database.after_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
