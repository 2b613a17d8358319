"""Vertex AI: a Tensorboard's experiments, their runs and time series (aiplatform.v1, v1beta1).

What the series hold: vertex_time_series.
"""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.time_series import forget_points
from tunestack.emulator.services.vertex import (
    check_identifier,
    check_labels,
    finished_operation,
    list_rows,
    named_row,
    patched_row,
    remove_tree,
    with_etag,
)
from tunestack.emulator.services.vertex_tensorboards import RUNS
from tunestack.emulator.state import State

Json = dict[str, Any]

EXPERIMENTS = "tensorboardExperiments"
SERIES = "tensorboardTimeSeries"
_BATCH_AT_MOST = 1000
_PAGE = 50

_ID = r"[a-z0-9-]{1,128}"
_SERIES_ID = r"[a-z0-9][a-z0-9]{0,127}"

_BOARD = "aiplatform.projects.locations.tensorboards"
_KINDS = (f"{_BOARD}.experiments", f"{_BOARD}.experiments.runs", f"{_BOARD}.experiments.runs.timeSeries")


@implements(f"{_BOARD}.experiments.create")
def create_experiment(call: Call) -> Json:
    parent = named_row(call, "parent")["name"]
    identifier = _chosen(call.query, "tensorboardExperimentId")
    return _create(call.state, EXPERIMENTS, parent, f"{parent}/experiments/{identifier}", call.body)


@implements(f"{_BOARD}.experiments.runs.create")
def create_run(call: Call) -> Json:
    return _create_run(call.state, named_row(call, "parent")["name"], call.query, call.body)


@implements(f"{_BOARD}.experiments.runs.timeSeries.create")
def create_series(call: Call) -> Json:
    return _create_series(call.state, named_row(call, "parent")["name"], call.query, call.body)


@implements(f"{_BOARD}.experiments.runs.batchCreate")
def batch_create_runs(call: Call) -> Json:
    """All or none, as batch methods are (AIP-233)."""
    parent = named_row(call, "parent")["name"]
    made = []
    for request in _requests(call):
        if call.state.projects.canonical(request["parent"]) != parent:
            raise invalid(f"{request['parent']} is not {parent}.", [("requests.parent", "")])
        made.append(_create_run(call.state, parent, request, request["tensorboardRun"]))
    return {RUNS: made}


@implements(f"{_BOARD}.experiments.batchCreate")
def batch_create_series(call: Call) -> Json:
    experiment = named_row(call, "parent")["name"]
    made = []
    for request in _requests(call):
        run = call.state.projects.canonical(request["parent"])
        if not run.startswith(f"{experiment}/runs/"):
            raise invalid(f"{request['parent']} is no run of {experiment}.", [("requests.parent", "")])
        call.state.rows.get(run)
        made.append(_create_series(call.state, run, request, request["tensorboardTimeSeries"]))
    return {SERIES: made}


@implements(*(f"{kind}.get" for kind in _KINDS))
def get(call: Call) -> Json:
    return named_row(call)


@implements(f"{_BOARD}.experiments.list")
def list_experiments(call: Call) -> Json:
    named_row(call, "parent")
    return list_rows(call, EXPERIMENTS, size=_PAGE)


@implements(f"{_BOARD}.experiments.runs.list")
def list_runs(call: Call) -> Json:
    named_row(call, "parent")
    return list_rows(call, RUNS, size=_PAGE)


@implements(f"{_BOARD}.experiments.runs.timeSeries.list")
def list_series(call: Call) -> Json:
    named_row(call, "parent")
    return list_rows(call, SERIES, size=_PAGE)


@implements(*(f"{kind}.patch" for kind in _KINDS))
def patch(call: Call) -> Json:
    return patched_row(call, immutable=("source", "pluginName", "valueType"))


@implements(*(f"{kind}.delete" for kind in _KINDS))
def delete(call: Call) -> Json:
    """With all that lies under it."""
    name = named_row(call)["name"]
    remove_tree(call.state, name)
    forget_points(call.state, name)
    return finished_operation(call, name, "Delete", None)


def _create_run(state: State, experiment: str, request: Json, run: Json) -> Json:
    identifier = _chosen(request, "tensorboardRunId")
    _unique(state, RUNS, experiment, run["displayName"])
    return _create(state, RUNS, experiment, f"{experiment}/runs/{identifier}", run)


def _create_series(state: State, run: str, request: Json, series: Json) -> Json:
    identifier = request.get("tensorboardTimeSeriesId") or str(state.new_id())
    check_identifier(identifier, _SERIES_ID, "tensorboard_time_series_id")
    if series["valueType"] == "VALUE_TYPE_UNSPECIFIED":
        raise invalid("value_type is unspecified.", [("value_type", "")])
    _unique(state, SERIES, run, series["displayName"])
    return _create(state, SERIES, run, f"{run}/timeSeries/{identifier}", series)


def _create(state: State, collection: str, parent: str, name: str, body: Json) -> Json:
    check_labels(body.get("labels", {}))
    now = state.now()
    row = with_etag({**body, "name": name, "createTime": now, "updateTime": now})
    return state.rows.create(collection, parent, name, row)


def _unique(state: State, collection: str, parent: str, display_name: str) -> None:
    """Raises 400 with the words by which Google's uploader knows that the row is there."""
    if any(row["displayName"] == display_name for row in state.rows.list(collection, parent)):
        raise invalid(f"A resource with the display name {display_name} already exists in {parent}.")


def _chosen(request: Json, parameter: str) -> str:
    return check_identifier(request.get(parameter, ""), _ID, parameter)


def _requests(call: Call) -> list[Json]:
    requests: list[Json] = call.body["requests"]
    if len(requests) > _BATCH_AT_MOST:
        raise invalid(f"{len(requests)} requests; at most {_BATCH_AT_MOST} in a batch.", [("requests", "")])
    return requests
