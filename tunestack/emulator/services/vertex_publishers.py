"""Vertex AI: publisher models, i.e. base models that nobody deploys (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.services.content_generation import streamed
from tunestack.emulator.services.served_models import publisher_model

Json = dict[str, Any]

_MODELS = "aiplatform.projects.locations.publishers.models"


@implements(f"{_MODELS}.predict")
async def predict(call: Call) -> Json:
    return await publisher_model(call.state, call.path["endpoint"]).predict(call.state, call.body)


@implements(f"{_MODELS}.generateContent")
async def generate_content(call: Call) -> Json:
    return await publisher_model(call.state, call.path["model"]).generate(call.state, call.body)


@implements(f"{_MODELS}.streamGenerateContent")
async def stream_generate_content(call: Call) -> Reply:
    return streamed(call, await generate_content(call))
