"""Cloud Monitoring: the series that a filter wants, with their points in an interval."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import orjson

from tunestack.emulator import list_filter
from tunestack.emulator.list_filter import Language, Predicate
from tunestack.emulator.services.monitoring_aggregation import Series
from tunestack.emulator.services.monitoring_counting import SERIES
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]


def parse(text: str) -> Predicate:
    """Filters of metrics and series (cloud.google.com/monitoring/api/v3/filters). Raises 400."""
    return list_filter.parse(text, language=_LANGUAGE)


def read_series(state: State, project: str, text: str, start: datetime, end: datetime) -> list[Series]:
    """The series of a project (by number) that have points in an interval, which are newest first.

    The interval is open at its start, unless it is an instant. Raises 400 on the filter.
    """
    keep = parse(text)
    found: list[Series] = []
    for row in state.rows.list(SERIES, project):
        if not keep(_seen_by_filter(row, state.projects.id(project.removeprefix("projects/")))):
            continue
        points = state.database.execute(
            "SELECT start_time, end_time, value FROM metric_point"
            " WHERE series = ? AND end_time >= ? AND end_time <= ? ORDER BY end_time DESC",
            *(row["_key"], written(start), written(end)),
        )
        taken = [(a, b, orjson.loads(v)) for a, b, v in points if start == end or moment(b) > start]
        if taken:
            head = {key: value for key, value in row.items() if not key.startswith("_")}
            found.append(Series(head, taken))
    return found


def _seen_by_filter(row: Json, project: str) -> Json:
    """A series as its filters name it: ``metric.label.x`` as well as ``metric.labels.x``."""
    sides = {side: {**row[side], "label": row[side].get("labels", {})} for side in ("metric", "resource")}
    return {**row, **sides, "project": project}


def _text_test(test: Any) -> Any:
    return lambda value, arguments: value is not None and any(test(str(value), text) for text in arguments)


def _exact(path: list[str], have: Any, operator: str, want: str) -> bool:
    """``*`` is a character like any other here, and ``:`` asks for a part of a text."""
    if operator in ("=", "!=") and isinstance(have, str):
        return (have == want) is (operator == "=")
    if operator == ":" and isinstance(have, str):
        return want in have
    return list_filter.compare(path, have, operator, want)


_LANGUAGE = Language(
    compare=_exact,
    tests={
        "starts_with": _text_test(str.startswith),
        "ends_with": _text_test(str.endswith),
        "has_substring": _text_test(lambda value, text: text in value),
        "one_of": _text_test(lambda value, text: value == text),
        "monitoring.regex.full_match": _text_test(lambda value, text: re.fullmatch(text, value) is not None),
    },
)
