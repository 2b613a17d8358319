"""Cloud Monitoring: metrics that Google itself counts, minute by minute: numbers of things, or distributions."""

from __future__ import annotations

import bisect
import hashlib
from datetime import timedelta
from typing import Any

import orjson

from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

SERIES = "timeSeries"

# What a distribution has where nobody says otherwise (LogMetric.bucket_options and its console's default).
_EXPONENTIAL: Json = {"numFiniteBuckets": 64, "growthFactor": 2.0, "scale": 0.01}
_BUCKETS: Json = {"exponentialBuckets": _EXPONENTIAL}


def series_key(project: str, series: Json) -> str:
    """The name under which a series of a project is kept: one for each metric, resource and their labels."""
    identity = orjson.dumps([series["metric"], series["resource"]], option=orjson.OPT_SORT_KEYS)
    return f"{project}/{SERIES}/{hashlib.sha256(identity).hexdigest()[:32]}"


def count(
    state: State, project: str, metric: Json, resource: Json, time: str, distribution: Json | None = None
) -> None:
    """One more, or a distribution more, in the minute of ``time`` of a series; wakes who waits for points."""
    kind = "INT64" if distribution is None else "DISTRIBUTION"
    series = {"metric": metric, "resource": resource, "metricKind": "DELTA", "valueType": kind}
    key = series_key(project, series)
    if state.rows.find(key) is None:
        state.rows.create(SERIES, project, key, {**series, "_key": key})
    minute = moment(time).replace(second=0, microsecond=0)
    end = written(minute + timedelta(minutes=1))
    row = state.database.one("SELECT value FROM metric_point WHERE series = ? AND end_time = ?", *(key, end))
    before = orjson.loads(row[0]) if row else None
    if distribution is None:
        value: Json = {"int64Value": str(int(before["int64Value"]) + 1 if before else 1)}
    else:
        value = {
            "distributionValue": joined(before["distributionValue"], distribution) if before else distribution
        }
    state.database.execute(
        "INSERT OR REPLACE INTO metric_point (series, end_time, start_time, value) VALUES (?, ?, ?, ?)",
        *(key, end, written(minute), orjson.dumps(value)),
    )
    state.database.after_commit(state.background.wake)


def distribution_of(value: float, options: Json | None = None) -> Json:
    """The distribution of one value (google.api.Distribution), in the buckets of ``options``."""
    options = options or _BUCKETS
    bounds = _bounds(options)
    counts = ["0"] * (bisect.bisect_right(bounds, value) + 1)
    counts[-1] = "1"
    return {"count": "1", "mean": value, "bucketOptions": options, "bucketCounts": counts}


def joined(first: Json, second: Json) -> Json:
    """The distribution of all values of two, which have the same buckets; those of others take the newer ones."""
    if first.get("bucketOptions") != second.get("bucketOptions"):
        return second
    one, two = int(first["count"]), int(second["count"])
    total = one + two
    gap = second["mean"] - first["mean"]
    # Chan's way to join two sums of squared deviations.
    squares = (
        first.get("sumOfSquaredDeviation", 0.0)
        + second.get("sumOfSquaredDeviation", 0.0)
        + gap * gap * one * two / total
    )
    counts = [first["bucketCounts"], second["bucketCounts"]]
    length = max(map(len, counts))
    summed = [sum(int(c[i]) for c in counts if i < len(c)) for i in range(length)]
    return {
        "count": str(total),
        "mean": first["mean"] + gap * two / total,
        "sumOfSquaredDeviation": squares,
        "bucketOptions": second["bucketOptions"],
        "bucketCounts": [str(number) for number in summed],
    }


def _bounds(options: Json) -> list[float]:
    """The boundaries between buckets, the first of which has what is below them all."""
    if "explicitBuckets" in options:
        return [float(bound) for bound in options["explicitBuckets"].get("bounds", [])]
    given: Json
    if "linearBuckets" in options:
        given = options["linearBuckets"]
        return [
            given.get("offset", 0.0) + given.get("width", 1.0) * index
            for index in range(given.get("numFiniteBuckets", 0) + 1)
        ]
    given = options.get("exponentialBuckets", _EXPONENTIAL)
    return [
        given.get("scale", 1.0) * given.get("growthFactor", 2.0) ** index
        for index in range(given.get("numFiniteBuckets", 0) + 1)
    ]
