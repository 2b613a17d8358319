"""Distributions: joined in whatever order they are the same, and their percentiles lie where their values do."""

from __future__ import annotations

import statistics
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.services.monitoring_distributions import distribution_of, joined, percentile

VALUES = st.lists(st.floats(0.011, 1000, allow_nan=False), min_size=1, max_size=20)
LINEAR = {"linearBuckets": {"numFiniteBuckets": 10, "width": 1.0, "offset": 0.0}}


@given(VALUES)
def test_a_distribution_has_the_mean_and_the_spread_of_its_values(values):
    whole = reduce(joined, map(distribution_of, values))
    assert whole["count"] == str(len(values))
    assert sum(map(int, whole["bucketCounts"])) == len(values)
    assert whole["mean"] == pytest.approx(statistics.fmean(values))
    spread = whole.get("sumOfSquaredDeviation", 0.0) / len(values)
    assert spread == pytest.approx(statistics.pvariance(values), rel=1e-6, abs=1e-6)


@given(VALUES, VALUES)
def test_joining_knows_no_order(first, second):
    one, two = (reduce(joined, map(distribution_of, values)) for values in (first, second))
    there, back = joined(one, two), joined(two, one)
    assert there["bucketCounts"] == back["bucketCounts"]
    assert there["mean"] == pytest.approx(back["mean"])


@given(VALUES)
def test_percentiles_rise_and_lie_within_a_bucket_of_the_values(values):
    whole = reduce(joined, map(distribution_of, values))
    low, middle, high = (percentile(whole, share) for share in (0.05, 0.5, 0.95))
    assert low <= middle <= high
    assert min(values) / 2 <= low
    assert high <= max(values) * 2


def test_a_percentile_lies_evenly_within_its_bucket():
    whole = reduce(joined, (distribution_of(value, LINEAR) for value in (2.1, 2.2, 2.3, 2.4)))
    assert percentile(whole, 0.5) == pytest.approx(2.5)
    assert percentile(distribution_of(99.0, LINEAR), 0.5) == 10.0
