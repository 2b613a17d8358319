"""Vertex AI: what endpoints answer (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import failed_precondition
from tunestack.emulator.services.content_generation import generate, streamed
from tunestack.emulator.services.model_registry import adapter_folder, tuned_from, version_row
from tunestack.emulator.services.text_prediction import predict_text
from tunestack.emulator.services.vertex import named_row
from tunestack.emulator.state import State

Json = dict[str, Any]

_ENDPOINTS = "aiplatform.projects.locations.endpoints"


@implements(f"{_ENDPOINTS}.predict")
async def predict(call: Call) -> Json:
    deployed, model, adapter = _serving(call, "endpoint")
    if _is_gemini(model):
        raise failed_precondition(
            "Gemini cannot be accessed through Vertex Predict/RawPredict API. Please use generateContent."
        )
    answer = await predict_text(call.state, call.body, adapter)
    return {
        **answer,
        "deployedModelId": deployed["id"],
        "model": deployed["model"],
        "modelDisplayName": model["displayName"],
        "modelVersionId": model["versionId"],
    }


@implements(f"{_ENDPOINTS}.generateContent")
async def generate_content(call: Call) -> Json:
    deployed, model, adapter = _serving(call, "model")
    if not _is_gemini(model):
        raise failed_precondition(f"{deployed['model']} is no generative model of chats: use predict.")
    return await generate(call, adapter, f"{deployed['model']}@{model['versionId']}")


@implements(f"{_ENDPOINTS}.streamGenerateContent")
async def stream_generate_content(call: Call) -> Reply:
    return streamed(call, await generate_content(call))


def _serving(call: Call, parameter: str) -> tuple[Json, Json, Path]:
    """The deployed model that answers a request, its version, and its adapter."""
    endpoint = named_row(call, parameter)
    if not endpoint.get("trafficSplit"):
        raise failed_precondition(f"{endpoint['name']} has no deployed model.")
    deployed = _next(call.state, endpoint)
    model = version_row(call.state, f"{deployed['model']}@{deployed['modelVersionId']}")
    adapter = adapter_folder(call.state, model["name"])
    if adapter is None:
        raise failed_precondition(f"{model['name']} has no adapter that the emulator could serve.")
    return deployed, model, adapter


def _next(state: State, endpoint: Json) -> Json:
    """The deployed model that answers next. Of 100 requests in a row each model gets exactly its share, mixed."""
    state.answered[endpoint["name"]] += 1
    # 61 has no factor in common with 100: every residue comes once in 100 turns.
    turn = state.answered[endpoint["name"]] * 61 % 100
    for identifier, share in sorted(endpoint["trafficSplit"].items()):
        turn -= share
        if turn < 0:
            return next(dict(item) for item in endpoint["deployedModels"] if item["id"] == identifier)
    raise failed_precondition(f"{endpoint['name']} has no deployed model.")


def _is_gemini(model: Json) -> bool:
    """Whether a model was tuned from one that chats: by a tuning job, not by the PaLM pipeline or by hand."""
    return bool(tuned_from(model).get("generatesContent"))
