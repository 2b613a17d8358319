"""Cloud Monitoring: metrics that Google itself counts, minute by minute: numbers of things, or distributions."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import orjson

from tunestack.emulator.services.monitoring_distributions import joined
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

SERIES = "timeSeries"


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
