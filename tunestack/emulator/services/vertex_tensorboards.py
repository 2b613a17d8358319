"""Vertex AI: Tensorboards (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.services.vertex import (
    check_labels,
    finished_operation,
    list_rows,
    named_row,
    patched_row,
    with_etag,
)

Json = dict[str, Any]

TENSORBOARDS = "tensorboards"


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
    return finished_operation(call, name, "CreateTensorboard", row, "Tensorboard")


@implements("aiplatform.projects.locations.tensorboards.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements("aiplatform.projects.locations.tensorboards.list")
def list_tensorboards(call: Call) -> Json:
    return list_rows(call, TENSORBOARDS)


@implements("aiplatform.projects.locations.tensorboards.patch")
def patch(call: Call) -> Json:
    row = patched_row(call, immutable=("encryptionSpec",))
    return finished_operation(call, row["name"], "UpdateTensorboard", row, "Tensorboard")


@implements("aiplatform.projects.locations.tensorboards.delete")
def delete(call: Call) -> Json:
    row = named_row(call)
    call.state.rows.delete(row["name"])
    return finished_operation(call, row["name"], "Delete", None)
