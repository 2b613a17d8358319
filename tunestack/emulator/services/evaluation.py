"""One instance under one metric, as evaluateInstances, evaluation runs and datasets ask for it."""

from __future__ import annotations

import asyncio
from typing import Any

from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.evaluation_metrics import METRICS, Unplayed
from tunestack.emulator.schema import camel
from tunestack.emulator.services.judge import pairwise, pointwise
from tunestack.emulator.state import State

Json = dict[str, Any]

_COMPUTED = {"exactMatchSpec": "exactMatch", "bleuSpec": "bleu", "rougeSpec": "rouge"}
_TYPES = {"EXACT_MATCH": "exactMatch", "BLEU": "bleu", "ROUGE": "rouge"}


async def scores(name: str, spec: Json, pairs: list[Json]) -> list[float]:
    """In a thread: the libraries take seconds to import, and texts may be long.

    Raises 400 on a spec that means nothing, 501 on what cannot be computed here.
    """
    try:
        return await asyncio.to_thread(lambda: [METRICS[name](spec, pair) for pair in pairs])
    except Unplayed as error:
        raise ApiError("UNIMPLEMENTED", str(error)) from None
    except ValueError as error:
        raise invalid(f"{error}.", [("metric_spec", str(error))]) from None


async def metric_result(state: State, metric: Json, instance: Json, config: Json) -> Json:
    """A ``MetricResult`` of a ``Metric`` on an ``EvaluationInstance``. Raises as `scores` and the judge do."""
    fields = fields_of({**instance.get("otherData", {}).get("mapInstance", {}), **_named(instance)})
    if computed := computed_metric(metric):
        name, spec = computed
        missing = [key for key in ("response", "reference") if key not in fields]
        if missing:
            raise invalid(
                f"The instance has no {' and no '.join(missing)}.", [("instance", ", ".join(missing))]
            )
        pair = {"prediction": fields["response"], "reference": fields["reference"]}
        return {"score": (await scores(name, spec, [pair]))[0]}
    if "pointwiseMetricSpec" in metric:
        result = await pointwise(state, metric["pointwiseMetricSpec"], fields, config)
    elif "llmBasedMetricSpec" in metric:
        spec = metric["llmBasedMetricSpec"]
        result = await pointwise(state, spec, fields, spec.get("judgeAutoraterConfig", config))
    elif "pairwiseMetricSpec" in metric:
        found = await pairwise(state, metric["pairwiseMetricSpec"], fields, config)
        # A MetricResult has a number alone; which one stands for a choice is ours.
        number = {"CANDIDATE": 1.0, "BASELINE": -1.0, "TIE": 0.0}[found["pairwiseChoice"]]
        result = {"score": number, "explanation": found["explanation"]}
    else:
        kinds = ", ".join(sorted(set(metric) - {"metadata", "aggregationMetrics"})) or "an empty metric"
        raise ApiError("UNIMPLEMENTED", f"the emulator does not play {kinds}")
    return {key: value for key, value in result.items() if key in ("score", "explanation")}


def computed_metric(metric: Json) -> tuple[str, Json] | None:
    """The name and spec of a metric that needs no judge."""
    for key, name in _COMPUTED.items():
        if key in metric:
            return name, metric[key]
    spec = metric.get("computationBasedMetricSpec")
    if spec is None:
        return None
    if spec["type"] not in _TYPES:
        raise invalid("computation_based_metric_spec.type is unspecified.", [("type", "")])
    return _TYPES[spec["type"]], {camel(key): value for key, value in spec.get("parameters", {}).items()}


def fields_of(values: Json) -> dict[str, str]:
    """The texts of ``InstanceData`` or ``Contents`` by name. Raises 400 on what is not text."""
    found = {}
    for name, value in values.items():
        if "text" in value:
            found[name] = str(value["text"])
            continue
        contents = value.get("contents", [])
        contents = contents.get("contents", []) if isinstance(contents, dict) else contents
        parts = [part for content in contents for part in content.get("parts", [])]
        if not parts or any("text" not in part for part in parts):
            raise invalid(
                f"{name} has something else than text, which the emulator does not play.", [(name, "")]
            )
        found[name] = "".join(part["text"] for part in parts)
    return found


def _named(instance: Json) -> Json:
    return {key: instance[key] for key in ("prompt", "response", "reference") if key in instance}
