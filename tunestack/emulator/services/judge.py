"""Metrics that a model judges. Google's own judge is not here, and a small base model's verdict would be noise.

So a judge has to be named: a tuned model of the caller's on an endpoint (``autoraterConfig.autoraterModel``). It is
asked, and what it answers is taken as it is. Without one the answer is Google's for a model that is not available.
"""

from __future__ import annotations

import re
import statistics
from typing import Any

import orjson

from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.services.served_models import Served, named_model
from tunestack.emulator.state import State

Json = dict[str, Any]

_SAMPLES = 4
_SAMPLES_AT_MOST = 32
_PLACE = re.compile(r"\{\{?\s*(\w+)\s*\}?\}")
_CHOICES = ("BASELINE", "CANDIDATE", "TIE")


async def pointwise(state: State, spec: Json, fields: dict[str, str], config: Json) -> Json:
    """A ``PointwiseMetricResult``. Raises 404 without a judge, 500 where it does not say a score.

    The score is the mean of the samples'; how Google joins them is not said.
    """
    texts = await _ask(state, spec, [fields], config)
    if spec.get("customOutputFormatConfig", {}).get("returnRawOutput"):
        return {"customOutput": {"rawOutputs": {"rawOutput": texts}}}
    verdicts = [_verdict(text, "score") for text in texts]
    try:
        scores = [float(verdict["score"]) for verdict in verdicts]
    except (TypeError, ValueError):
        raise _unreadable(texts[0]) from None
    return {"score": statistics.fmean(scores), "explanation": str(verdicts[0].get("explanation", ""))}


async def pairwise(state: State, spec: Json, fields: dict[str, str], config: Json) -> Json:
    """A ``PairwiseMetricResult``: what most samples chose. Half of them see the two replies exchanged."""
    candidate, baseline = spec.get("candidateResponseFieldName"), spec.get("baselineResponseFieldName")
    both = [fields]
    if config.get("flipEnabled", True) and candidate in fields and baseline in fields:
        both.append({**fields, candidate: fields[baseline], baseline: fields[candidate]})
    texts = await _ask(state, spec, both, config)
    if spec.get("customOutputFormatConfig", {}).get("returnRawOutput"):
        return {"customOutput": {"rawOutputs": {"rawOutput": texts}}}
    verdicts = [_verdict(text, "pairwise_choice") for text in texts]
    choices = []
    for number, verdict in enumerate(verdicts):
        choice = str(verdict["pairwise_choice"]).upper()
        if choice not in _CHOICES:
            raise _unreadable(texts[number])
        flipped = len(both) == 2 and number % 2 == 1 and choice != "TIE"
        choices.append({"BASELINE": "CANDIDATE", "CANDIDATE": "BASELINE"}[choice] if flipped else choice)
    return {"pairwiseChoice": _commonest(choices), "explanation": str(verdicts[0].get("explanation", ""))}


async def _ask(state: State, spec: Json, fields: list[dict[str, str]], config: Json) -> list[str]:
    count = config.get("samplingCount", _SAMPLES)
    if not 1 <= count <= _SAMPLES_AT_MOST:
        raise invalid(
            f"sampling_count is {count}; it must be from 1 to {_SAMPLES_AT_MOST}.",
            [("autorater_config.sampling_count", "")],
        )
    judge = _judge(state, config.get("autoraterModel", ""))
    texts = []
    for number in range(count):
        prompt = render(spec["metricPromptTemplate"], fields[number % len(fields)])
        body: Json = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
        if "systemInstruction" in spec:
            body["systemInstruction"] = {"parts": [{"text": spec["systemInstruction"]}]}
        if "generationConfig" in config:
            body["generationConfig"] = config["generationConfig"]
        answer = await judge.generate(state, body)
        texts.append(answer["candidates"][0]["content"]["parts"][0]["text"])
    return texts


def _judge(state: State, name: str) -> Served:
    if "/endpoints/" not in name:
        raise not_found(
            f"Publisher Model `{name or 'the default autorater'}` was not found or is not played by the emulator as"
            " a judge: a small base model's verdict would be noise. Name an endpoint of a tuned model in"
            " autorater_config.autorater_model."
        )
    return named_model(state, name)


def render(template: str, fields: dict[str, str]) -> str:
    """``{response}`` and ``{{response}}`` filled in. Raises 400 where a field is missing."""
    missing = sorted({name for name in _PLACE.findall(template) if name not in fields})
    if missing:
        raise invalid(f"The instance has no {', '.join(missing)} for the metric prompt template.")
    return _PLACE.sub(lambda found: fields[found.group(1)], template)


def _verdict(text: str, key: str) -> Json:
    """The JSON object in a judge's reply. Raises 500 where there is none with ``key``."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        body = orjson.loads(found.group(0)) if found else None
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or key not in body:
        raise _unreadable(text)
    return body


def _unreadable(text: str) -> ApiError:
    return ApiError("INTERNAL", f"The judge model's answer has no verdict that can be read: {text[:200]!r}")


def _commonest(choices: list[str]) -> str:
    """A draw is a tie."""
    counts = {choice: choices.count(choice) for choice in choices}
    best = [choice for choice, count in counts.items() if count == max(counts.values())]
    return best[0] if len(best) == 1 else "TIE"
