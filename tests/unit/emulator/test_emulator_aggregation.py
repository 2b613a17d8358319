"""Aligning and joining time series: what holds for any series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.monitoring_aggregation import Aggregation, Series, aggregated

END = datetime(2026, 1, 2, tzinfo=UTC)
NUMBERS = st.integers(-1000, 1000)
# Ages in seconds, each once, and a value at each.
POINTS = st.dictionaries(st.integers(0, 3599), NUMBERS, min_size=1, max_size=20)


def series(points, kind="GAUGE", **labels):
    head = {
        "metric": {"type": "m", "labels": labels},
        "resource": {"type": "global", "labels": {}},
        "metricKind": kind,
        "valueType": "INT64",
    }
    ends = ((END - timedelta(seconds=age), value) for age, value in sorted(points.items()))
    return Series(
        head, [(end.isoformat(), end.isoformat(), {"int64Value": str(value)}) for end, value in ends]
    )


def numbers(found):
    return [float(next(iter(value.values()))) for _, _, value in found.points]


def align(one, aligner, period=60.0):
    (found,) = aggregated([one], Aggregation(period, aligner), END)
    return found


@given(POINTS, st.sampled_from([60.0, 300.0, 7200.0]))
def test_sums_and_counts_of_windows_add_up_to_all_points(points, period):
    one = series(points)
    assert sum(numbers(align(one, "SUM", period))) == sum(points.values())
    assert sum(numbers(align(one, "COUNT", period))) == len(points)


@given(POINTS)
def test_a_window_lies_between_its_least_and_its_greatest_point(points):
    least, mean, greatest = (numbers(align(series(points), name)) for name in ("MIN", "MEAN", "MAX"))
    assert all(a <= b <= c for a, b, c in zip(least, mean, greatest, strict=True))
    ends = [end for _, end, _ in align(series(points), "MAX").points]
    assert ends == sorted(ends, reverse=True)


@given(POINTS)
def test_what_came_in_the_windows_of_a_running_total_is_what_it_grew_by(points):
    total, totals = 0, {}
    for age in sorted(points, reverse=True):
        total += abs(points[age])
        totals[age] = total
    oldest = totals[max(totals)]
    grown = sum(numbers(align(series(totals, "CUMULATIVE"), "DELTA")))
    assert grown == total - oldest


@given(POINTS, POINTS)
def test_joined_series_add_up_whether_or_not_they_are_grouped(first, second):
    members = [series(first, job="a"), series(second, job="b")]
    (joined,) = aggregated(members, Aggregation(60.0, "SUM", "SUM"), END)
    assert sum(numbers(joined)) == sum(first.values()) + sum(second.values())
    grouped = aggregated(members, Aggregation(60.0, "SUM", "SUM", ("metric.labels.job",)), END)
    assert [one.head["metric"]["labels"]["job"] for one in grouped] == ["a", "b"]
    assert [sum(numbers(one)) for one in grouped] == [sum(first.values()), sum(second.values())]


@given(st.lists(NUMBERS, min_size=1, max_size=9))
def test_percentiles_across_series_are_in_order(values):
    members = [series({0: value}) for value in values]
    found = [
        numbers(aggregated(members, Aggregation(60.0, "MAX", name), END)[0])[0]
        for name in ("MIN", "PERCENTILE_05", "PERCENTILE_50", "PERCENTILE_95", "PERCENTILE_99", "MAX")
    ]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"aggregation.crossSeriesReducer": "REDUCE_SUM"}, "INVALID_ARGUMENT"),
        ({"aggregation.perSeriesAligner": "ALIGN_SUM"}, "INVALID_ARGUMENT"),
        (
            {"aggregation.perSeriesAligner": "ALIGN_INTERPOLATE", "aggregation.alignmentPeriod": "60s"},
            "UNIMPLEMENTED",
        ),
        (
            {
                "aggregation.perSeriesAligner": "ALIGN_SUM",
                "aggregation.alignmentPeriod": "60s",
                "aggregation.crossSeriesReducer": "REDUCE_NOTHING",
            },
            "INVALID_ARGUMENT",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(query, status):
    with pytest.raises(ApiError) as refused:
        Aggregation.of(query)
    assert refused.value.status == status
