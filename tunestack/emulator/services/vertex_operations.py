"""Vertex AI: long-running operations (aiplatform.v1, v1beta1; polled at /ui by Google's REST clients).

Every collection has its own methods of the same meaning, so handlers are registered for all ids at once.
"""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.documents import load
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.vertex import OPERATIONS, named_row, shown_operation

Json = dict[str, Any]

_OPERATIONS = re.compile(r"aiplatform\.(projects\.locations\.)?(\w+\.)*operations\.(\w+)")


def _ids(verb: str) -> list[str]:
    found = ((method_id, _OPERATIONS.fullmatch(method_id)) for method_id in load().methods)
    return [method_id for method_id, match in found if match and match.group(3) == verb]


@implements(*_ids("get"))
def get(call: Call) -> Json:
    return shown_operation(call.state, named_row(call))


@implements(*_ids("wait"))
def wait(call: Call) -> Json:
    """Operations here are done when they are answered: waiting is reading."""
    return shown_operation(call.state, named_row(call))


@implements(*_ids("list"))
def list_operations(call: Call) -> Json:
    parent = call.parent("name")
    rows = [
        row
        for row in call.state.rows.list(OPERATIONS, newest_first=True)
        if row["name"].startswith(parent + "/") and not row["name"].removeprefix(parent + "/").count("@")
    ]
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=100)
    body: Json = {"operations": [shown_operation(call.state, row, count=False) for row in rows]}
    return {**body, "nextPageToken": token} if token else body


@implements(*_ids("delete"))
def delete(call: Call) -> Json:
    call.state.rows.delete(named_row(call)["name"])
    return {}


@implements(*_ids("cancel"))
def cancel(call: Call) -> Json:
    """Best effort by definition; what is done stays done."""
    named_row(call)
    return {}
