"""Artifact Registry: uploads of generic artifacts and of pipeline templates (artifactregistry.v1).

What Google's server makes of an upload: a package, a version and a file. A generic file's id is
``package:version:filename``; a template's version is the digest of its content and its file's id here
``package:version`` (what Google calls it is not documented).
"""

from __future__ import annotations

import base64
import re
from typing import Any

import yaml

from tunestack.emulator.call import Call, implements
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.schema import Walk
from tunestack.emulator.services.artifact_registry_packages import put_tag
from tunestack.emulator.services.artifact_registry_state import (
    FILES,
    PACKAGES,
    VERSIONS,
    keep_content,
    location_of,
    operation,
    shown_name,
)
from tunestack.emulator.services.resources import named_row
from tunestack.emulator.services.storage_objects import forget_unused
from tunestack.emulator.services.storage_uploads import json_object, read_parts

Json = dict[str, Any]

_REPOSITORIES = "artifactregistry.projects.locations.repositories"
_PACKAGE = r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,254}[a-zA-Z0-9])?"
_VERSION = r"[a-z0-9]([a-z0-9.+~:-]{0,126}[a-z0-9])?"
_FILENAME = r"[a-zA-Z0-9_.~@/-]+"


@implements(f"{_REPOSITORIES}.genericArtifacts.upload")
async def upload_generic(call: Call) -> Json:
    repository = _repository(call, "GENERIC")
    request, content = await _received(call)
    package, version, filename = (request.get(key, "") for key in ("packageId", "versionId", "filename"))
    problems = [
        (field, f"Invalid {field} '{value}'.")
        for field, value, pattern in (
            ("package_id", package, _PACKAGE),
            ("version_id", version, _VERSION),
            ("filename", filename, _FILENAME),
        )
        if not re.fullmatch(pattern, value) or value == "latest"
    ]
    with call.state.database.transaction():
        if problems:
            _forget(call, content)
            raise invalid("\n".join(text for _, text in problems), problems)
        row = _keep(
            call,
            repository,
            content,
            package,
            version,
            f"{package}:{version}:{filename}",
            {"annotations": request["versionAnnotations"]} if request.get("versionAnnotations") else {},
        )
        return {"operation": operation(call, location_of(call.parent()), row, "GenericArtifact")}


@implements(f"{_REPOSITORIES}.kfpArtifacts.upload")
async def upload_template(call: Call) -> Json:
    """A compiled pipeline in YAML; its package is called as the pipeline is."""
    state = call.state
    repository = _repository(call, "KFP")
    request, content = await _received(call)
    with state.database.transaction():
        package = _pipeline_name(state.contents.read(content.digest))
        if package is None:
            _forget(call, content)
            raise invalid("The content is not a compiled pipeline: YAML with pipelineInfo.name.")
        version = f"sha256:{content.digest}"
        extra = {"description": request["description"]} if request.get("description") else {}
        file_id = f"{package}:{version}"
        row = state.rows.find(f"{call.parent()}/{PACKAGES}/{package}/{VERSIONS}/{version}")
        if row is None:
            row = _keep(call, repository, content, package, version, file_id, extra)
        package_key = f"{call.parent()}/{PACKAGES}/{package}"
        for tag in request.get("tags", []):
            put_tag(state, package_key, state.rows.get(package_key), tag, row["name"])
        return {"operation": operation(call, location_of(call.parent()), row, "Version")}


def _repository(call: Call, wanted: str) -> Json:
    repository = named_row(call, "parent", "Repository")
    if repository["format"] != wanted:
        raise failed_precondition(
            f"The repository {repository['name']} has the format {repository['format']}, not {wanted}."
        )
    return repository


async def _received(call: Call) -> tuple[Json, Content]:
    """The request's fields, checked, and the content."""
    incoming = call.incoming
    style = incoming.parameter("uploadType") if call.kind == "upload" else None
    if style == "multipart":
        parts = await read_parts(incoming.headers.get("content-type", ""), incoming.stream())
        if len(parts) != 2:
            raise invalid(f"A multipart upload has two parts, metadata and content, not {len(parts)}.")
        metadata, data = json_object(parts[0][1]), parts[1][1]
        content = call.state.contents.put([data])
    elif style == "media":
        metadata, content = {}, await call.state.contents.receive(incoming.stream())
    else:
        raise invalid("Upload requests must go to /upload/v1/… with uploadType media or multipart.")
    walk = Walk(call.state.documents.schemas[call.method.document], request=True)
    request: Json = walk.message(str(call.method.request), metadata)
    if walk.violations:
        _forget(call, content)
        raise invalid("\n".join(text for _, text in walk.violations), walk.violations)
    return request, content


def _keep(
    call: Call, repository: Json, content: Content, package: str, version: str, file_id: str, extra: Json
) -> Json:
    """Package (where it is new), version (likewise) and file; the version. Raises 409 where the file is there."""
    state, repository_key, now = call.state, call.parent(), call.state.now()
    file_key = f"{repository_key}/{FILES}/{file_id}"
    if state.rows.find(file_key):
        _forget(call, content)
        raise already_exists(f"File {shown_name(repository['name'], FILES, file_id)} already exists.")
    times = {"createTime": now, "updateTime": now}
    package_key = f"{repository_key}/{PACKAGES}/{package}"
    package_name = shown_name(repository["name"], PACKAGES, package)
    row = state.rows.find(package_key)
    if row is None:
        row = {"name": package_name, "displayName": package, **times}
        state.rows.create(PACKAGES, repository_key, package_key, row)
    else:
        state.rows.put(package_key, {**row, "updateTime": now})
    version_key = f"{package_key}/{VERSIONS}/{version}"
    version_row = state.rows.find(version_key)
    if version_row is None:
        version_row = {"name": shown_name(package_name, VERSIONS, version), **times, **extra}
        state.rows.create(VERSIONS, package_key, version_key, version_row)
    sha256 = base64.b64encode(bytes.fromhex(content.digest)).decode()
    file = {
        "name": shown_name(repository["name"], FILES, file_id),
        "sizeBytes": str(content.size),
        "hashes": [{"type": "SHA256", "value": sha256}, {"type": "MD5", "value": content.md5}],
        "owner": version_row["name"],
        **times,
    }
    state.rows.create(FILES, repository_key, file_key, file)
    keep_content(state, file_key, content)
    size = int(repository["sizeBytes"]) + content.size
    state.rows.put(repository_key, {**repository, "sizeBytes": str(size), "updateTime": now})
    return version_row


def _pipeline_name(content: bytes) -> str | None:
    try:
        body = yaml.safe_load(content)
        name = (body.get("pipelineSpec") or body)["pipelineInfo"]["name"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) and re.fullmatch(_PACKAGE, name) else None


def _forget(call: Call, content: Content) -> None:
    forget_unused(call.state, content.digest)
