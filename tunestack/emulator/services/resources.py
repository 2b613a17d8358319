"""The words that most services share: create, read, list, change and remove a resource kept whole.

A row is kept under its canonical name (project by number) and shown as its service shows it. What the server
sets beside the body (times, etag) follows from the schema: a field is set where Google's resource has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tunestack.emulator import list_filter, partial_response
from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import apply_mask, camel
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

OPERATIONS = "operations"


def named_row(call: Call, parameter: str = "name", kind: str = "") -> Json:
    """The row that a path parameter names. Raises 404, worded with the ``kind`` (``CryptoKey``) where it is given."""
    name = call.parent(parameter)
    shown = name if call.method.service == "aiplatform" else call.state.projects.by_id(name)
    return call.state.rows.get(name, f"{kind} {shown} not found." if kind else f"{shown} is not found.")


def chosen_id(call: Call, parameter: str, pattern: str) -> str:
    """The id that the caller chose, a query parameter. Raises 400 where it is absent or not as ``pattern``."""
    value = str(call.query.get(parameter, ""))
    if not re.fullmatch(pattern, value):
        raise invalid(f"Invalid {parameter} '{value}': it must match {pattern}", [(parameter, pattern)])
    return value


def create_row(call: Call, collection: str, key: str, **server: Any) -> Json:
    """Keep the body under ``key`` with what the server sets; the row. Raises 409 where there is one.

    What is given in ``server`` stands, also ``name`` and ``etag``.
    """
    now = call.state.now()
    times: Json = {field: now for field in ("createTime", "updateTime") if field in _fields(call)}
    row: Json = {**call.body, "name": call.state.projects.by_id(key), **times, **server}
    return call.state.rows.create(
        collection, key.rsplit("/", 2)[0], key, row if "etag" in server else tagged(call, row)
    )


def patched_row(
    call: Call,
    parameter: str = "name",
    *,
    body: Json | None = None,
    mask: str | None = None,
    immutable: tuple[str, ...] = (),
    whole: bool = False,
) -> Json:
    """The named row with the fields of ``body`` (the call's) under ``updateMask``, not kept yet.

    Without a mask 400, or with ``whole`` every field that was sent. Raises 409 on an old etag, 400 on a change of
    an ``immutable`` field.
    """
    row = named_row(call, parameter)
    change = call.body if body is None else body
    sent = change.get("etag")
    if sent and sent != row.get("etag"):
        raise ApiError("ABORTED", f"The etag of {row['name']} is {row.get('etag')}, not {sent}.")
    mask = mask or call.query.get("updateMask")
    if not mask and not whole:
        raise invalid("Required field is not set: update_mask", [("update_mask", "required")])
    change = {key: value for key, value in change.items() if key not in ("etag", "name")}
    paths = [path for path in (mask.split(",") if mask else change) if path.strip() not in ("etag", "name")]
    for path in paths:
        top = camel(path.strip().partition(".")[0])
        if top in immutable and change.get(top) != row.get(top):
            raise invalid(f"{top} is immutable.", [(top, "immutable")])
    return apply_mask(row, change, ",".join(paths)) if paths else row


def keep_row(call: Call, row: Json, parameter: str = "name") -> Json:
    """Keep a changed row under the name in the path, with a new time and etag where it has them."""
    if "updateTime" in _fields(call):
        row = {**row, "updateTime": call.state.now()}
    return call.state.rows.put(call.parent(parameter), tagged(call, row))


def delete_row(call: Call, parameter: str = "name") -> Json:
    """Remove the named row and its policy; the empty answer. Raises 404."""
    named_row(call, parameter)
    call.state.rows.delete(call.parent(parameter))
    call.state.policies.delete(call.parent(parameter))
    return {}


def tagged(call: Call, row: Json) -> Json:
    """The row with an etag of its own content, where Google's resource has one."""
    return with_etag(row) if "etag" in _fields(call) else row


def with_etag(row: Json) -> Json:
    bare = {key: value for key, value in row.items() if key != "etag"}
    return {**bare, "etag": etag(bare)}


def _fields(call: Call) -> Json:
    """The properties of the resource that a create or patch takes."""
    properties: Json = call.state.documents.schemas[call.method.document][str(call.method.request)][
        "properties"
    ]
    return properties


def list_rows(
    call: Call, collection: str, field: str | None = None, parameter: str = "parent", **more: Any
) -> Json:
    """A whole list method over a collection, in the order of creation unless ``orderBy`` says otherwise."""
    return listed(call, call.state.rows.list(collection, call.parent(parameter)), field or collection, **more)


def listed(
    call: Call,
    rows: list[Json],
    field: str,
    *,
    counted: bool = False,
    keep: Callable[[Json], bool] | None = None,
    size: int = 100,
) -> Json:
    """``filter``, ``orderBy``, ``pageSize`` (``size`` by default), ``pageToken`` and ``readMask`` over ``rows``.

    ``counted`` adds ``totalSize``; ``keep`` stands in for the filter where a collection has words of its own.
    """
    query = call.query
    keep = keep or list_filter.parse(query.get("filter", ""))
    rows = [row for row in rows if keep(row)]
    for term in reversed([term.split() for term in query.get("orderBy", "").split(",") if term.strip()]):
        key = camel(term[0])
        rows.sort(key=lambda row, key=key: str(row.get(key, "")), reverse=term[1:] == ["desc"])  # type: ignore[misc]
    chosen, token = page(rows, query.get("pageSize"), query.get("pageToken"), default=size)
    mask = query.get("readMask", "*")
    if mask != "*":
        tree = partial_response.parse(mask.replace(".", "/"))
        chosen = [partial_response.select(row, tree) for row in chosen]
    body: Json = {field: chosen} if chosen else {}
    if counted:
        body["totalSize"] = len(rows)
    return {**body, "nextPageToken": token} if token else body


def done_operation(
    state: State, name: str, metadata: Json, response: Json | None, parent: str | None = None
) -> Json:
    """A long-running operation whose work is done; ``metadata`` and ``response`` carry their ``@type``.

    ``response`` None is ``google.protobuf.Empty``. `State.operation_polls` makes it look unfinished for that many
    reads. All services keep theirs together: on one port ``…/locations/L/operations/N`` is every service's.
    """
    operation: Json = {
        "name": name,
        "metadata": metadata,
        "done": True,
        "response": response or {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }
    hidden = {**operation, "_polls": state.operation_polls}
    key = state.projects.canonical(name)
    state.rows.create(OPERATIONS, parent or key.rpartition("/operations/")[0], key, hidden)
    return shown_operation(state, hidden, count=False)


def shown_operation(state: State, row: Json, *, count: bool = True) -> Json:
    """The operation as a client may see it now; reading it counts as a poll."""
    polls = row.get("_polls", 0)
    shown = {key: value for key, value in row.items() if not key.startswith("_")}
    if polls <= 0:
        return shown
    if count:
        state.rows.put(state.projects.canonical(row["name"]), {**row, "_polls": polls - 1})
    return {key: value for key, value in shown.items() if key not in ("done", "response")}
