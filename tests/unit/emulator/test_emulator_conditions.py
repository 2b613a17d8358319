"""Conditions of alert policies: how long a threshold was exceeded, and what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.services.monitoring_aggregation import Series
from tunestack.emulator.services.monitoring_conditions import met, unplayed, verdicts
from tunestack.emulator.services.times import written

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
HEAD = {"metric": {"type": "x"}, "resource": {"type": "global"}, "metricKind": "GAUGE", "valueType": "DOUBLE"}


def series(*values, apart=30, ago=0):
    """Points, the newest last, ``apart`` seconds from each other."""
    times = [written(NOW - timedelta(seconds=ago + apart * i)) for i in range(len(values))]
    points = [(t, t, {"doubleValue": v}) for t, v in zip(times, reversed(values), strict=True)]
    return Series(HEAD, points)


def threshold(duration="0s", **fields):
    body = {"comparison": "COMPARISON_GT", "thresholdValue": 1.0, "duration": duration, **fields}
    return {"conditionThreshold": body}


def holds(condition, one):
    (verdict,) = verdicts(condition, [one], NOW)
    return verdict.holds


@given(st.lists(st.sampled_from([0.0, 2.0]), min_size=1, max_size=12), st.integers(0, 10))
def test_a_threshold_holds_once_the_newest_points_lie_beyond_it_for_the_duration(values, lengths):
    run = 0
    for value in reversed(values):
        if value == 0.0:
            break
        run += 1
    expected = False if run == 0 else (True if (run - 1) * 30 >= lengths * 30 else None)
    assert holds(threshold(f"{lengths * 30}s"), series(*values)) is expected


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("", True), ("EVALUATION_MISSING_DATA_INACTIVE", False), ("EVALUATION_MISSING_DATA_NO_OP", True)],
)
def test_old_data_is_taken_as_the_condition_says(missing, expected):
    assert holds(threshold(evaluationMissingData=missing), series(2.0, ago=600)) is expected


def test_missing_data_that_counts_as_a_violation_is_one():
    active = threshold(evaluationMissingData="EVALUATION_MISSING_DATA_ACTIVE")
    assert holds(active, series(0.0, ago=600)) is True
    assert holds(active, series(0.0)) is False


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [({}, True), ({"count": 3}, False), ({"percent": 50.0}, True), ({"percent": 80.0}, False)],
)
def test_as_many_series_must_violate_as_the_trigger_says(trigger, expected):
    condition = threshold(trigger=trigger)
    found = verdicts(condition, [series(2.0), series(2.0), series(0.0)], NOW)
    assert met(condition, found) is expected


def test_what_is_not_evaluated_is_named():
    assert (
        unplayed({"conditions": [threshold(denominatorFilter="x")]}) == "conditionThreshold.denominatorFilter"
    )
    assert unplayed({"conditions": [{"conditionSql": {}}]}) == "conditionSql"
    assert unplayed({"conditions": [threshold()]}) is None
