"""Vertex AI: publisher models, i.e. base models that nobody deploys (aiplatform.v1, v1beta1)."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError, not_found
from tunestack.emulator.services.content_generation import generate, streamed
from tunestack.emulator.services.text_prediction import predict_text

Json = dict[str, Any]

# The PaLM text models that tuned (reference: supported tuning base models), all played by the local base model.
_PLAYED = re.compile(r"publishers/google/models/(text-bison(-32k)?(@00[12])?|text-bison-00[12])")


_GEMINI = re.compile(r"publishers/google/models/gemini-\d[\w.-]*")


@implements("aiplatform.projects.locations.publishers.models.predict")
async def predict(call: Call) -> Json:
    _checked(call, "endpoint", _PLAYED, "text-bison@001 and @002 for predict")
    return await predict_text(call.state, call.body, None)


@implements("aiplatform.projects.locations.publishers.models.generateContent")
async def generate_content(call: Call) -> Json:
    name = _checked(call, "model", _GEMINI, "gemini-… for generateContent")
    return await generate(call, None, name.rpartition("/")[2])


@implements("aiplatform.projects.locations.publishers.models.streamGenerateContent")
async def stream_generate_content(call: Call) -> Reply:
    return streamed(call, await generate_content(call))


def _checked(call: Call, parameter: str, played: re.Pattern[str], words: str) -> str:
    """The publisher model in a path parameter. Raises 404 where it is not played."""
    model = "publishers/" + call.path[parameter].partition("/publishers/")[2]
    if not played.fullmatch(model):
        raise not_found(
            f"Publisher Model `{call.path[parameter]}` was not found or is not played by the emulator: it has"
            f" publishers/google/models/{words}."
        )
    if call.state.options.base_model is None:
        raise ApiError("FAILED_PRECONDITION", "the emulator was started without --base-model")
    return model
