"""Vertex AI: Tensorboards (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.services.time_series import forget_points, stored_bytes
from tunestack.emulator.services.vertex import (
    check_labels,
    finished_operation,
    listed,
    named_row,
    patched_row,
    remove_tree,
    with_etag,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

TENSORBOARDS = "tensorboards"
RUNS = "tensorboardRuns"


@implements("aiplatform.projects.locations.tensorboards.create")
def create(call: Call) -> Json:
    state, parent = call.state, call.parent()
    check_labels(call.body.get("labels", {}))
    now = state.now()
    name = f"{parent}/{TENSORBOARDS}/{state.new_id()}"
    row = with_etag(
        {
            **call.body,
            "name": name,
            "createTime": now,
            "updateTime": now,
            "blobStoragePathPrefix": f"cloud-ai-platform-{name.rpartition('/')[2]}",
        }
    )
    state.rows.create(TENSORBOARDS, parent, name, row)
    _only_default(state, row)
    return finished_operation(call, name, "CreateTensorboard", row, "Tensorboard")


@implements("aiplatform.projects.locations.tensorboards.get")
def get(call: Call) -> Json:
    return _counted(call.state, named_row(call))


@implements("aiplatform.projects.locations.tensorboards.list")
def list_tensorboards(call: Call) -> Json:
    rows = call.state.rows.list(TENSORBOARDS, call.parent(), newest_first=True)
    return listed(call, [_counted(call.state, row) for row in rows], TENSORBOARDS)


@implements("aiplatform.projects.locations.tensorboards.patch")
def patch(call: Call) -> Json:
    row = patched_row(call, immutable=("encryptionSpec",))
    _only_default(call.state, row)
    return finished_operation(call, row["name"], "UpdateTensorboard", row, "Tensorboard")


@implements("aiplatform.projects.locations.tensorboards.delete")
def delete(call: Call) -> Json:
    """With all experiments, runs and data."""
    row = named_row(call)
    remove_tree(call.state, row["name"])
    forget_points(call.state, row["name"])
    return finished_operation(call, row["name"], "Delete", None)


@implements("aiplatform.projects.locations.tensorboards.readSize")
def read_size(call: Call) -> Json:
    return {"storageSizeByte": str(stored_bytes(call.state, named_row(call, "tensorboard")["name"]))}


@implements("aiplatform.projects.locations.tensorboards.readUsage")
def read_usage(call: Call) -> Json:
    """Views of the web application by month; there is none here, so nobody has looked."""
    named_row(call, "tensorboard")
    return {}


def _counted(state: State, row: Json) -> Json:
    """``runCount`` follows from what is there."""
    prefix = row["name"]
    found = state.database.one(
        "SELECT count(*) FROM resource WHERE collection = ? AND name > ? AND name < ?",
        RUNS,
        f"{prefix}/",
        f"{prefix}0",
    )
    count = found[0] if found else 0
    return {**row, "runCount": count} if count else row


def _only_default(state: State, row: Json) -> None:
    """A default Tensorboard takes that from all others of its project and region (Tensorboard.is_default)."""
    if not row.get("isDefault"):
        return
    for other in state.rows.list(TENSORBOARDS, row["name"].rpartition(f"/{TENSORBOARDS}/")[0]):
        if other.get("isDefault") and other["name"] != row["name"]:
            state.rows.put(other["name"], with_etag({**other, "isDefault": False, "updateTime": state.now()}))
