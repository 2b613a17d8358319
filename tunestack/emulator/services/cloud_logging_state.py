"""What the Cloud Logging files share: names, and the sinks and log buckets that every project has."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

SINKS = "sinks"
EXCLUSIONS = "exclusions"
METRICS = "metrics"
BUCKETS = "logBuckets"

ID = r"[A-Za-z][A-Za-z0-9_.-]{0,99}"

# cloud.google.com/logging/docs/routing/overview#buckets and #default-sinks: their days, and what goes there.
GIVEN_BUCKETS = {"_Default": 30, "_Required": 400}
_REQUIRED_LOGS = tuple(
    f"{family}/{kind}"
    for kind in ("activity", "system_event", "access_transparency")
    for family in ("cloudaudit.googleapis.com", "externalaudit.googleapis.com")
)
_REQUIRED_FILTER = " OR ".join(f'LOG_ID("{log}")' for log in _REQUIRED_LOGS)
_GIVEN_SINKS = {
    "_Required": _REQUIRED_FILTER,
    "_Default": " AND ".join(f'NOT LOG_ID("{log}")' for log in _REQUIRED_LOGS),
}


def body_name(call: Call, pattern: str) -> str:
    """The name in the body of a create. Raises 400 where it is none, 409 where it is taken."""
    name = str(call.body.get("name", ""))
    if not re.fullmatch(pattern, name):
        raise invalid(f"Invalid name '{name}': it must match {pattern}", [("name", pattern)])
    key = f"{call.parent()}/{call.method.id.split('.')[-2]}/{name}"
    if call.state.rows.find(key):
        raise already_exists(f"{call.state.projects.by_id(key)} already exists.")
    return name


def make_given_buckets(state: State, location: str) -> None:
    """Make the buckets that every project has in ``global``."""
    for name, days in GIVEN_BUCKETS.items():
        key = f"{location}/buckets/{name}"
        if location.endswith("/global") and state.rows.find(key) is None:
            row: Json = {
                "name": state.projects.by_id(key),
                "retentionDays": days,
                "lifecycleState": "ACTIVE",
                **({"locked": True} if name == "_Required" else {}),
            }
            state.rows.create(BUCKETS, location, key, row)


def sinks_of(state: State, project: str) -> list[Json]:
    """The sinks of a project (by number), with those that every one has."""
    for name, wanted in _GIVEN_SINKS.items():
        key = f"{project}/{SINKS}/{name}"
        if state.rows.find(key) is None:
            shown = state.projects.by_id(project)
            row: Json = {
                "name": name,
                "resourceName": f"{shown}/{SINKS}/{name}",
                "destination": f"logging.googleapis.com/{shown}/locations/global/buckets/{name}",
                "filter": wanted,
            }
            state.rows.create(SINKS, project, key, row)
    return state.rows.list(SINKS, project)
