"""What answers a request: a publisher's base model, a version in the registry, or what an endpoint serves.

All are played by the local base model, with or without an adapter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunestack.emulator.errors import failed_precondition, not_found
from tunestack.emulator.services.content_generation import generate
from tunestack.emulator.services.model_registry import checkpoint_folder, tuned_from, version_row
from tunestack.emulator.services.text_prediction import predict_text
from tunestack.emulator.state import State

Json = dict[str, Any]

# The PaLM text models that tuned (reference: supported tuning base models).
PALM = re.compile(r"publishers/google/models/(text-bison(-32k)?(@00[12])?|text-bison-00[12])")
GEMINI = re.compile(r"publishers/google/models/gemini-\d[\w.-]*")

NO_PREDICT = "Gemini cannot be accessed through Vertex Predict/RawPredict API. Please use generateContent."
"""Google's words (seen in its forums)."""


@dataclass(frozen=True)
class Served:
    """A model that answers. ``adapter`` None is the base model alone.

    ``version`` is what an answer calls it; ``chats`` models answer ``generateContent``, the others ``predict``.
    ``model`` is the registry's row and ``deployed`` the endpoint's, where there are.
    """

    version: str
    chats: bool
    adapter: Path | None = None
    model: Json | None = None
    deployed: Json | None = None

    async def predict(self, state: State, body: Json) -> Json:
        """The answer to a ``PredictRequest``. Raises 400, as Google does for models that chat."""
        if self.chats:
            raise failed_precondition(NO_PREDICT)
        answer = await predict_text(state, body, self.adapter)
        if self.deployed is None or self.model is None:
            return answer
        return {
            **answer,
            "deployedModelId": self.deployed["id"],
            "model": self.deployed["model"],
            "modelDisplayName": self.model["displayName"],
            "modelVersionId": self.model["versionId"],
        }

    async def generate(self, state: State, body: Json) -> Json:
        """The answer to a ``GenerateContentRequest``."""
        if not self.chats:
            raise failed_precondition(f"{self.version} is no generative model of chats: use predict.")
        return await generate(state, body, self.adapter, self.version)


def publisher_model(state: State, name: str) -> Served:
    """``publishers/google/models/…``, also below a project and location. Raises 404 where it is not played."""
    bare = "publishers/" + name.rpartition("publishers/")[2]
    if not PALM.fullmatch(bare) and not GEMINI.fullmatch(bare):
        raise not_found(
            f"Publisher Model `{name}` was not found or is not played by the emulator: it has"
            " publishers/google/models/text-bison@001 and @002 for predict, gemini-… for generateContent."
        )
    if state.options.base_model is None:
        raise failed_precondition("the emulator was started without --base-model")
    return Served(bare.rpartition("/")[2], chats=GEMINI.fullmatch(bare) is not None)


def registered_model(state: State, name: str, deployed: Json | None = None) -> Served:
    """``…/models/M``, ``…/models/M@2`` or ``@alias``. Raises 404, and 400 without an adapter to serve."""
    model = version_row(state, name)
    adapter = checkpoint_folder(state, model, (deployed or {}).get("checkpointId"))
    if adapter is None:
        raise failed_precondition(f"{model['name']} has no adapter that the emulator could serve.")
    # Tuned by a tuning job it chats, by the PaLM pipeline or uploaded by hand it does not.
    chats = bool(tuned_from(model).get("generatesContent"))
    return Served(model["name"], chats, adapter, model, deployed)


def on_endpoint(state: State, endpoint: Json) -> Served:
    """What an endpoint answers its next request with. Raises 400 where nothing serves."""
    if not endpoint.get("trafficSplit"):
        raise failed_precondition(f"{endpoint['name']} has no deployed model.")
    deployed = _next(state, endpoint)
    return registered_model(state, f"{deployed['model']}@{deployed['modelVersionId']}", deployed)


def named_model(state: State, name: str) -> Served:
    """Any of the three by its resource name. Raises 404 and 400."""
    if "publishers/" in name:
        return publisher_model(state, name)
    name = state.projects.canonical(name)
    if "/endpoints/" in name:
        return on_endpoint(state, state.rows.get(name))
    return registered_model(state, name)


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
