"""Requests and answers of PaLM text models, as text-bison had them.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text (its last version, 2025)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

INSTANCES_AT_MOST = 250
_TOKENS_DEFAULT = 128
_TOKENS_AT_MOST = 1024


async def predict_text(state: State, body: Json, adapter: Path | None) -> Json:
    """``predictions`` and ``metadata`` for ``{"instances": [{"content": …}], "parameters": {…}}``.

    ``adapter`` None is the base model. Older clients say ``content``, later ones ``prompt``: both are taken.
    """
    instances = body.get("instances", [])
    if not 1 <= len(instances) <= INSTANCES_AT_MOST:
        raise invalid(f"{len(instances)} instances; a request has between 1 and {INSTANCES_AT_MOST}.")
    prompts = []
    for index, instance in enumerate(instances):
        text = (instance.get("content") or instance.get("prompt")) if isinstance(instance, dict) else None
        if not isinstance(text, str) or not text:
            raise invalid(
                f'instances[{index}] has no text: it is {{"content": "…"}}.', [(f"instances[{index}]", "")]
            )
        prompts.append(text)
    parameters = body.get("parameters") or {}
    tokens = _number(parameters, "maxOutputTokens", _TOKENS_DEFAULT, 1, _TOKENS_AT_MOST)
    temperature = _number(parameters, "temperature", 0.0, 0.0, 1.0)
    outputs = await state.worker.generate(prompts, adapter, int(tokens), temperature)
    return {
        "predictions": [
            {
                "content": output["text"],
                "citationMetadata": {"citations": []},
                "safetyAttributes": {"blocked": False, "categories": [], "scores": []},
            }
            for output in outputs
        ],
        "metadata": {
            "tokenMetadata": {
                "inputTokenCount": _count(outputs, "input_tokens", prompts),
                "outputTokenCount": _count(outputs, "output_tokens", [output["text"] for output in outputs]),
            }
        },
    }


def _number(parameters: Json, name: str, default: float, low: float, high: float) -> float:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid(
            f"{name} is {value!r}; it must be between {low} and {high}.", [(f"parameters.{name}", "")]
        )
    return value


def _count(outputs: list[Json], field: str, texts: list[str]) -> Json:
    return {
        "totalTokens": sum(int(output.get(field, 0)) for output in outputs),
        "totalBillableCharacters": sum(len("".join(text.split())) for text in texts),
    }
