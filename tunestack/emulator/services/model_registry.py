"""The Model Registry's rows: models, their versions, aliases, and the adapters that versions own.

A row ``…/models/M`` holds what all versions share (labels, the number of the last version), a row ``…/models/M@N``
each version whole. What a caller reads is a version with the model's labels merged in. The rules are those of the
REST reference: ``UpdateModelRequest``, ``MergeVersionAliasesRequest``, ``DeleteModelVersion``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tunestack.emulator.errors import failed_precondition, invalid, not_found
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.services.storage_objects import read
from tunestack.emulator.services.vertex import with_etag
from tunestack.emulator.state import State

Json = dict[str, Any]
Adapter = Callable[[Path], object]
"""Fills a folder, which is there and empty, with an adapter."""

MODELS = "models"
VERSIONS = "modelVersions"
EVALUATIONS = "modelEvaluations"
DEFAULT = "default"

_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_RESOURCES = ["SHARED_RESOURCES", "AUTOMATIC_RESOURCES", "DEDICATED_RESOURCES"]


def model_row(state: State, name: str) -> Json:
    """The version that ``…/models/M`` (its default), ``…@1`` or ``…@prod`` names, as a caller reads it.

    Its name carries the version where a version or an alias was asked for. Raises 404.
    """
    bare, at, _ = name.partition("@")
    row = view(state, version_row(state, name))
    return row if at else {**row, "name": state.projects.canonical(bare)}


def version_row(state: State, name: str) -> Json:
    """The row of the version that a name means. Raises 404."""
    bare, _, wanted = state.projects.canonical(name).partition("@")
    wanted = wanted if wanted not in ("", "-") else DEFAULT
    for row in versions(state, state.rows.get(bare)["name"]):
        if wanted == row["versionId"] or wanted in row["versionAliases"]:
            return row
    raise not_found(f"{bare}@{wanted} is not found.")


def versions(state: State, model: str) -> list[Json]:
    """The rows of a model's versions, oldest first."""
    return state.rows.list(VERSIONS, model)


def view(state: State, version: Json) -> Json:
    """A version as a caller reads it: model labels and version labels are merged."""
    model = state.rows.get(version["name"].partition("@")[0])
    if "labels" in model or "labels" in version:
        version = {**version, "labels": {**model.get("labels", {}), **version.get("labels", {})}}
    return with_etag(version)


def tuned_from(model: Json) -> Json:
    """What the emulator noted of a model that it tuned: ``baseModel``, ``generatesContent``; empty for others."""
    metadata = model.get("metadata")
    return metadata if isinstance(metadata, dict) and metadata.get("simulated") is True else {}


def create_version(state: State, model_name: str, model: Json, adapter: Adapter | None = None) -> Json:
    """Register ``model`` as the next version under ``model_name``, as the first where there is none yet.

    ``adapter`` fills a folder with the adapter that the registry shall own. The version as a caller reads it.
    """
    aliases = check_aliases(model.get("versionAliases", []))
    now = state.now()
    with state.database.transaction():
        shared = state.rows.find(model_name)
        if shared is None:
            shared = {"name": model_name, "_last": 0, "createTime": now}
            if "labels" in model:
                shared["labels"] = model["labels"]
            state.rows.create(MODELS, model_name.rpartition("/models/")[0], model_name, shared)
            model = {key: value for key, value in model.items() if key != "labels"}
            aliases = [DEFAULT, *(alias for alias in aliases if alias != DEFAULT)]
        number = str(int(shared.get("_last", 1)) + 1)
        name = f"{model_name}@{number}"
        state.rows.put(model_name, {**shared, "_last": int(number)})
        row = {
            **model,
            "name": name,
            "versionId": number,
            "versionAliases": [],
            "createTime": shared["createTime"],
            "updateTime": now,
            "versionCreateTime": now,
            "versionUpdateTime": now,
            "supportedDeploymentResourcesTypes": _RESOURCES,
        }
        state.rows.create(VERSIONS, model_name, name, row)
        set_aliases(state, name, aliases)
        if adapter:
            _fill(_folder(state, name), adapter)
    return view(state, state.rows.get(name))


def set_aliases(state: State, name: str, merged: list[str]) -> None:
    """Give a version aliases, taking them from the versions that have them; ``-alias`` takes one away.

    Raises 400 where no version would be the default.
    """
    given = {alias for alias in merged if not alias.startswith("-")}
    taken = {alias[1:] for alias in merged if alias.startswith("-")}
    if DEFAULT in taken - given:
        raise invalid("There must be exactly one default version: give `default` to another version instead.")
    for row in versions(state, name.partition("@")[0]):
        have = row["versionAliases"]
        if row["name"] == name:
            kept = [alias for alias in have if alias not in taken - given]
            kept += sorted(given - taken - set(have))
        else:
            kept = [alias for alias in have if alias not in given - taken]
        if kept != have:
            state.rows.put(row["name"], {**row, "versionAliases": kept, "versionUpdateTime": state.now()})


def check_aliases(aliases: list[str]) -> list[str]:
    """Raises 400 where one has not Google's form."""
    for alias in aliases:
        if not _ALIAS.fullmatch(alias.removeprefix("-")):
            raise invalid(
                f'Version alias "{alias}" is invalid: letters, digits and -, a lowercase letter first, a letter or'
                " digit last, between 2 and 128."
            )
    return aliases


def remove_version(state: State, row: Json) -> None:
    """Remove a version with its adapter and evaluations. Raises 400 where it is deployed."""
    if places := ", ".join(place["endpoint"] for place in row.get("deployedModels", [])):
        raise failed_precondition(f"{row['name']} is deployed at {places}: undeploy it first.")
    state.rows.delete(row["name"])
    for evaluation in state.rows.list(EVALUATIONS, row["name"]):
        state.rows.delete(evaluation["name"])
    folders = (_folder(state, row["name"]), _former_folder(state, row["name"]))
    for folder in folders:
        state.database.after_commit(partial(shutil.rmtree, folder, ignore_errors=True))


def adapter_folder(state: State, version: str) -> Path | None:
    """The adapter that the registry holds for ``…/models/M@N``, if its artifacts were one."""
    folders = (_folder(state, version), _former_folder(state, version))
    return next((folder / "adapter" for folder in folders if (folder / "adapter").is_dir()), None)


def keep_checkpoint(state: State, version: str, identifier: str, adapter: Adapter) -> None:
    """Let a version own the adapter of one of its checkpoints too."""
    _fill(_folder(state, version) / "checkpoints" / identifier, adapter)


def checkpoint_folder(state: State, version: Json, identifier: str | None) -> Path | None:
    """The adapter of a checkpoint: of the one asked for, else the version's default, else the version's own."""
    identifier = identifier or version.get("defaultCheckpointId")
    folder = _folder(state, version["name"]) / "checkpoints" / str(identifier) / "adapter"
    return folder if identifier and folder.is_dir() else adapter_folder(state, version["name"])


def check_checkpoint(version: Json, identifier: str | None) -> None:
    """Raises 400 where a version has no such checkpoint."""
    known = [row["checkpointId"] for row in version.get("checkpoints", [])]
    if identifier and identifier not in known:
        raise invalid(
            f"{version['name']} has no checkpoint {identifier}; it has {', '.join(known) or 'none'}.",
            [("checkpoint_id", identifier)],
        )


def copy_checkpoints(state: State, source: Json, target: str) -> None:
    """Give a copy of a version the adapters of its checkpoints."""
    for row in source.get("checkpoints", []):
        folder = _folder(state, source["name"]) / "checkpoints" / row["checkpointId"] / "adapter"
        if adapter := adapter_of_folder(folder):
            keep_checkpoint(state, target, row["checkpointId"], adapter)


_AGENT = "service-{}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def adapter_of_objects(state: State, artifact_uri: str, project: str) -> Adapter | None:
    """What copies the adapter at ``artifact_uri`` (gs://…/) into a folder; None where nothing lies there.

    Raises 400 where the agent of the ``project`` (a number) may not read it; words:
    GoogleCloudPlatform/vertex-ai-samples#3710.
    """
    if not artifact_uri.startswith("gs://"):
        return None
    bucket, prefix = parse_gs_uri(artifact_uri)
    agent = _AGENT.format(project)
    if state.access.lacks_in_bucket(agent, bucket, prefix, "storage.objects.get"):
        raise failed_precondition(
            f"Service account `{agent}` does not have `[storage.objects.get]` IAM permission(s) to the directory"
            f' "{artifact_uri}". Please either copy the files to the Google Cloud Storage bucket owned by your'
            " project, or grant the required IAM permission(s) to the service account."
        )
    prefix = prefix.rstrip("/") + "/"
    names = state.database.execute(
        "SELECT name FROM object WHERE bucket = ? AND live AND name >= ? AND name < ?",
        bucket,
        prefix,
        prefix + "\U0010ffff",
    )

    def copy(folder: Path) -> None:
        for (name,) in names:
            target = folder / name.removeprefix(prefix)
            if not target.resolve().is_relative_to(folder.resolve()):
                raise failed_precondition(f"{name} leads out of its folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(state, bucket, name))

    return copy if names else None


def adapter_of_folder(source: Path | None) -> Adapter | None:
    """The same from a folder."""
    if source is None or not source.is_dir():
        return None
    return lambda folder: shutil.copytree(source, folder, dirs_exist_ok=True)


def _fill(folder: Path, adapter: Adapter) -> None:
    """Written aside and renamed, so that a half adapter is never served."""
    for name in ("adapter.aside", "adapter"):
        shutil.rmtree(folder / name, ignore_errors=True)
    aside = folder / "adapter.aside"
    aside.mkdir(parents=True)
    adapter(aside)
    aside.rename(folder / "adapter")


def _folder(state: State, version: str) -> Path:
    _, project, _, location, _, model = version.split("/")
    return state.options.data / "models" / project / location / model


def _former_folder(state: State, version: str) -> Path:
    """Where an emulator before state version 3 kept the only version of a model."""
    model, _, number = version.rpartition("/")[2].partition("@")
    return state.options.data / "models" / (model if number == "1" else "-")
