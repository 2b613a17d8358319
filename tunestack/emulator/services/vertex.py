"""What the Vertex AI files share: names, lists, patches, long-running operations, label rules."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call
from tunestack.emulator.errors import invalid
from tunestack.emulator.services import resources
from tunestack.emulator.services.resources import OPERATIONS as OPERATIONS
from tunestack.emulator.services.resources import done_operation
from tunestack.emulator.services.resources import listed as listed
from tunestack.emulator.services.resources import named_row as named_row
from tunestack.emulator.services.resources import shown_operation as shown_operation
from tunestack.emulator.services.resources import with_etag as with_etag
from tunestack.emulator.state import State

Json = dict[str, Any]

# cloud.google.com/vertex-ai/docs/general/resource-labels
_LABEL_KEY = re.compile(r"[\w-]{1,64}")
_LABEL_VALUE = re.compile(r"[\w-]{0,64}")


def list_rows(call: Call, collection: str, field: str | None = None, *, size: int = 100) -> Json:
    """A page of a collection; newest first unless ordered."""
    rows = call.state.rows.list(collection, call.parent(), newest_first=True)
    return listed(call, rows, field or collection, size=size)


def patched_row(call: Call, parameter: str = "name", *, immutable: tuple[str, ...] = ()) -> Json:
    """The named row with the body's fields under ``updateMask``, kept. 400 when the etag or a field forbids it."""
    changed = resources.patched_row(call, parameter, immutable=immutable)
    check_labels(changed.get("labels", {}))
    changed["updateTime"] = call.state.now()
    return call.state.rows.put(changed["name"], with_etag(changed))


def shown(row: Json) -> Json:
    """A row without what only the emulator knows."""
    return {key: value for key, value in row.items() if not key.startswith("_")}


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
    now = call.state.now()
    metadata = {
        "@type": call.type_url(f"{kind}OperationMetadata"),
        "genericMetadata": {"createTime": now, "updateTime": now},
    }
    return done_operation(
        call.state,
        f"{target}/operations/{call.state.new_id()}",
        metadata,
        {"@type": call.type_url(message), **(response or {})} if message else None,
        parent or target,
    )


def remove_tree(state: State, name: str) -> None:
    """Remove a row with all that lies under it, but its operations."""
    state.rows.delete(name)
    state.rows.delete_below(name, OPERATIONS)


def check_identifier(identifier: str, pattern: str, parameter: str) -> str:
    """Raises 400 where an id that the caller chose has not Google's form."""
    if not re.fullmatch(pattern, identifier):
        raise invalid(f'Invalid {parameter} "{identifier}": it must match {pattern}.', [(parameter, "")])
    return identifier


def location_of(name: str) -> str:
    """``us-central1`` of ``projects/1/locations/us-central1/…``."""
    return name.split("/")[3]
