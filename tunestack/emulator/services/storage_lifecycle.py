"""Cloud Storage: lifecycle rules, carried out by the emulator's clock when a bucket's objects are next looked at.

cloud.google.com/storage/docs/lifecycle: all conditions of a rule must hold; Delete goes before SetStorageClass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tunestack.emulator.services.storage_protection import moment

Json = dict[str, Any]

_ORDER = {"Delete": 0, "SetStorageClass": 1}
_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")


def due_action(rules: list[Json], body: Json, newer: int, now: datetime) -> Json | None:
    """The action that is due for an object; ``newer`` is the number of its newer versions. Pure."""
    due = [rule["action"] for rule in rules if _holds(rule.get("condition", {}), body, newer, now)]
    due = [action for action in due if action.get("type") in _ORDER and _changes(action, body)]
    return min(due, key=lambda action: _ORDER[action["type"]], default=None)


def _changes(action: Json, body: Json) -> bool:
    """Objects only go to colder classes."""
    if action["type"] == "Delete":
        return True
    have, want = body["storageClass"], action.get("storageClass")
    return have in _CLASSES and want in _CLASSES and _CLASSES.index(want) > _CLASSES.index(have)


def _holds(condition: Json, body: Json, newer: int, now: datetime) -> bool:
    live = "timeDeleted" not in body
    created, custom, gone = (moment(body.get(key)) for key in ("timeCreated", "customTime", "timeDeleted"))
    prefixes, suffixes = condition.get("matchesPrefix"), condition.get("matchesSuffix")
    checks: dict[str, Callable[[Any], bool]] = {
        "age": lambda days: _passed(created, days, now),
        "createdBefore": lambda date: _before(created, date),
        "customTimeBefore": lambda date: _before(custom, date),
        "daysSinceCustomTime": lambda days: _passed(custom, days, now),
        "daysSinceNoncurrentTime": lambda days: _passed(gone, days, now),
        "isLive": lambda wanted: wanted is live,
        "matchesStorageClass": lambda classes: body["storageClass"] in classes,
        "noncurrentTimeBefore": lambda date: _before(gone, date),
        "numNewerVersions": lambda least: newer >= least,
        "matchesPrefix": lambda _: body["name"].startswith(tuple(prefixes or ())),
        "matchesSuffix": lambda _: body["name"].endswith(tuple(suffixes or ())),
        "sizeAboveBytes": lambda size: int(body["size"]) > int(size),
        "sizeBelowBytes": lambda size: int(body["size"]) < int(size),
    }
    # A condition that is not known here must not delete what it may mean to keep.
    return bool(condition) and all(key in checks and checks[key](value) for key, value in condition.items())


def _passed(start: datetime | None, days: int, now: datetime) -> bool:
    return start is not None and now >= start + timedelta(days=min(days, 100_000))


def _before(time: datetime | None, date: str) -> bool:
    limit = moment(date)
    return time is not None and limit is not None and time < limit
