"""Lifecycle rules: all conditions must hold, deletion goes first, and a rule that is not understood does nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tunestack.emulator.services.storage_lifecycle import due_action

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BODY = {
    "name": "logs/a.tmp",
    "storageClass": "STANDARD",
    "size": "10",
    "timeCreated": (NOW - timedelta(days=10)).isoformat(),
}
GONE = {**BODY, "timeDeleted": (NOW - timedelta(days=3)).isoformat()}
DELETE = {"type": "Delete"}


@pytest.mark.parametrize(
    ("condition", "body", "newer", "due"),
    [
        ({"age": 10}, BODY, 0, True),
        ({"age": 11}, BODY, 0, False),
        ({"age": 10, "matchesPrefix": ["other/"]}, BODY, 0, False),
        ({"matchesPrefix": ["logs/"], "matchesSuffix": [".tmp", ".bak"]}, BODY, 0, True),
        ({"createdBefore": "2026-05-30"}, BODY, 0, True),
        ({"createdBefore": "no date"}, BODY, 0, False),
        ({"isLive": False}, BODY, 0, False),
        ({"isLive": False, "daysSinceNoncurrentTime": 3}, GONE, 1, True),
        ({"daysSinceNoncurrentTime": 1}, BODY, 0, False),
        ({"numNewerVersions": 2}, GONE, 1, False),
        ({"numNewerVersions": 2}, GONE, 2, True),
        ({"matchesStorageClass": ["NEARLINE"]}, BODY, 0, False),
        ({"customTimeBefore": "2030-01-01"}, BODY, 0, False),
        ({"sizeAboveBytes": "9"}, BODY, 0, True),
        ({"somethingNew": 1}, BODY, 0, False),
        ({}, BODY, 0, False),
    ],
)
def test_a_rule_is_due_when_all_its_conditions_hold(condition, body, newer, due):
    rules = [{"action": DELETE, "condition": condition}]
    assert due_action(rules, body, newer, NOW) == (DELETE if due else None)


def test_deletion_goes_before_a_colder_class_and_no_object_gets_warmer():
    colder = {"type": "SetStorageClass", "storageClass": "COLDLINE"}
    warmer = {"type": "SetStorageClass", "storageClass": "STANDARD"}
    rules = [{"action": action, "condition": {"age": 1}} for action in (colder, DELETE, warmer)]
    assert due_action(rules, BODY, 0, NOW) == DELETE
    assert due_action(rules[:1], BODY, 0, NOW) == colder
    assert due_action(rules[2:], {**BODY, "storageClass": "ARCHIVE"}, 0, NOW) is None
