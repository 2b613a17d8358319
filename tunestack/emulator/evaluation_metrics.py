"""Vertex AI's computed metrics: one score a pair of prediction and reference.

Meanings: discovery documents, revision 20261106 (the ``…Spec`` schemas), and for tool calls and trajectories
cloud.google.com/vertex-ai/generative-ai/docs/models/determine-eval. Where they leave something open, the function
says what was chosen.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

Json = dict[str, Any]
Score = Callable[[Json, Json], float]
"""(the metric's spec, one instance) -> score."""

ROUGE_TYPES = re.compile(r"rouge([1-9]|L|Lsum)")
_ROUGE_DEFAULT = "rougeL"


class Unplayed(ValueError):
    """What the emulator cannot compute."""


def exact_match(spec: Json, pair: Json) -> float:
    return float(pair["prediction"] == pair["reference"])


def bleu(spec: Json, pair: Json) -> float:
    """Sentence BLEU of sacrebleu (13a, exponential smoothing), 0–1. Google does not name its implementation."""
    import sacrebleu

    order = bool(spec.get("useEffectiveOrder", False))
    score = sacrebleu.sentence_bleu(pair["prediction"], [pair["reference"]], use_effective_order=order)
    return float(score.score) / 100


def rouge(spec: Json, pair: Json) -> float:
    """Recall, as RougeSpec says ("the recall of n-grams"), of rouge_score; without a type rougeL. Raises `Unplayed`."""
    from rouge_score import rouge_scorer

    kind = spec.get("rougeType") or _ROUGE_DEFAULT
    if not ROUGE_TYPES.fullmatch(kind):
        raise ValueError(f"rouge_type is {kind}; it is one of rouge1 to rouge9, rougeL and rougeLsum")
    if spec.get("splitSummaries"):
        raise Unplayed("split_summaries needs a sentence splitter, which the emulator has not")
    scorer = rouge_scorer.RougeScorer([kind], use_stemmer=bool(spec.get("useStemmer", False)))
    return float(scorer.score(pair["reference"], pair["prediction"])[kind].recall)


def tool_call_valid(spec: Json, pair: Json) -> float:
    """1 where the prediction is ``{"content", "tool_calls": [{"name", "arguments"}, …]}``."""
    return float(_tool_call(pair["prediction"]) is not None)


def tool_name_match(spec: Json, pair: Json) -> float:
    predicted, reference = _tool_call(pair["prediction"]), _tool_call(pair["reference"])
    return float(predicted is not None and reference is not None and predicted["name"] == reference["name"])


def tool_parameter_key_match(spec: Json, pair: Json) -> float:
    """Share of the reference's parameters whose names the prediction has."""
    return _share_of_parameters(pair, lambda predicted, reference: True)


def tool_parameter_kv_match(spec: Json, pair: Json) -> float:
    """Share of the reference's parameters that the prediction has with their values.

    Without ``useStrictStringMatch`` strings are compared without regard to case and outer spaces; what Google
    forgives then is not said.
    """
    strict = bool(spec.get("useStrictStringMatch", False))

    def plain(value: Any) -> Any:
        return value if strict or not isinstance(value, str) else value.strip().lower()

    return _share_of_parameters(pair, lambda predicted, reference: plain(predicted) == plain(reference))


def trajectory_exact_match(spec: Json, pair: Json) -> float:
    predicted, reference = _trajectories(pair)
    return float(predicted == reference)


def trajectory_in_order_match(spec: Json, pair: Json) -> float:
    """1 where the reference's calls are all there in their order, others between them or not."""
    predicted, reference = _trajectories(pair)
    rest = iter(predicted)
    return float(all(call in rest for call in reference))


def trajectory_any_order_match(spec: Json, pair: Json) -> float:
    """1 where the reference's calls are all there, each as often."""
    predicted, reference = _trajectories(pair)
    return float(all(predicted.count(call) >= reference.count(call) for call in reference))


def trajectory_precision(spec: Json, pair: Json) -> float:
    predicted, reference = _trajectories(pair)
    return sum(call in reference for call in predicted) / len(predicted)


def trajectory_recall(spec: Json, pair: Json) -> float:
    predicted, reference = _trajectories(pair)
    return sum(call in predicted for call in reference) / len(reference)


def trajectory_single_tool_use(spec: Json, pair: Json) -> float:
    return float(
        any(call["toolName"] == spec["toolName"] for call in pair["predictedTrajectory"]["toolCalls"])
    )


METRICS: dict[str, Score] = {
    "exactMatch": exact_match,
    "bleu": bleu,
    "rouge": rouge,
    "toolCallValid": tool_call_valid,
    "toolNameMatch": tool_name_match,
    "toolParameterKeyMatch": tool_parameter_key_match,
    "toolParameterKvMatch": tool_parameter_kv_match,
    "trajectoryExactMatch": trajectory_exact_match,
    "trajectoryInOrderMatch": trajectory_in_order_match,
    "trajectoryAnyOrderMatch": trajectory_any_order_match,
    "trajectoryPrecision": trajectory_precision,
    "trajectoryRecall": trajectory_recall,
    "trajectorySingleToolUse": trajectory_single_tool_use,
}
"""By the name that Google's fields begin with: ``bleuInput``, ``bleuResults``, ``bleuMetricValues``."""

AGGREGATIONS = (
    "AVERAGE",
    "MODE",
    "STANDARD_DEVIATION",
    "VARIANCE",
    "MINIMUM",
    "MAXIMUM",
    "MEDIAN",
    "PERCENTILE_P90",
    "PERCENTILE_P95",
    "PERCENTILE_P99",
)


def aggregate(kind: str, scores: Sequence[float]) -> float:
    """One number for many scores, which are not empty. Deviation and variance are the sample's; of one score 0."""
    import statistics

    if kind in ("STANDARD_DEVIATION", "VARIANCE"):
        if len(scores) < 2:
            return 0.0
        return float((statistics.stdev if kind == "STANDARD_DEVIATION" else statistics.variance)(scores))
    if kind.startswith("PERCENTILE_P"):
        return _percentile(sorted(scores), int(kind.removeprefix("PERCENTILE_P")) / 100)
    plain: dict[str, Callable[[Sequence[float]], float]] = {
        "AVERAGE": statistics.fmean,
        "MODE": statistics.mode,
        "MINIMUM": min,
        "MAXIMUM": max,
        "MEDIAN": statistics.median,
    }
    return float(plain[kind](scores))


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Linear between neighbours, as numpy's default."""
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _tool_call(text: str) -> Json | None:
    """The first tool call of ``{"content", "tool_calls"}``; None where there is none that is valid."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    calls = body.get("tool_calls") if isinstance(body, dict) and "content" in body else None
    if not isinstance(calls, list) or not calls:
        return None
    for call in calls:
        valid = isinstance(call, dict) and isinstance(call.get("name"), str)
        if not valid or not isinstance(call.get("arguments", {}), dict):
            return None
    return dict(calls[0])


def _share_of_parameters(pair: Json, same: Callable[[Any, Any], bool]) -> float:
    """Of a reference without parameters 1 where the prediction has none either."""
    predicted, reference = _tool_call(pair["prediction"]), _tool_call(pair["reference"])
    if predicted is None or reference is None:
        return 0.0
    have, wanted = predicted.get("arguments", {}), reference.get("arguments", {})
    if not wanted:
        return float(not have)
    return sum(key in have and same(have[key], value) for key, value in wanted.items()) / len(wanted)


def _trajectories(pair: Json) -> tuple[list[Json], list[Json]]:
    return _calls(pair["predictedTrajectory"]), _calls(pair["referenceTrajectory"])


def _calls(trajectory: Json) -> list[Json]:
    """Tool calls with their inputs read as JSON where they are: key order and spaces make no difference."""
    found = []
    for call in trajectory["toolCalls"]:
        value: Any = call.get("toolInput", "")
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
        found.append({"toolName": call["toolName"], "toolInput": value})
    return found
