"""Vertex AI: what endpoints answer (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.services.content_generation import streamed
from tunestack.emulator.services.served_models import on_endpoint
from tunestack.emulator.services.vertex import named_row

Json = dict[str, Any]

_ENDPOINTS = "aiplatform.projects.locations.endpoints"


@implements(f"{_ENDPOINTS}.predict")
async def predict(call: Call) -> Json:
    return await on_endpoint(call.state, named_row(call, "endpoint")).predict(call.state, call.body)


@implements(f"{_ENDPOINTS}.generateContent")
async def generate_content(call: Call) -> Json:
    return await on_endpoint(call.state, named_row(call, "model")).generate(call.state, call.body)


@implements(f"{_ENDPOINTS}.streamGenerateContent")
async def stream_generate_content(call: Call) -> Reply:
    return streamed(call, await generate_content(call))
