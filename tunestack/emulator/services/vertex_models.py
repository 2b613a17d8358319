"""Vertex AI: the Model Registry (aiplatform.v1, v1beta1)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, failed_precondition, not_found
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.services.storage_objects import read
from tunestack.emulator.services.vertex import (
    check_labels,
    finished_operation,
    list_rows,
    patched_row,
    with_etag,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

MODELS = "models"


def model_row(state: State, name: str) -> Json:
    """The model that ``…/models/M``, ``…@1`` or ``…@default`` names."""
    bare, _, version = state.projects.canonical(name).partition("@")
    row = state.rows.get(bare)
    if version and version != row["versionId"] and version not in row["versionAliases"]:
        raise not_found(f"{bare}@{version} is not found.")
    return row


def create_model(state: State, name: str, model: Json) -> Json:
    """Register ``model`` under ``name``: what was given, plus what the registry sets."""
    now = state.now()
    row = with_etag(
        {
            **model,
            "name": name,
            "versionId": "1",
            "versionAliases": model.get("versionAliases") or ["default"],
            "createTime": now,
            "updateTime": now,
            "versionCreateTime": now,
            "versionUpdateTime": now,
            "supportedDeploymentResourcesTypes": [
                "SHARED_RESOURCES",
                "AUTOMATIC_RESOURCES",
                "DEDICATED_RESOURCES",
            ],
        }
    )
    return state.rows.create(MODELS, name.rpartition("/models/")[0], name, row)


def adapter_folder(state: State, model: Json) -> Path | None:
    """The adapter that the registry holds for a model, if its artifacts were one."""
    folder = _folder(state, model["name"]) / "adapter"
    return folder if folder.is_dir() else None


def keep_adapter(state: State, name: str, artifact_uri: str) -> None:
    """Copy the adapter at ``artifact_uri`` (gs://…/) into the registry, which then owns it, as Vertex does.

    Written aside and renamed; done twice it changes nothing.
    """
    folder = _folder(state, name)
    if (folder / "adapter").is_dir() or not artifact_uri.startswith("gs://"):
        return
    bucket, prefix = parse_gs_uri(artifact_uri)
    prefix = prefix.rstrip("/") + "/"
    rows = state.database.execute(
        "SELECT name FROM object WHERE bucket = ? AND live AND name >= ? AND name < ?",
        bucket,
        prefix,
        prefix + "\U0010ffff",
    )
    if not rows:
        return
    aside = folder / "adapter.aside"
    shutil.rmtree(aside, ignore_errors=True)
    for (object_name,) in rows:
        target = aside / object_name.removeprefix(prefix)
        if not target.resolve().is_relative_to(aside.resolve()):
            raise failed_precondition(f"{object_name} leads out of its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read(state, bucket, object_name))
    aside.rename(folder / "adapter")


def copy_adapter(state: State, name: str, source: Path) -> None:
    """Copy the adapter in a folder into the registry. Written aside and renamed; done twice it changes nothing."""
    folder = _folder(state, name)
    if (folder / "adapter").is_dir() or not source.is_dir():
        return
    aside = folder / "adapter.aside"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside)
    aside.rename(folder / "adapter")


def _folder(state: State, name: str) -> Path:
    return state.options.data / "models" / name.rpartition("/")[2]


@implements("aiplatform.projects.locations.models.upload")
def upload(call: Call) -> Json:
    if call.body.get("parentModel"):
        raise ApiError(
            "UNIMPLEMENTED", f"{call.method.id} with parentModel is not implemented by the tunestack emulator"
        )
    state = call.state
    model = call.body.get("model", {})
    check_labels(model.get("labels", {}))
    name = f"{call.parent()}/{MODELS}/{call.body.get('modelId') or state.new_id()}"
    row = create_model(state, name, model)
    keep_adapter(state, name, model.get("artifactUri", ""))
    response = {"model": row["name"], "modelVersionId": row["versionId"]}
    return finished_operation(call, name, "UploadModel", response, "UploadModelResponse")


@implements("aiplatform.projects.locations.models.get")
def get(call: Call) -> Json:
    return model_row(call.state, call.path["name"])


@implements("aiplatform.projects.locations.models.list")
def list_models(call: Call) -> Json:
    return list_rows(call, MODELS)


@implements("aiplatform.projects.locations.models.listVersions")
def list_versions(call: Call) -> Json:
    return {"models": [model_row(call.state, call.path["name"])]}


@implements("aiplatform.projects.locations.models.patch")
def patch(call: Call) -> Json:
    call.path["name"] = model_row(call.state, call.path["name"])["name"]
    return patched_row(call, immutable=("artifactUri", "containerSpec", "encryptionSpec", "metadata"))


@implements("aiplatform.projects.locations.models.delete")
def delete(call: Call) -> Json:
    state = call.state
    row = model_row(state, call.path["name"])
    endpoints = ", ".join(deployed["endpoint"] for deployed in row.get("deployedModels", []))
    if endpoints:
        raise failed_precondition(f"{row['name']} is deployed at {endpoints}: undeploy it first.")
    state.rows.delete(row["name"])
    state.database.after_commit(lambda: shutil.rmtree(_folder(state, row["name"]), ignore_errors=True))
    return finished_operation(call, row["name"], "Delete", None)
