"""Vertex AI: the Model Registry (aiplatform.v1, v1beta1). Its rows and rules: model_registry."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, already_exists, failed_precondition, invalid
from tunestack.emulator.schema import apply_mask, camel
from tunestack.emulator.services.model_registry import (
    DEFAULT,
    MODELS,
    adapter_folder,
    adapter_of_folder,
    adapter_of_objects,
    check_aliases,
    check_checkpoint,
    copy_checkpoints,
    create_version,
    model_row,
    remove_version,
    set_aliases,
    version_row,
    versions,
    view,
)
from tunestack.emulator.services.vertex import check_labels, finished_operation, listed

Json = dict[str, Any]

_SHARED = {"displayName", "description", "labels"}
_OF_VERSION = {"versionDescription", "labels", "defaultCheckpointId"}


@implements("aiplatform.projects.locations.models.upload")
def upload(call: Call) -> Json:
    state, model = call.state, call.body["model"]
    check_labels(model.get("labels", {}))
    name = _target(call)
    adapter = adapter_of_objects(state, model.get("artifactUri", ""), name.split("/")[1])
    row = create_version(state, name, model, adapter)
    return finished_operation(call, name, "UploadModel", _named(row), "UploadModelResponse")


@implements("aiplatform.projects.locations.models.copy")
def copy(call: Call) -> Json:
    """Into the project and region of the request; the copy owns its adapter.

    The method's reference wants the source in the same project; Google's guide copies to other projects too
    (cloud.google.com/vertex-ai/docs/model-registry/copy-model).
    """
    state = call.state
    source = version_row(state, call.body["sourceModel"])
    name = _target(call)
    row = {
        key: value
        for key, value in view(state, source).items()
        if key not in ("versionAliases", "deployedModels", "etag")
    }
    row |= {
        "originalModelInfo": {"model": source["name"]},
        "modelSourceInfo": {**row.get("modelSourceInfo", {}), "copy": True},
    }
    if "encryptionSpec" in call.body:
        row["encryptionSpec"] = call.body["encryptionSpec"]
    made = create_version(state, name, row, adapter_of_folder(adapter_folder(state, source["name"])))
    copy_checkpoints(state, source, made["name"])
    return finished_operation(call, name, "CopyModel", _named(made), "CopyModelResponse")


@implements("aiplatform.projects.locations.models.get")
def get(call: Call) -> Json:
    return model_row(call.state, call.path["name"])


@implements("aiplatform.projects.locations.models.list")
def list_models(call: Call) -> Json:
    rows = call.state.rows.list(MODELS, call.parent(), newest_first=True)
    return listed(call, [model_row(call.state, row["name"]) for row in rows], MODELS)


@implements("aiplatform.projects.locations.models.listVersions")
def list_versions(call: Call) -> Json:
    model = version_row(call.state, call.path["name"])["name"].partition("@")[0]
    return listed(call, [view(call.state, row) for row in versions(call.state, model)], MODELS)


@implements("aiplatform.projects.locations.models.listCheckpoints")
def list_checkpoints(call: Call) -> Json:
    return {"checkpoints": version_row(call.state, call.path["name"]).get("checkpoints", [])}


@implements("aiplatform.projects.locations.models.mergeVersionAliases")
def merge_version_aliases(call: Call) -> Json:
    name = call.path["name"]
    if "@" not in name:
        raise invalid(f"{name} names no version: it ends in @ and a version id or alias.", [("name", "")])
    row = version_row(call.state, name)
    set_aliases(call.state, row["name"], check_aliases(call.body["versionAliases"]))
    return view(call.state, call.state.rows.get(row["name"]))


@implements("aiplatform.projects.locations.models.patch")
def patch(call: Call) -> Json:
    """With ``@`` in the name it changes a version, without it what all versions share; never both."""
    state, now = call.state, call.state.now()
    row = version_row(state, call.path["name"])
    bare, at, wanted = call.path["name"].partition("@")
    one = bool(at) and wanted != "-"
    before = view(state, row)
    sent = call.body.pop("etag", None)
    if sent and sent != before["etag"]:
        raise ApiError("ABORTED", f"The etag of {row['name']} is {before['etag']}, not {sent}.")
    # "Required", but google-genai sends none: then what was sent is changed (AIP-134).
    mask = call.query.get("updateMask") or ",".join(key for key in call.body if key != "name")
    if not mask:
        raise invalid("Required field is not set: update_mask")
    tops = {camel(path.strip().partition(".")[0]) for path in mask.split(",")}
    if wrong := sorted(tops - (_OF_VERSION if one else _SHARED | {"defaultCheckpointId"})):
        what = f"a version ({row['name']})" if one else f"a model ({bare})"
        raise invalid(f"{', '.join(wrong)} cannot be updated on {what}.", [(key, "") for key in wrong])
    check_labels(call.body.get("labels", {}))
    check_checkpoint(row, call.body.get("defaultCheckpointId"))
    if one or tops == {"defaultCheckpointId"}:
        state.rows.put(row["name"], {**apply_mask(row, call.body, mask), "versionUpdateTime": now})
    else:
        model = state.rows.get(row["name"].partition("@")[0])
        state.rows.put(model["name"], apply_mask(model, call.body, mask))
        for other in versions(state, model["name"]):
            names = ",".join(path for path in mask.split(",") if not path.strip().startswith("labels"))
            changed = apply_mask(other, call.body, names) if names else other
            state.rows.put(other["name"], {**changed, "updateTime": now})
    return model_row(state, call.path["name"])


@implements("aiplatform.projects.locations.models.deleteVersion")
def delete_version(call: Call) -> Json:
    state, name = call.state, call.path["name"]
    if "@" not in name:
        raise invalid(f"{name} names no version: it ends in @ and a version id or alias.", [("name", "")])
    row = version_row(state, name)
    model = row["name"].partition("@")[0]
    if len(versions(state, model)) == 1:
        raise failed_precondition(
            f"{row['name']} is the only version of its model: delete the model instead."
        )
    if DEFAULT in row["versionAliases"]:
        raise failed_precondition(f"{row['name']} is the default version: give `default` to another first.")
    remove_version(state, row)
    return finished_operation(call, model, "Delete", None)


@implements("aiplatform.projects.locations.models.delete")
def delete(call: Call) -> Json:
    state = call.state
    model = version_row(state, call.path["name"])["name"].partition("@")[0]
    for row in versions(state, model):
        remove_version(state, row)
    state.rows.delete(model)
    return finished_operation(call, model, "Delete", None)


def _target(call: Call) -> str:
    """The model that an upload or a copy goes to: a new one, or the one that ``parentModel`` names."""
    state, body = call.state, call.body
    if body.get("parentModel"):
        if body.get("modelId"):
            raise invalid("Only one of model_id and parent_model may be set.", [("parent_model", "")])
        name = str(version_row(state, body["parentModel"])["name"].partition("@")[0])
        if name.rpartition("/models/")[0] != call.parent():
            raise invalid(f"{name} is not in {call.parent()}.", [("parent_model", "")])
        return name
    identifier = body.get("modelId") or str(state.new_id())
    if body.get("modelId") and not re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", identifier):
        raise invalid(
            f'Invalid model ID "{identifier}": [a-z0-9_-], neither a digit nor - first, at most 63.',
            [("model_id", "")],
        )
    name = f"{call.parent()}/{MODELS}/{identifier}"
    if state.rows.find(name) is not None:
        raise already_exists(f"{name} already exists.")
    return name


def _named(row: Json) -> Json:
    return {"model": row["name"].partition("@")[0], "modelVersionId": row["versionId"]}
