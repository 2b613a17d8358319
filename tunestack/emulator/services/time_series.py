"""Data points of Tensorboard time series: kept by step, read in its order."""

from __future__ import annotations

import random
from typing import Any

import orjson

from tunestack.emulator.errors import invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

VALUE_FIELDS = {"SCALAR": "scalar", "TENSOR": "tensor", "BLOB_SEQUENCE": "blobs"}


def write_points(state: State, series: Json, data: Json) -> Json:
    """Keep the points of one ``TimeSeriesData``; the series' row with its new metadata.

    A second point of a step takes the first one's place (WriteTensorboardRunDataRequest.time_series_data).
    Raises 400 where a value is not of the series' type.
    """
    name, kind = series["name"], series["valueType"]
    field = VALUE_FIELDS[kind]
    if data["valueType"] != kind:
        raise invalid(f"{name} holds values of type {kind}, not {data['valueType']}.", [("value_type", "")])
    metadata = dict(series.get("metadata", {}))
    for index, point in enumerate(data["values"]):
        if field not in point or len({"scalar", "tensor", "blobs"} & set(point)) != 1:
            raise invalid(f"values[{index}] of {name} is no {kind}.", [(f"values[{index}]", "")])
        step = int(point.get("step", 0))
        if kind == "BLOB_SEQUENCE":
            blobs = point["blobs"].get("values", [])
            blobs = [{**blob, "id": str(state.new_id())} for blob in blobs]
            point = {**point, "blobs": {"values": blobs}}
            metadata["maxBlobSequenceLength"] = str(
                max(int(metadata.get("maxBlobSequenceLength", 0)), len(blobs))
            )
        state.database.execute(
            "INSERT OR REPLACE INTO point VALUES (?, ?, ?)",
            name,
            step,
            orjson.dumps({**point, "step": str(step)}),
        )
        metadata["maxStep"] = str(max(int(metadata.get("maxStep", step)), step))
        if "wallTime" in point:
            metadata["maxWallTime"] = max(metadata.get("maxWallTime", ""), point["wallTime"])
    return state.rows.put(name, {**series, "metadata": metadata, "updateTime": state.now()})


def read_points(state: State, series: Json, at_most: int | None = None) -> list[Json]:
    """The points of a series by step; of more than ``at_most`` a random choice, as Google gives one.

    The choice is the same each time. Blobs come without their bytes (TensorboardBlob.data).
    """
    points = [orjson.loads(body) for (body,) in _rows(state, series["name"])]
    if at_most is not None and len(points) > at_most:
        chosen = sorted(random.Random(series["name"]).sample(range(len(points)), at_most))  # noqa: S311
        points = [points[index] for index in chosen]
    for point in points:
        for blob in point.get("blobs", {}).get("values", []):
            blob.pop("data", None)
    return points


def read_blobs(state: State, series: str) -> dict[str, Json]:
    """The blobs of a series by id, with their bytes."""
    found: dict[str, Json] = {}
    for (body,) in _rows(state, series):
        for blob in orjson.loads(body).get("blobs", {}).get("values", []):
            found[blob["id"]] = blob
    return found


def forget_points(state: State, name: str) -> None:
    """Remove the points of the series called ``name``, or of all that lie under it."""
    state.database.execute(
        "DELETE FROM point WHERE series = ? OR (series > ? AND series < ?)", name, f"{name}/", f"{name}0"
    )


def stored_bytes(state: State, name: str) -> int:
    """The size of all points under ``name``, as they lie here: Google does not say how it counts."""
    found = state.database.one(
        "SELECT coalesce(sum(length(body)), 0) FROM point WHERE series > ? AND series < ?",
        f"{name}/",
        f"{name}0",
    )
    return int(found[0]) if found else 0


def _rows(state: State, series: str) -> list[tuple[Any, ...]]:
    return state.database.execute("SELECT body FROM point WHERE series = ? ORDER BY step", series)
