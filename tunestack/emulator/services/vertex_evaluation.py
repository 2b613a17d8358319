"""Vertex AI: evaluateInstances (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.evaluation_metrics import METRICS
from tunestack.emulator.services.evaluation import fields_of, metric_result, scores
from tunestack.emulator.services.judge import pairwise, pointwise

Json = dict[str, Any]

_JUDGED = {"pointwiseMetric": pointwise, "pairwiseMetric": pairwise}


@implements("aiplatform.projects.locations.evaluateInstances")
async def evaluate_instances(call: Call) -> Json:
    body = call.body
    if "metrics" in body or "metricSources" in body:
        # "Currently, we only support evaluating a single metric": the first (EvaluateInstancesRequest.metrics).
        metric = body["metrics"][0] if body.get("metrics") else _source(call, body["metricSources"][0])
        if "instance" not in body:
            raise invalid("Required field is not set: instance", [("instance", "required")])
        config = body.get("autoraterConfig", {})
        return {"metricResults": [await metric_result(call.state, metric, body["instance"], config)]}
    inputs = [key for key in body if key.endswith("Input")]
    if len(inputs) != 1:
        have = ", ".join(inputs) or "none"
        raise invalid(f"Exactly one metric input must be set; have {have}.", [("metric_inputs", have)])
    name = inputs[0].removesuffix("Input")
    given = body[inputs[0]]
    if name in METRICS:
        values = [{"score": score} for score in await scores(name, given["metricSpec"], given["instances"])]
        return {f"{name}Results": {f"{name}MetricValues": values}}
    if name in _JUDGED:
        ask = _JUDGED[name]
        fields = _json_fields(given["instance"])
        return {
            f"{name}Result": await ask(
                call.state, given["metricSpec"], fields, body.get("autoraterConfig", {})
            )
        }
    raise not_found(
        f"The model that judges {name} is not available in the emulator; it computes {', '.join(METRICS)}, and asks a"
        " judge that you name for pointwise_metric and pairwise_metric."
    )


def _source(call: Call, source: Json) -> Json:
    if "metric" in source:
        return dict(source["metric"])
    row = call.state.rows.get(call.state.projects.canonical(source.get("metricResourceName", "")))
    return dict(row["metric"])


def _json_fields(instance: Json) -> dict[str, str]:
    if "jsonInstance" not in instance:
        return fields_of(instance.get("contentMapInstance", {}).get("values", {}))
    try:
        fields = orjson.loads(instance["jsonInstance"])
    except orjson.JSONDecodeError as error:
        raise invalid(f"json_instance is not JSON: {error}", [("json_instance", "")]) from None
    if not isinstance(fields, dict):
        raise ApiError("INVALID_ARGUMENT", "json_instance is not a JSON object.")
    return {key: str(value) for key, value in fields.items()}
