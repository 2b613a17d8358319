"""Vertex AI: evaluateDataset (aiplatform.v1, v1beta1): metrics over the rows of a JSONL file in a bucket."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid, rpc_status
from tunestack.emulator.evaluation_metrics import AGGREGATIONS, aggregate
from tunestack.emulator.jobs.files import content_of, write_object
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.evaluation import computed_metric, metric_result
from tunestack.emulator.services.vertex import finished_operation

Json = dict[str, Any]

# The columns that metrics know by name; `prediction` is what a response was called before.
_COLUMNS = {"prompt": "prompt", "response": "response", "prediction": "response", "reference": "reference"}


@implements("aiplatform.projects.locations.evaluateDataset")
async def evaluate_dataset(call: Call) -> Json:
    """The operation is done when it is answered. Names of the files that it leaves are ours."""
    body = call.body
    rows = _rows(call)
    results: list[list[Json]] = []
    aggregated: list[Json] = []
    for metric in body["metrics"]:
        found = [await _result(call, metric, row) for row in rows]
        results.append(found)
        scores = [result["score"] for result in found if "score" in result]
        if not scores:
            raise invalid(f"No row could be evaluated: {found[0]['error']['message']}")
        for kind in metric.get("aggregationMetrics", ["AVERAGE"]):
            if kind not in AGGREGATIONS:
                raise invalid(f"aggregation_metrics has {kind}.", [("aggregation_metrics", kind)])
            aggregated.append({"aggregationMetric": kind, _field(metric): {"score": aggregate(kind, scores)}})
    destination = body["outputConfig"].get("gcsDestination")
    if destination is None:
        raise invalid("Required field is not set: output_config.gcs_destination", [("output_config", "")])
    time = re.sub(r"(\.\d{3})\d*Z$", r"\1Z", call.state.now())
    folder = f"{destination['outputUriPrefix'].rstrip('/')}/evaluation-{time}"
    lines = [{"row": row, "results": [found[place] for found in results]} for place, row in enumerate(rows)]
    output: Json = {"dataset": body["dataset"], "aggregationResults": aggregated}
    response = {"aggregationOutput": output, "outputInfo": {"gcsOutputDirectory": folder}}
    with call.state.database.transaction():
        _write(call, f"{folder}/evaluation_results.jsonl", lines)
        _write(call, f"{folder}/aggregation_results.jsonl", aggregated)
        location = call.parent("location")
        return finished_operation(call, location, "EvaluateDataset", response, "EvaluateDatasetResponse")


def _rows(call: Call) -> list[Json]:
    uris = call.body["dataset"].get("gcsSource", {}).get("uris", [])
    if len(uris) != 1:
        # "Currently only one Cloud Storage file path is supported" (EvaluationDataset.gcs_source).
        raise invalid("dataset.gcs_source must name one file.", [("dataset.gcs_source", str(len(uris)))])
    try:
        content = content_of(call.state, uris[0])
    except TaskFailed as failure:
        raise ApiError(failure.status, failure.message) from None
    rows = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise invalid(f"{uris[0]}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise invalid(f"{uris[0]}:{number}: not a JSON object")
        rows.append(row)
    if not rows:
        raise invalid(f"{uris[0]} has no rows.")
    return rows


async def _result(call: Call, metric: Json, row: Json) -> Json:
    instance: Json = {}
    others: Json = {}
    for key, value in row.items():
        place = _COLUMNS.get(key)
        (instance if place else others)[place or key] = {
            "text": value if isinstance(value, str) else str(value)
        }
    if others:
        instance["otherData"] = {"mapInstance": others}
    try:
        return await metric_result(call.state, metric, instance, call.body.get("autoraterConfig", {}))
    except ApiError as error:
        return {"error": rpc_status(error.status, error.message)}


def _field(metric: Json) -> str:
    """Where an ``AggregationResult`` has the number of a metric."""
    if computed := computed_metric(metric):
        return f"{computed[0]}MetricValue"
    return "pointwiseMetricResult"


def _write(call: Call, uri: str, lines: list[Json]) -> None:
    content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    try:
        write_object(call.state, uri, content)
    except TaskFailed as failure:
        raise ApiError(failure.status, failure.message) from None
