"""Cloud Monitoring: when the conditions of an alert policy hold (AlertPolicy.Condition). Pure.

cloud.google.com/monitoring/alerts/concepts-indepth: a threshold holds for a series once all its points of the duration
lie beyond it, an absence once a series that was there has had no point for the duration. What is missing of a threshold
leaves an incident as it is, unless ``evaluationMissingData`` says otherwise.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from tunestack.emulator.services.monitoring_aggregation import Aggregation, Series, aggregated
from tunestack.emulator.services.times import moment, seconds

Json = dict[str, Any]

_COMPARISONS = {
    "COMPARISON_GT": operator.gt,
    "COMPARISON_GE": operator.ge,
    "COMPARISON_LT": operator.lt,
    "COMPARISON_LE": operator.le,
    "COMPARISON_EQ": operator.eq,
    "COMPARISON_NE": operator.ne,
}
_SLACK = timedelta(minutes=10)
_UNPLAYED = (
    "conditionMonitoringQueryLanguage",
    "conditionPrometheusQueryLanguage",
    "conditionSql",
)


@dataclass(frozen=True)
class Verdict:
    """What a condition says of one series: ``holds`` None where its data is missing. ``seen`` is its newest point."""

    head: Json
    holds: bool | None
    seen: datetime
    value: float | None = None

    @property
    def identity(self) -> str:
        return identity_of(self.head)


def identity_of(head: Json) -> str:
    """A series, by its metric's and resource's labels."""
    parts = [head.get("metric"), head.get("resource")]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()


def unplayed(policy: Json) -> str | None:
    """What of a policy is not evaluated here; None where all is."""
    for condition in policy.get("conditions", []):
        for kind in _UNPLAYED:
            if kind in condition:
                return kind
        threshold = condition.get("conditionThreshold", {})
        for field in ("forecastOptions", "denominatorFilter"):
            if threshold.get(field):
                return f"conditionThreshold.{field}"
        if threshold and threshold.get("comparison") not in _COMPARISONS:
            return f"conditionThreshold.comparison {threshold.get('comparison')}"
    return None


def lookback(condition: Json) -> timedelta:
    """How far back the points lie that a condition looks at."""
    body = condition.get("conditionThreshold") or condition.get("conditionAbsent") or {}
    periods = [seconds(one.get("alignmentPeriod", "0s")) for one in body.get("aggregations", [])]
    return timedelta(seconds=seconds(body.get("duration", "0s")) + 2 * sum(periods)) + _SLACK


def verdicts(condition: Json, series: list[Series], now: datetime) -> list[Verdict]:
    """What a condition says of each series (`lookback` of them). Raises `ApiError` on what cannot be aligned."""
    body = condition.get("conditionThreshold") or condition["conditionAbsent"]
    for aggregation in body.get("aggregations", []):
        query = {f"aggregation.{key}": value for key, value in aggregation.items()}
        series = aggregated(series, Aggregation.of(query), now)
    found = [one for one in series if one.points]
    if "conditionAbsent" in condition:
        return [_absent(body, one, now) for one in found]
    return [_beyond(body, one, now) for one in found]


def met(condition: Json, found: list[Verdict]) -> bool:
    """Whether enough series are in violation (AlertPolicy.Condition.Trigger; one by default)."""
    body = condition.get("conditionThreshold") or condition.get("conditionAbsent") or {}
    trigger = body.get("trigger", {})
    holding = sum(1 for verdict in found if verdict.holds)
    if trigger.get("percent"):
        return bool(holding * 100 >= trigger["percent"] * len(found) > 0)
    return holding >= int(trigger.get("count") or 1)


def _absent(body: Json, series: Series, now: datetime) -> Verdict:
    newest = moment(series.points[0][1])
    return Verdict(series.head, now - newest >= timedelta(seconds=seconds(body["duration"])), newest)


def _beyond(body: Json, series: Series, now: datetime) -> Verdict:
    compare, threshold = _COMPARISONS[body["comparison"]], body.get("thresholdValue", 0.0)
    duration = timedelta(seconds=seconds(body["duration"]))
    newest = moment(series.points[0][1])
    value = _number(series.points[0][2])
    since: datetime | None = None
    for _, end, held in series.points:
        if not compare(_number(held), threshold):
            break
        since = moment(end)
    missing = body.get("evaluationMissingData", "")
    stale = now - newest > max(duration, timedelta(minutes=5))
    if stale and missing.endswith("_INACTIVE"):
        return Verdict(series.head, False, newest, value)
    if stale and missing.endswith("_ACTIVE"):
        return Verdict(series.head, True, newest, value)
    if since is None:
        return Verdict(series.head, False, newest, value)
    # Not long enough yet: neither a reason to open an incident nor one to close it.
    return Verdict(series.head, True if newest - since >= duration else None, newest, value)


def _number(value: Json) -> float:
    held = next(iter(value.values()))
    return float(held["mean"]) if isinstance(held, dict) else float(held)
