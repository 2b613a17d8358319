"""Vertex AI: evaluation runs (aiplatform.v1, v1beta1). Cancelled and deleted as all jobs are: vertex_jobs."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.jobs.states import ENDED
from tunestack.emulator.services.vertex import listed, named_row
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

EVALUATION_RUNS = "evaluationRuns"

_RUNS = f"aiplatform.projects.locations.{EVALUATION_RUNS}"
_SOURCES = ("evaluationSet", "bigqueryRequestSet", "evaluationSetRevision")
# Kept of every job, but no fields of this one.
_NOT_SHOWN = ("startTime", "endTime", "updateTime")


@implements(f"{_RUNS}.create")
def create(call: Call) -> Json:
    body = call.body
    sources = [key for key in _SOURCES if key in body["dataSource"]]
    if len(sources) != 1:
        raise invalid(f"Exactly one of {', '.join(_SOURCES)} must be set.", [("data_source", "")])
    if not body.get("evaluationConfig", {}).get("metrics"):
        raise invalid(
            "Required field is not set: evaluation_config.metrics", [("evaluation_config.metrics", "")]
        )
    if "evaluationSet" in body["dataSource"]:
        name = call.state.projects.canonical(body["dataSource"]["evaluationSet"])
        call.state.rows.get(name)
        body["dataSource"] = {"evaluationSet": name}
    experiment = None
    if "evaluationExperiment" in body:
        experiment = call.state.rows.get(call.state.projects.canonical(body["evaluationExperiment"]))
    run = submit(call, EVALUATION_RUNS, str(call.state.new_id()), "PENDING")
    if experiment:
        # "Setting the evaluation experiment will add the run to the experiment."
        runs = [*experiment.get("evaluationRuns", []), run["name"]]
        call.state.rows.put(experiment["name"], {**experiment, "evaluationRuns": runs})
    return _shown(run)


@implements(f"{_RUNS}.get")
def get(call: Call) -> Json:
    return _shown(named_row(call))


@implements(f"{_RUNS}.list")
def list_runs(call: Call) -> Json:
    rows = call.state.rows.list(EVALUATION_RUNS, call.parent(), newest_first=True)
    return listed(call, [_shown(row) for row in rows], EVALUATION_RUNS)


def _shown(row: Json) -> Json:
    found = {key: value for key, value in row.items() if key not in _NOT_SHOWN}
    if row["state"] in ENDED and "endTime" in row:
        found["completionTime"] = row["endTime"]
    if row["state"] == "CANCELLING":
        # The enum has no such state; the run goes on until it has ended.
        found["state"] = "RUNNING"
    return found
