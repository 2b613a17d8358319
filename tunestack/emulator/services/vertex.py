"""What the Vertex AI files share: names, lists, patches, long-running operations, label rules."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator import list_filter
from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import apply_mask, camel
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

OPERATIONS = "operations"

# cloud.google.com/vertex-ai/docs/general/resource-labels
_LABEL_KEY = re.compile(r"[\w-]{1,64}")
_LABEL_VALUE = re.compile(r"[\w-]{0,64}")


def named_row(call: Call, parameter: str = "name") -> Json:
    """The row that a path parameter names."""
    return call.state.rows.get(call.parent(parameter))


def list_rows(call: Call, collection: str, field: str | None = None) -> Json:
    """A page of a collection; newest first unless ordered."""
    return listed(
        call, call.state.rows.list(collection, call.parent(), newest_first=True), field or collection
    )


def listed(call: Call, rows: list[Json], field: str) -> Json:
    """``filter``, ``orderBy``, ``pageSize``, ``pageToken`` over ``rows``."""
    query = call.query
    keep = list_filter.parse(query.get("filter", ""))
    rows = [row for row in rows if keep(row)]
    for term in reversed([term.split() for term in query.get("orderBy", "").split(",") if term.strip()]):
        key = camel(term[0])
        rows.sort(key=lambda row, key=key: str(row.get(key, "")), reverse=term[1:] == ["desc"])  # type: ignore[misc]
    rows, token = page(rows, query.get("pageSize"), query.get("pageToken"), default=100)
    body: Json = {field: rows} if rows else {}
    return {**body, "nextPageToken": token} if token else body


def with_etag(row: Json) -> Json:
    bare = {key: value for key, value in row.items() if key != "etag"}
    return {**bare, "etag": etag(bare)}


def patched_row(call: Call, parameter: str = "name", *, immutable: tuple[str, ...] = ()) -> Json:
    """The named row with the body's fields under ``updateMask``, kept. 400 when the etag or a field forbids it."""
    row = named_row(call, parameter)
    sent = call.body.get("etag")
    if sent and sent != row.get("etag"):
        raise ApiError("ABORTED", f"The etag of {row['name']} is {row.get('etag')}, not {sent}.")
    mask = call.query.get("updateMask")
    if mask is None:
        raise invalid("Required field is not set: update_mask")
    for path in mask.split(","):
        top = camel(path.partition(".")[0])
        if top in immutable:
            raise invalid(f"{top} is immutable.", [(top, "immutable")])
    changed = apply_mask(row, {key: value for key, value in call.body.items() if key != "etag"}, mask)
    check_labels(changed.get("labels", {}))
    changed["updateTime"] = call.state.now()
    return call.state.rows.put(row["name"], with_etag(changed))


def check_labels(labels: Json) -> None:
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower() or not (key[:1].isalpha() or key[:1] == "_"):
            raise invalid(
                f'Label key "{key}" is invalid: lowercase letters, digits, _ and -, at most 64, a letter first.'
            )
        if not _LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise invalid(
                f'Label value "{value}" is invalid: lowercase letters, digits, _ and -, at most 64.'
            )
    if len(labels) > 64:
        raise invalid(f"{len(labels)} labels; at most 64 are allowed.")


def finished_operation(
    call: Call, target: str, kind: str, response: Json | None, message: str = "", *, parent: str | None = None
) -> Json:
    """A long-running operation on ``target`` (``…/endpoints/1``) whose work is done.

    ``message`` is the response's type, empty for ``google.protobuf.Empty``; ``kind`` names the metadata's type
    (``CreateEndpoint``). `State.operation_polls` makes it look unfinished for that many reads.
    """
    state = call.state
    now = state.now()
    operation: Json = {
        "name": f"{target}/operations/{state.new_id()}",
        "metadata": {
            "@type": call.type_url(f"{kind}OperationMetadata"),
            "genericMetadata": {"createTime": now, "updateTime": now},
        },
        "done": True,
        "response": {"@type": call.type_url(message), **(response or {})}
        if message
        else {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }
    hidden = {**operation, "_polls": state.operation_polls}
    state.rows.create(OPERATIONS, parent or target, operation["name"], hidden)
    return shown_operation(state, hidden, count=False)


def shown_operation(state: State, row: Json, *, count: bool = True) -> Json:
    """The operation as a client may see it now; reading it counts as a poll."""
    polls = row.get("_polls", 0)
    shown = {key: value for key, value in row.items() if not key.startswith("_")}
    if polls <= 0:
        return shown
    if count:
        state.rows.put(row["name"], {**row, "_polls": polls - 1})
    return {key: value for key, value in shown.items() if key not in ("done", "response")}


def location_of(name: str) -> str:
    """``us-central1`` of ``projects/1/locations/us-central1/…``."""
    return name.split("/")[3]
