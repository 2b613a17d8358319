"""Vertex AI: writing and reading the data of Tensorboard time series (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator import list_filter
from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.time_series import read_blobs, read_points, write_points
from tunestack.emulator.services.vertex import named_row

Json = dict[str, Any]

# Limits of the methods' descriptions, discovery revision 20261106.
_POINTS_A_WRITE = 5000
_POINTS_READ = 1000
_POINTS_AT_MOST = 10_000
_POINTS_A_BATCH = {"SCALAR": 1000, "TENSOR": 100, "BLOB_SEQUENCE": 100}

_EXPERIMENTS = "aiplatform.projects.locations.tensorboards.experiments"
_SERIES = f"{_EXPERIMENTS}.runs.timeSeries"


@implements(f"{_EXPERIMENTS}.runs.write")
def write_run(call: Call) -> Json:
    _write(call, named_row(call, "tensorboardRun")["name"], call.body)
    return {}


@implements(f"{_EXPERIMENTS}.write")
def write_experiment(call: Call) -> Json:
    experiment = named_row(call, "tensorboardExperiment")["name"]
    for request in call.body["writeRunDataRequests"]:
        run = call.state.projects.canonical(request["tensorboardRun"])
        if not run.startswith(f"{experiment}/runs/"):
            raise invalid(
                f"{request['tensorboardRun']} is no run of {experiment}.", [("tensorboard_run", "")]
            )
        _write(call, run, request)
    return {}


@implements(f"{_SERIES}.read")
def read(call: Call) -> Json:
    series = named_row(call, "tensorboardTimeSeries")
    wanted = call.query.get("maxDataPoints", _POINTS_READ)
    if wanted < -1 or wanted == 0:
        raise invalid(f"max_data_points is {wanted}; it must be positive, or -1 for all.")
    points = read_points(call.state, series, None if wanted == -1 else min(wanted, _POINTS_AT_MOST))
    return {"timeSeriesData": _data(series, _filtered(points, call.query.get("filter", "")))}


@implements("aiplatform.projects.locations.tensorboards.batchRead")
def batch_read(call: Call) -> Json:
    board = named_row(call, "tensorboard")["name"]
    found = []
    for name in call.query.get("timeSeries", []):
        name = call.state.projects.canonical(name)
        if not name.startswith(board + "/"):
            raise invalid(f"{name} is not in {board}.", [("time_series", "")])
        series = call.state.rows.get(name)
        found.append(_data(series, read_points(call.state, series, _POINTS_A_BATCH[series["valueType"]])))
    if not found:
        raise invalid("Required field is not set: time_series", [("time_series", "")])
    return {"timeSeriesData": found}


@implements(f"{_SERIES}.readBlobData")
def read_blob_data(call: Call) -> Json:
    """In one answer; Google's gRPC streams it."""
    name = named_row(call, "timeSeries")["name"]
    kept = read_blobs(call.state, name)
    wanted = call.query.get("blobIds", list(kept))
    if missing := [identifier for identifier in wanted if identifier not in kept]:
        raise not_found(f"{name} has no blobs {', '.join(missing)}.")
    return {"blobs": [kept[identifier] for identifier in wanted]}


@implements(f"{_SERIES}.exportTensorboardTimeSeries")
def export(call: Call) -> Json:
    """By step unless ``orderBy`` says otherwise; Google's default is a pseudo-random order."""
    series = named_row(call, "tensorboardTimeSeries")
    points = _filtered(read_points(call.state, series), call.body.get("filter", ""))
    field, _, direction = call.body.get("orderBy", "step").partition(" ")
    if field not in ("step", "wall_time", "wallTime"):
        raise invalid(f"order_by is {field}; points have step and wall_time.", [("order_by", "")])
    points.sort(key=lambda point: int(point["step"]) if field == "step" else point.get("wallTime", ""))
    if direction.strip() == "desc":
        points.reverse()
    rows = [{"name": point["step"], "point": point} for point in points]
    size = call.body.get("pageSize", 1000)
    if size < 1:
        raise invalid(f"page_size is {size}; it must be between 1 and {_POINTS_AT_MOST}.")
    rows, token = page(rows, size, call.body.get("pageToken"), at_most=_POINTS_AT_MOST)
    body: Json = {"timeSeriesDataPoints": [row["point"] for row in rows]}
    return {**body, "nextPageToken": token} if token else body


def _write(call: Call, run: str, request: Json) -> None:
    count = sum(len(data["values"]) for data in request["timeSeriesData"])
    if count > _POINTS_A_WRITE:
        raise invalid(
            f"{count} data points; at most {_POINTS_A_WRITE} in a request.", [("time_series_data", "")]
        )
    for data in request["timeSeriesData"]:
        write_points(
            call.state, call.state.rows.get(f"{run}/timeSeries/{data['tensorboardTimeSeriesId']}"), data
        )


def _data(series: Json, points: list[Json]) -> Json:
    return {
        "tensorboardTimeSeriesId": series["name"].rpartition("/")[2],
        "valueType": series["valueType"],
        "values": points,
    }


def _filtered(points: list[Json], text: str) -> list[Json]:
    """Google does not say what a filter of data points may name: here ``step`` and ``wall_time``."""
    keep = list_filter.parse(text)
    return [point for point in points if keep({**point, "step": int(point["step"])})]
