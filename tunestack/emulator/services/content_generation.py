"""Requests and answers of Gemini models: ``generateContent`` and its streaming sister."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.call import Call, Reply
from tunestack.emulator.conversation import Unplayed, prompt_of, turns_of_contents
from tunestack.emulator.errors import invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

# Gemini's own default, as many tokens as the model can, is nothing for the local base model.
_TOKENS_DEFAULT = 256
_TOKENS_AT_MOST = 8192
_TEMPERATURE_DEFAULT = 1.0
_TEMPERATURE_AT_MOST = 2.0


async def generate(state: State, body: Json, adapter: Path | None, model_version: str) -> Json:
    """The answer to a ``GenerateContentRequest``; ``adapter`` None is the base model.

    Raises 400 on what the local base model cannot take, naming it: tools, files, several candidates.
    """
    try:
        system, turns = turns_of_contents(body)
    except Unplayed as error:
        raise invalid(str(error)) from None
    if turns[-1][0] != "user":
        raise invalid("The last turn must be a user's.", [("contents", "")])
    config = body.get("generationConfig", {})
    if config.get("candidateCount", 1) != 1:
        raise invalid("The emulator gives one candidate.", [("generation_config.candidate_count", "")])
    tokens = min(config.get("maxOutputTokens", _TOKENS_DEFAULT), _TOKENS_AT_MOST)
    if tokens < 1:
        raise invalid("max_output_tokens must be positive.", [("generation_config.max_output_tokens", "")])
    temperature = config.get("temperature", _TEMPERATURE_DEFAULT)
    if not 0 <= temperature <= _TEMPERATURE_AT_MOST:
        raise invalid(
            f"temperature must be from 0 to {_TEMPERATURE_AT_MOST}.", [("generation_config.temperature", "")]
        )
    [output] = await state.worker.generate([prompt_of(system, turns)], adapter, tokens, temperature)
    counts = {"promptTokenCount": output["input_tokens"], "candidatesTokenCount": output["output_tokens"]}
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": output["text"]}]},
                "finishReason": "MAX_TOKENS" if output["output_tokens"] >= tokens else "STOP",
            }
        ],
        "usageMetadata": {**counts, "totalTokenCount": sum(counts.values())},
        "modelVersion": model_version,
        "createTime": state.now(),
        "responseId": str(state.new_id()),
    }


def streamed(call: Call, answer: Json) -> Reply:
    """The answer as a stream of two pieces: server-sent events for ``alt=sse``, else a JSON array."""
    candidate = answer["candidates"][0]
    text = candidate["content"]["parts"][0]["text"]
    head, last = text[: len(text) // 2], text[len(text) // 2 :]
    # Google counts and says why it stopped in the last piece alone.
    common = {key: answer[key] for key in ("modelVersion", "createTime", "responseId")}
    pieces = [
        {**common, "candidates": [{"content": {"role": "model", "parts": [{"text": head}]}}]},
        {**answer, "candidates": [{**candidate, "content": {"role": "model", "parts": [{"text": last}]}}]},
    ]
    if "sse" in (call.incoming.parameter("alt"), call.incoming.parameter("$alt")):
        body = b"".join(b"data: " + orjson.dumps(piece) + b"\r\n\r\n" for piece in pieces)
        return Reply(body, headers={"content-type": "text/event-stream"})
    return Reply(orjson.dumps(pieces), headers={"content-type": "application/json; charset=UTF-8"})
