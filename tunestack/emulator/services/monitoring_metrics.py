"""Cloud Monitoring: metric descriptors, and time series written and read (monitoring.v3)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.monitoring_aggregation import Aggregation, aggregated
from tunestack.emulator.services.monitoring_counting import SERIES, series_key
from tunestack.emulator.services.monitoring_series import parse, read_series
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.resources import delete_row, named_row
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

DESCRIPTORS = "metricDescriptors"

_TYPE = re.compile(r"(custom|workload|external|logging)\.googleapis\.com/[A-Za-z0-9_/.-]+")
_VALUE_TYPES = {
    "boolValue": "BOOL",
    "int64Value": "INT64",
    "doubleValue": "DOUBLE",
    "stringValue": "STRING",
    "distributionValue": "DISTRIBUTION",
}
# cloud.google.com/monitoring/quotas and …/custom-metrics/creating-metrics#writing-ts
_SERIES_AT_MOST = 200
_SECONDS_APART = 5
_OLDER = (
    "Points must be written in order. One or more of the points specified had an older end time than the most"
    " recent point."
)
_TOO_OFTEN = (
    "One or more points were written more frequently than the maximum sampling period"
    " configured for the metric."
)
_OLDEST = timedelta(hours=25)
_NEWEST = timedelta(minutes=5)


@implements("monitoring.projects.metricDescriptors.create")
def create_descriptor(call: Call) -> Json:
    """One that is there is replaced, as long as neither kind nor value type changes."""
    body = call.body
    if not _TYPE.fullmatch(body.get("type", "")):
        raise invalid(
            f'Field "metric_descriptor.type" had an invalid value of "{body.get("type", "")}".',
            [("metric_descriptor.type", "custom.googleapis.com/…")],
        )
    key = f"{call.parent('name')}/{DESCRIPTORS}/{body['type']}"
    before = call.state.rows.find(key)
    if before is None:
        row = {**body, "name": call.state.projects.by_id(key)}
        return call.state.rows.create(DESCRIPTORS, call.parent("name"), key, row)
    for field in ("metricKind", "valueType"):
        if body.get(field) != before.get(field):
            raise invalid(f"The {field} of {before['name']} is {before.get(field)} and cannot change.")
    return call.state.rows.put(key, {**body, "name": before["name"]})


@implements("monitoring.projects.metricDescriptors.get")
def get_descriptor(call: Call) -> Json:
    return named_row(call)


@implements("monitoring.projects.metricDescriptors.list")
def list_descriptors(call: Call) -> Json:
    keep = parse(call.query.get("filter", ""))
    rows = call.state.rows.list(DESCRIPTORS, call.parent("name"))
    rows = [row for row in rows if keep({"metric": {"type": row["type"]}})]
    chosen, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"))
    answer: Json = {DESCRIPTORS: chosen} if chosen else {}
    return {**answer, "nextPageToken": token} if token else answer


@implements("monitoring.projects.metricDescriptors.delete")
def delete_descriptor(call: Call) -> Json:
    """With the data of the metric."""
    row = named_row(call)
    for series in call.state.rows.list(SERIES, call.parent("name").partition(f"/{DESCRIPTORS}/")[0]):
        if series["metric"]["type"] == row["type"]:
            call.state.database.execute("DELETE FROM metric_point WHERE series = ?", series["_key"])
            call.state.rows.delete(series["_key"])
    return delete_row(call)


@implements("monitoring.projects.timeSeries.create")
async def create_series(call: Call) -> Json:
    """What can be written is written, though another series of the request makes the answer an error."""
    state, project = call.state, call.parent("name")
    sent = call.body["timeSeries"]
    if len(sent) > _SERIES_AT_MOST:
        raise invalid(f"A request may write at most {_SERIES_AT_MOST} time series.")
    failures: list[str] = []
    with state.database.transaction():
        for index, series in enumerate(sent):
            problem = _write(state, project, series)
            if problem:
                failures.append(f'timeSeries[{index}] (metric.type="{_type(series)}"): {problem}')
        state.database.after_commit(state.background.wake)
    if failures:
        raise invalid(f"One or more TimeSeries could not be written: {'; '.join(failures)}")
    return {}


@implements("monitoring.projects.timeSeries.list")
def list_series(call: Call) -> Json:
    state, query = call.state, call.query
    project = call.parent("name")
    problems = [
        (field, f"Field {field} is required.")
        for field in ("filter", "interval.endTime")
        if not query.get(field)
    ]
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    if any(name.startswith("secondaryAggregation.") for name in query):
        raise ApiError("UNIMPLEMENTED", "secondaryAggregation is not played by the tunestack emulator")
    end = moment(query["interval.endTime"])
    start = moment(query.get("interval.startTime") or query["interval.endTime"])
    if start > end:
        raise invalid("interval.start_time must not be after interval.end_time.")
    aggregation = Aggregation.of(query)
    found = read_series(state, project, query["filter"], start, end)
    rows = [
        {
            "name": orjson.dumps(series.head).decode(),
            "series": series.shown(query.get("view") in ("HEADERS", "1")),
        }
        for series in aggregated(found, aggregation, end)
    ]
    chosen, token = page(rows, query.get("pageSize"), query.get("pageToken"))
    answer: Json = {"timeSeries": [row["series"] for row in chosen]} if chosen else {}
    return {**answer, "nextPageToken": token} if token else answer


def _write(state: State, project: str, sent: Json) -> str | None:
    """Keep the point of a series; what is wrong with it, where something is."""
    points = sent.get("points", [])
    metric_type = _type(sent)
    if not _TYPE.fullmatch(metric_type):
        return "The metric type must be a URL-formatted string with a domain and non-empty path."
    if len(points) != 1:
        return "Exactly one point must be written for each TimeSeries."
    value = points[0].get("value", {})
    if len(value) != 1:
        return "A point must have exactly one value."
    value_type = _VALUE_TYPES[next(iter(value))]
    kind = sent.get("metricKind") or "GAUGE"
    descriptor_key = f"{project}/{DESCRIPTORS}/{metric_type}"
    descriptor = state.rows.find(descriptor_key)
    if descriptor is not None:
        kind = sent.get("metricKind") or descriptor.get("metricKind", "GAUGE")
        for name, have, need in (
            ("value type", value_type, descriptor.get("valueType")),
            ("metric kind", kind, descriptor.get("metricKind")),
        ):
            if have != need:
                return f"The {name} for metric {metric_type} must be {need}, but is {have}."
    interval = points[0].get("interval", {})
    if "endTime" not in interval:
        return "A point's interval must have an end time."
    end, now = moment(interval["endTime"]), state.clock()
    start = moment(interval["startTime"]) if "startTime" in interval else end
    if not now - _OLDEST <= end <= now + _NEWEST:
        return (
            "The end time of a point must not be more than 25 hours in the past or 5 minutes in the future."
        )
    if kind == "GAUGE" and start != end:
        return "The start time of a GAUGE point must be absent or equal its end time."
    if kind == "CUMULATIVE" and start >= end:
        return "The start time of a CUMULATIVE point must be before its end time."
    project_id = state.projects.id(project.removeprefix("projects/"))
    series = {
        "metric": {"type": metric_type, **_labels(sent.get("metric", {}))},
        "resource": sent.get("resource") or {"type": "global", "labels": {"project_id": project_id}},
        "metricKind": kind,
        "valueType": value_type,
        **({"unit": sent["unit"]} if sent.get("unit") else {}),
    }
    key = series_key(project, series)
    newest = state.database.one("SELECT max(end_time) FROM metric_point WHERE series = ?", key)
    if newest and newest[0]:
        if end <= moment(newest[0]):
            return _OLDER
        if end - moment(newest[0]) < timedelta(seconds=_SECONDS_APART):
            return _TOO_OFTEN
    if descriptor is None:
        _describe(state, project, project_id, series)
    if state.rows.find(key) is None:
        state.rows.create(SERIES, project, key, {**series, "_key": key})
    state.database.execute(
        "INSERT INTO metric_point (series, end_time, start_time, value) VALUES (?, ?, ?, ?)",
        *(key, written(end), written(start), orjson.dumps(value)),
    )
    return None


def _describe(state: State, project: str, project_id: str, series: Json) -> None:
    """A metric that nobody described gets a descriptor with its first point."""
    metric_type = series["metric"]["type"]
    row = {
        "name": f"projects/{project_id}/{DESCRIPTORS}/{metric_type}",
        "type": metric_type,
        "metricKind": series["metricKind"],
        "valueType": series["valueType"],
        "labels": [{"key": key} for key in series["metric"].get("labels", {})],
    }
    state.rows.create(DESCRIPTORS, project, f"{project}/{DESCRIPTORS}/{metric_type}", row)


def _type(series: Json) -> str:
    return str(series.get("metric", {}).get("type", ""))


def _labels(holder: Json) -> Json:
    return {"labels": holder["labels"]} if holder.get("labels") else {}
