"""Time series made regular and joined: aligners and reducers of Cloud Monitoring.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Aggregation. Windows end at the end
of the interval and go back by the alignment period; a window without points gives none. Interpolation and changes in
percent are refused. Distributions are joined, and give percentiles, which no other series does.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.monitoring_distributions import joined, percentile
from tunestack.emulator.services.times import moment, seconds, written

Json = dict[str, Any]
Point = tuple[str, str, Json]  # start, end, typed value
Number = int | float | bool

_FIELDS = {"BOOL": "boolValue", "INT64": "int64Value", "DOUBLE": "doubleValue", "STRING": "stringValue"}
_REDUCERS: dict[str, Callable[[list[Number]], float]] = {
    "MEAN": lambda values: statistics.fmean(values),
    "MIN": min,
    "MAX": max,
    "SUM": math.fsum,
    "STDDEV": statistics.pstdev,
    "COUNT": len,
    "COUNT_TRUE": lambda values: sum(1 for value in values if value),
    "COUNT_FALSE": lambda values: sum(1 for value in values if not value),
    "FRACTION_TRUE": lambda values: sum(1 for value in values if value) / len(values),
}
_PERCENTILES = {f"PERCENTILE_{number:02}": number / 100 for number in (99, 95, 50, 5)}
_FRACTIONS = ("MEAN", "STDDEV", "FRACTION_TRUE", *_PERCENTILES)
_COUNTS = ("COUNT", "COUNT_TRUE", "COUNT_FALSE")


@dataclass(frozen=True)
class Series:
    """``head`` is all but the points, which come newest first."""

    head: Json
    points: list[Point]

    def shown(self, headers_only: bool) -> Json:
        if headers_only:
            return self.head
        points = [
            {"interval": {"startTime": start, "endTime": end}, "value": value}
            for start, end, value in self.points
        ]
        return {**self.head, "points": points}


@dataclass(frozen=True)
class Aggregation:
    """``period`` in seconds; ``aligner`` and ``reducer`` without their prefix, None where there is none."""

    period: float = 0.0
    aligner: str | None = None
    reducer: str | None = None
    fields: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, query: Json) -> Aggregation:
        """From the query parameters ``aggregation.…``. Raises 400 on what does not go together."""
        aligner = _name(query.get("aggregation.perSeriesAligner"), "ALIGN_")
        reducer = _name(query.get("aggregation.crossSeriesReducer"), "REDUCE_")
        period = seconds(query.get("aggregation.alignmentPeriod", "0s"))
        if aligner is None and reducer is not None:
            raise invalid("aggregation.perSeriesAligner must be set where a crossSeriesReducer is.")
        if aligner is not None and period < 60:
            raise invalid("aggregation.alignmentPeriod must be at least 60 seconds.")
        known = {*_REDUCERS, *_PERCENTILES, "DELTA", "RATE", "NEXT_OLDER"}
        if aligner is not None and aligner not in known:
            raise ApiError("UNIMPLEMENTED", f"ALIGN_{aligner} is not played by the tunestack emulator")
        if reducer is not None and reducer not in {*_REDUCERS, *_PERCENTILES}:
            raise invalid(f"Invalid value 'REDUCE_{reducer}' of aggregation.crossSeriesReducer.")
        return cls(period, aligner, reducer, tuple(query.get("aggregation.groupByFields", ())))


def aggregated(series: list[Series], aggregation: Aggregation, end: datetime) -> list[Series]:
    """The series aligned, then reduced, as far as the aggregation says."""
    if aggregation.aligner is None:
        return series
    aligned = [_aligned(one, aggregation, end) for one in series]
    return _reduced(aligned, aggregation) if aggregation.reducer else aligned


def _aligned(series: Series, aggregation: Aggregation, end: datetime) -> Series:
    aligner, head = str(aggregation.aligner), series.head
    if head["valueType"] == "DISTRIBUTION":
        return _aligned_distributions(series, aggregation, end)
    if aligner in _PERCENTILES:
        raise invalid(f"ALIGN_{aligner} is for series of distributions, not of {head['valueType']}.")
    if head["valueType"] not in ("BOOL", "INT64", "DOUBLE"):
        raise ApiError(
            "UNIMPLEMENTED", f"aligning {head['valueType']} values is not played by the tunestack emulator"
        )
    value_type = _type_after(aligner, head["valueType"])
    period = timedelta(seconds=aggregation.period)
    points: list[Point] = []
    for window_end, inside, before in _windows(series, period, end):
        numbers = [_number(value) for _, _, value in inside]
        if aligner == "NEXT_OLDER":
            result: float = numbers[0]
        elif aligner in ("DELTA", "RATE"):
            result = _change(head["metricKind"], numbers, before)
            if aligner == "RATE":
                result /= aggregation.period
        else:
            result = _REDUCERS[aligner](numbers)
        # A difference spans its window, everything else is of the window's end.
        start = window_end - period if aligner == "DELTA" else window_end
        points.append((written(start), written(window_end), _typed(value_type, result)))
    kind = "DELTA" if aligner == "DELTA" else "GAUGE"
    return Series({**head, "metricKind": kind, "valueType": value_type}, points)


def _aligned_distributions(series: Series, aggregation: Aggregation, end: datetime) -> Series:
    """What came in each window joined (DELTA, SUM), or a percentile of it."""
    aligner, period = str(aggregation.aligner), timedelta(seconds=aggregation.period)
    if aligner not in ("DELTA", "SUM", *_PERCENTILES):
        raise invalid(f"ALIGN_{aligner} is not for series of distributions.")
    groups: dict[int, list[Json]] = {}
    for _, at, value in series.points:
        groups.setdefault(int((end - moment(at)) / period), []).append(value["distributionValue"])
    points: list[Point] = []
    for number in sorted(groups):
        whole = reduce(joined, groups[number])
        until = end - number * period
        if aligner in _PERCENTILES:
            value = {"doubleValue": percentile(whole, _PERCENTILES[aligner])}
            points.append((written(until), written(until), value))
        else:
            points.append((written(until - period), written(until), {"distributionValue": whole}))
    if aligner in _PERCENTILES:
        return Series({**series.head, "metricKind": "GAUGE", "valueType": "DOUBLE"}, points)
    return Series({**series.head, "metricKind": "DELTA"}, points)


def _windows(
    series: Series, period: timedelta, end: datetime
) -> Iterator[tuple[datetime, list[Point], Number | None]]:
    """Each window that has points, newest first: its end, its points, and the newest value before it."""
    groups: dict[int, list[Point]] = {}
    for point in series.points:
        groups.setdefault(int((end - moment(point[1])) / period), []).append(point)
    ordered = sorted(groups)
    for position, number in enumerate(ordered):
        older = groups[ordered[position + 1]][0] if position + 1 < len(ordered) else None
        yield end - number * period, groups[number], _number(older[2]) if older else None


def _change(kind: str, numbers: list[Number], before: Number | None) -> float:
    """What came in a window: deltas add up; of running totals the last less the one before the window."""
    if kind == "DELTA":
        return math.fsum(numbers)
    return numbers[0] - (before if before is not None else numbers[-1])


def _reduced(series: list[Series], aggregation: Aggregation) -> list[Series]:
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        groups.setdefault(tuple(_label(one.head, name) for name in aggregation.fields), []).append(one)
    reducer = str(aggregation.reducer)
    result = []
    for values, members in groups.items():
        if members[0].head["valueType"] == "DISTRIBUTION":
            result.append(_reduced_distributions(members, aggregation, values))
            continue
        value_type = _type_after(reducer, members[0].head["valueType"])
        instants: dict[tuple[str, str], list[Number]] = {}
        for one in members:
            for start, end, value in one.points:
                instants.setdefault((end, start), []).append(_number(value))
        points = [
            (start, end, _typed(value_type, _joined(reducer, numbers)))
            for (end, start), numbers in sorted(instants.items(), reverse=True)
        ]
        result.append(
            Series(_head_of(members[0].head, aggregation.fields, values) | {"valueType": value_type}, points)
        )
    return result


def _reduced_distributions(
    members: list[Series], aggregation: Aggregation, values: tuple[str, ...]
) -> Series:
    reducer, head = str(aggregation.reducer), _head_of(members[0].head, aggregation.fields, values)
    if reducer not in ("SUM", "MEAN", *_PERCENTILES):
        raise invalid(f"REDUCE_{reducer} is not for series of distributions.")
    instants: dict[tuple[str, str], list[Json]] = {}
    for one in members:
        for start, end, value in one.points:
            instants.setdefault((end, start), []).append(value["distributionValue"])
    points: list[Point] = []
    for (end, start), found in sorted(instants.items(), reverse=True):
        whole = reduce(joined, found)
        if reducer == "SUM":
            points.append((start, end, {"distributionValue": whole}))
        else:
            number = whole["mean"] if reducer == "MEAN" else percentile(whole, _PERCENTILES[reducer])
            points.append((end, end, {"doubleValue": float(number)}))
    if reducer == "SUM":
        return Series(head, points)
    return Series({**head, "metricKind": "GAUGE", "valueType": "DOUBLE"}, points)


def _joined(reducer: str, numbers: list[Number]) -> float:
    if reducer in _PERCENTILES:
        ranked = sorted(numbers)
        place = _PERCENTILES[reducer] * (len(ranked) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ranked) - 1)
        return ranked[low] + (ranked[high] - ranked[low]) * (place - low)
    return _REDUCERS[reducer](numbers)


def _head_of(head: Json, fields: tuple[str, ...], values: tuple[str, ...]) -> Json:
    """The head of a group: of the labels those that it is grouped by."""
    joined: Json = {
        **head,
        "metric": {"type": head["metric"]["type"]},
        "resource": {"type": head["resource"]["type"], "labels": {}},
    }
    for name, value in zip(fields, values, strict=True):
        side, _, label = name.partition(".")
        if label.startswith(("label.", "labels.")) and value:
            joined[side].setdefault("labels", {})[label.partition(".")[2]] = value
    return joined


def _label(head: Json, name: str) -> str:
    """``resource.labels.zone``, ``metric.label.job``, ``resource.type``."""
    side, _, rest = name.partition(".")
    if side not in ("metric", "resource"):
        raise invalid(f"Invalid field '{name}' in aggregation.groupByFields.")
    if rest == "type":
        return str(head[side]["type"])
    return str(head[side].get("labels", {}).get(rest.partition(".")[2], ""))


def _number(value: Json) -> Number:
    if "int64Value" in value:
        return int(value["int64Value"])
    found: Number = value["doubleValue"] if "doubleValue" in value else value["boolValue"]
    return found


def _typed(value_type: str, number: float) -> Json:
    if value_type == "INT64":
        return {"int64Value": str(round(number))}
    if value_type == "BOOL":
        return {"boolValue": bool(number)}
    return {_FIELDS[value_type]: float(number)}


def _type_after(function: str, value_type: str) -> str:
    if function in _COUNTS:
        return "INT64"
    if function in _FRACTIONS or function == "RATE":
        return "DOUBLE"
    return "INT64" if value_type == "BOOL" and function in ("SUM", "DELTA") else value_type


def _name(value: str | None, prefix: str) -> str | None:
    text = (value or "").removeprefix(prefix)
    return None if text in ("", "NONE") else text
