"""Cloud Monitoring: distributions (google.api.Distribution), made of values, joined, asked for percentiles. Pure."""

from __future__ import annotations

import bisect
from typing import Any

Json = dict[str, Any]

# What a distribution has where nobody says otherwise (LogMetric.bucket_options and its console's default).
_EXPONENTIAL: Json = {"numFiniteBuckets": 64, "growthFactor": 2.0, "scale": 0.01}
_BUCKETS: Json = {"exponentialBuckets": _EXPONENTIAL}


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


def percentile(distribution: Json, share: float) -> float:
    """The value below which a share (0 to 1) of a distribution lies, even within its bucket.

    What lies below the first boundary or above the last is taken to lie at it.
    """
    bounds = _bounds(distribution.get("bucketOptions", {}))
    counts = [int(count) for count in distribution.get("bucketCounts", [])]
    wanted, passed = share * sum(counts), 0
    for index, count in enumerate(counts):
        if count and passed + count >= wanted:
            low = bounds[max(index - 1, 0)]
            high = bounds[min(index, len(bounds) - 1)]
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return float(distribution.get("mean", 0.0))
