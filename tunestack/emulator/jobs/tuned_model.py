"""What a tuning leaves in the registry: a model that owns its adapter, and an endpoint that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.emulator.jobs.files import json_file
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.services.vertex_endpoints import create_endpoint, deploy
from tunestack.emulator.services.vertex_models import copy_adapter, create_model, keep_adapter

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]


def register(state: State, name: str, model: Json, base: str, adapter: Path | None = None) -> None:
    """Register ``model`` under ``name``, saying which model played ``base``. Done twice it changes nothing.

    Its adapter is at its ``artifactUri``, or in the folder ``adapter``.
    """
    if state.rows.find(name) is not None:
        return
    player = _player(state.options.base_model)
    description = f"Simulated: tuned in the tunestack emulator, where {base} is played by {player}."
    if adapter:
        copy_adapter(state, name, adapter)
    else:
        keep_adapter(state, name, model.get("artifactUri", ""))
    create_model(
        state,
        name,
        {
            **model,
            "description": " ".join(filter(None, (model.get("description", ""), description))),
            "modelSourceInfo": {"sourceType": "GENIE"},
            "baseModelSource": {"genieSource": {"baseModelUri": ""}},
            "metadata": {"simulated": True, "baseModel": base, "playedBy": player},
        },
    )


def put_on_endpoint(run: Run, model: str, resources: Json) -> str:
    """The endpoint of a job's own, beside ``model``, which it serves. Done twice it changes nothing."""
    state, notes = run.state, run.notes
    name = f"{model.partition('/models/')[0]}/endpoints/{notes['endpointId']}"
    with state.database.transaction():
        row = state.rows.get(model)
        if state.rows.find(name) is None:
            endpoint = {"displayName": row["displayName"], "labels": row.get("labels", {})}
            create_endpoint(state, name, endpoint)
        if not state.rows.get(name).get("deployedModels"):
            deploy(state, name, {"id": notes["deployedModelId"], "model": model, **resources}, None)
    return name


def _player(base_model: Path | None) -> str:
    """The local base model's name, as its manifest or else its folder has it."""
    if base_model is None:
        return "a local model"
    return str(json_file(base_model / "manifest.json").get("name") or base_model.name)
