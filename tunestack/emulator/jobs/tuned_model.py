"""What a tuning leaves in the registry: a model that owns its adapter, and an endpoint that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.emulator.jobs.files import json_file
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.services.model_registry import Adapter, create_version, model_row
from tunestack.emulator.services.vertex_endpoints import create_endpoint, deploy

if TYPE_CHECKING:
    pass

Json = dict[str, Any]


def register(
    run: Run,
    model_name: str,
    model: Json,
    base: str,
    adapter: Adapter | None,
    *,
    generates_content: bool = False,
) -> str:
    """Register ``model`` as the next version under ``model_name``, saying which model played ``base``.

    ``generates_content``: its endpoint answers ``generateContent``, not ``predict``.
    Its name with the version. Done twice it changes nothing.
    """
    if made := run.notes.get("model"):
        return str(made)
    state = run.state
    player = _player(state.options.base_model)
    description = f"Simulated: tuned in the tunestack emulator, where {base} is played by {player}."
    body = {
        **model,
        "description": " ".join(filter(None, (model.get("description", ""), description))),
        "modelSourceInfo": {"sourceType": "GENIE"},
        "baseModelSource": {"genieSource": {"baseModelUri": ""}},
        "metadata": {
            "simulated": True,
            "baseModel": base,
            "playedBy": player,
            **({"generatesContent": True} if generates_content else {}),
        },
    }
    with state.database.transaction():
        name = str(create_version(state, model_name, body, adapter)["name"])
        run.note(model=name)
    return name


def put_on_endpoint(run: Run, model: str, resources: Json, number: int = 0) -> str:
    """An endpoint of a job's own, beside ``model``, which it serves. Done twice it changes nothing.

    ``number`` tells a job's endpoints apart.
    """
    state, notes = run.state, run.notes
    name = f"{model.partition('/models/')[0]}/endpoints/{int(notes['endpointId']) + number}"
    deployed = str(int(notes["deployedModelId"]) + number)
    with state.database.transaction():
        row = model_row(state, model)
        if state.rows.find(name) is None:
            endpoint = {"displayName": row["displayName"], "labels": row.get("labels", {})}
            create_endpoint(state, name, endpoint)
        if not state.rows.get(name).get("deployedModels"):
            deploy(state, name, {"id": deployed, "model": model, **resources}, {"0": 100})
    return name


def _player(base_model: Path | None) -> str:
    """The local base model's name, as its manifest or else its folder has it."""
    if base_model is None:
        return "a local model"
    return str(json_file(base_model / "manifest.json").get("name") or base_model.name)
