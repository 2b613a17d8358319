"""Artifact Registry: packages, their versions and tags, and files (artifactregistry.v1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from tunestack.emulator.call import Call, FilePart, Reply, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.services.artifact_registry_state import (
    FILES,
    PACKAGES,
    TAGS,
    VERSIONS,
    content_of,
    location_of,
    operation,
    remove_below,
    remove_file,
    shown_name,
)
from tunestack.emulator.services.resources import (
    chosen_id,
    keep_row,
    list_rows,
    listed,
    named_row,
    patched_row,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

_REPOSITORIES = "artifactregistry.projects.locations.repositories"
_PACKAGES = f"{_REPOSITORIES}.packages"
_FILES = f"{_REPOSITORIES}.files"
_TAG = r"[a-zA-Z0-9._~:@-]{1,128}"


@implements(f"{_PACKAGES}.get", f"{_PACKAGES}.tags.get", f"{_FILES}.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements(f"{_PACKAGES}.patch", f"{_PACKAGES}.versions.patch", f"{_FILES}.patch")
def patch(call: Call) -> Json:
    """Only annotations can be changed."""
    row = patched_row(call)
    changed = {**named_row(call), "annotations": row.get("annotations", {}), "updateTime": call.state.now()}
    return keep_row(call, changed)


@implements(f"{_PACKAGES}.list")
def list_packages(call: Call) -> Json:
    named_row(call, "parent", "Repository")
    return list_rows(call, PACKAGES)


@implements(f"{_PACKAGES}.delete")
def delete_package(call: Call) -> Json:
    key = call.parent("name")
    named_row(call, kind="Package")
    _remove_files_of(call.state, key)
    remove_below(call.state, key)
    call.state.rows.delete(key)
    return operation(call, location_of(key), None)


@implements(f"{_PACKAGES}.versions.get")
def get_version(call: Call) -> Json:
    """A version; with its tags in the view FULL."""
    return _shown_version(call, named_row(call, kind="Version"))


@implements(f"{_PACKAGES}.versions.list")
def list_versions(call: Call) -> Json:
    named_row(call, "parent", "Package")
    rows = call.state.rows.list(VERSIONS, call.parent())
    return listed(call, [_shown_version(call, row) for row in rows], VERSIONS)


@implements(f"{_PACKAGES}.versions.delete")
def delete_version(call: Call) -> Json:
    key = call.parent("name")
    row = named_row(call, kind="Version")
    _remove_version(call.state, key, row, force=call.query.get("force", False))
    return operation(call, location_of(key), None)


@implements(f"{_PACKAGES}.versions.batchDelete")
def delete_versions(call: Call) -> Json:
    state = call.state
    for name in call.body["names"]:
        key = state.projects.canonical(name)
        row = state.rows.get(key, f"Version {name} not found.")
        if not call.body.get("validateOnly"):
            _remove_version(state, key, row, force=True)
    return operation(call, location_of(call.parent()), None)


@implements(f"{_PACKAGES}.tags.create")
def create_tag(call: Call) -> Json:
    package = named_row(call, "parent", "Package")
    return put_tag(
        call.state,
        call.parent(),
        package,
        chosen_id(call, "tagId", _TAG),
        call.body.get("version", ""),
        new=True,
    )


@implements(f"{_PACKAGES}.tags.patch")
def patch_tag(call: Call) -> Json:
    row = patched_row(call, whole=True)
    package_key, _, tag = call.parent("name").partition(f"/{TAGS}/")
    package = call.state.rows.get(package_key)
    return put_tag(call.state, package_key, package, tag, row.get("version", ""))


@implements(f"{_PACKAGES}.tags.list")
def list_tags(call: Call) -> Json:
    named_row(call, "parent", "Package")
    return list_rows(call, TAGS)


@implements(f"{_PACKAGES}.tags.delete")
def delete_tag(call: Call) -> Json:
    named_row(call, kind="Tag")
    call.state.rows.delete(call.parent("name"))
    return {}


@implements(f"{_FILES}.list")
def list_files(call: Call) -> Json:
    named_row(call, "parent", "Repository")
    return list_rows(call, FILES)


@implements(f"{_FILES}.delete")
def delete_file(call: Call) -> Json:
    key = call.parent("name")
    named_row(call, kind="File")
    remove_file(call.state, key)
    return operation(call, location_of(key), None)


@implements(f"{_FILES}.download")
def download(call: Call) -> Json | Reply:
    row = named_row(call, kind="File")
    if call.kind != "download" and call.incoming.parameter("alt") != "media":
        return {}
    part = FilePart(content_of(call.state, call.parent("name")), 0, int(row["sizeBytes"]))
    return Reply(part, 200, {"content-type": "application/octet-stream"})


def put_tag(
    state: State, package_key: str, package: Json, tag: str, version: str, *, new: bool = False
) -> Json:
    """Set a tag on a version of the same package, given by name. Raises 400, 404, and 409 where it must be ``new``."""
    key = f"{package_key}/{TAGS}/{tag}"
    version_key = state.projects.canonical(version)
    if not version_key.startswith(f"{package_key}/{VERSIONS}/"):
        raise invalid(f"'{version}' is not a version of {package['name']}.", [("tag.version", version)])
    state.rows.get(version_key, f"Version {version} not found.")
    row = {
        "name": shown_name(package["name"], TAGS, tag),
        "version": state.projects.by_id(version_key),
    }
    if state.rows.find(key) is None:
        return state.rows.create(TAGS, package_key, key, row)
    if new:
        raise already_exists(f"Tag {row['name']} already exists.")
    return state.rows.put(key, row)


def _shown_version(call: Call, row: Json) -> Json:
    if call.query.get("view") not in ("FULL", "2"):
        return {key: value for key, value in row.items() if key != "metadata"}
    tags = _tags_of(call.state, call.state.projects.canonical(row["name"]))
    return {**row, **({"relatedTags": tags} if tags else {})}


def _tags_of(state: State, version_key: str) -> list[Json]:
    package_key = version_key.partition(f"/{VERSIONS}/")[0]
    name = state.projects.by_id(version_key)
    return [tag for tag in state.rows.list(TAGS, package_key) if tag["version"] == name]


def _remove_version(state: State, key: str, row: Json, *, force: bool) -> None:
    tags = _tags_of(state, key)
    if tags and not force:
        names = ", ".join(tag["name"].rpartition("/")[2] for tag in tags)
        raise failed_precondition(f"{row['name']} has the tags {names}: delete them or use force.")
    for tag in tags:
        state.rows.delete(state.projects.canonical(tag["name"]))
    _remove_files_of(state, key)
    state.rows.delete(key)


def _remove_files_of(state: State, owner_key: str) -> None:
    """The files of a version, or of all versions of a package."""
    repository_key = owner_key.partition(f"/{PACKAGES}/")[0]
    for row in state.rows.list(FILES, repository_key):
        owner = state.projects.canonical(row["owner"])
        if owner == owner_key or owner.startswith(owner_key + "/"):
            remove_file(state, f"{repository_key}/{FILES}/{unquote(row['name'].rpartition('/')[2])}")
