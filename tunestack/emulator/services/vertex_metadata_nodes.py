"""Vertex AI: artifacts, executions and contexts of a metadata store (aiplatform.v1, v1beta1).

The three have the same methods, so each handler is registered for all.
"""

from __future__ import annotations

import uuid
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.services import resources
from tunestack.emulator.services.metadata_store import (
    COLLECTIONS,
    check_id,
    check_node,
    create_node,
    forget_node,
    keep_of,
    node,
    store_of,
)
from tunestack.emulator.services.resources import done_operation
from tunestack.emulator.services.vertex import finished_operation, listed, named_row, with_etag

Json = dict[str, Any]

_STORES = "aiplatform.projects.locations.metadataStores"
_SAMPLE = 100


def _ids(verb: str) -> list[str]:
    return [f"{_STORES}.{kind}.{verb}" for kind in COLLECTIONS]


def _kind(call: Call) -> str:
    return call.method.id.split(".")[-2]


@implements(*_ids("create"))
def create(call: Call) -> Json:
    kind = _kind(call)
    parameter = f"{kind.removesuffix('s')}Id"
    identifier = check_id(call.query.get(parameter) or str(uuid.uuid4()), parameter)
    row = create_node(call.state, call.parent(), kind, identifier, call.body)
    return node(call.state, row["name"])


@implements(*_ids("get"))
def get(call: Call) -> Json:
    return node(call.state, call.path["name"])


@implements(*_ids("list"))
def list_nodes(call: Call) -> Json:
    kind, store = _kind(call), named_row(call, "parent")["name"]
    rows = call.state.rows.list(COLLECTIONS[kind], store, newest_first=True)
    keep = keep_of(call.state, call.query.get("filter", ""), kind)
    return listed(call, [node(call.state, row["name"]) for row in rows], kind, keep=keep)


@implements(*_ids("patch"))
def patch(call: Call) -> Json:
    """Without a mask every field that was sent; ``allowMissing`` makes what is not there."""
    state, name = call.state, call.parent("name")
    if call.query.get("allowMissing") and state.rows.find(name) is None:
        store, kind, identifier = name.rsplit("/", 2)
        create_node(state, store, kind, check_id(identifier, "name"), call.body)
        return node(state, name)
    row = resources.patched_row(call, whole=True)
    check_node(state, store_of(name), row)
    state.rows.put(name, with_etag({**row, "updateTime": state.now()}))
    return node(state, name)


@implements(*_ids("delete"))
def delete(call: Call) -> Json:
    row = named_row(call)
    sent = call.query.get("etag")
    if sent and sent != row["etag"]:
        raise failed_precondition(f"The etag of {row['name']} is {row['etag']}, not {sent}.")
    forget_node(call.state, row["name"])
    return finished_operation(call, row["name"], "Delete", None)


@implements(*_ids("purge"))
def purge(call: Call) -> Json:
    """Without ``force`` only what it would remove is told."""
    state, kind, store = call.state, _kind(call), named_row(call, "parent")["name"]
    if not call.body["filter"].strip():
        raise invalid("Required field is not set: filter", [("filter", "required")])
    keep = keep_of(state, call.body["filter"], kind)
    names = [row["name"] for row in state.rows.list(COLLECTIONS[kind], store) if keep(row)]
    response: Json = {"purgeCount": str(len(names))}
    if call.body.get("force"):
        for name in names:
            forget_node(state, name)
    elif names:
        response["purgeSample"] = names[:_SAMPLE]
    noun, now = f"Purge{kind.capitalize()}", state.now()
    metadata = {
        "@type": call.type_url(f"{noun}Metadata"),
        "genericMetadata": {"createTime": now, "updateTime": now},
    }
    response = {"@type": call.type_url(f"{noun}Response"), **response}
    return done_operation(state, f"{store}/operations/{state.new_id()}", metadata, response, store)
