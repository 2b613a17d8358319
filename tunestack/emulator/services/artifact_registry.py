"""Artifact Registry: repositories and their IAM policies (artifactregistry.v1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.services import iam_policy
from tunestack.emulator.services.artifact_registry_state import REPOSITORIES, operation, remove_below
from tunestack.emulator.services.cloud_kms_encryption import primary_version
from tunestack.emulator.services.resources import (
    chosen_id,
    create_row,
    delete_row,
    keep_row,
    list_rows,
    named_row,
    patched_row,
)

Json = dict[str, Any]

_REPOSITORIES = "artifactregistry.projects.locations.repositories"
_ID = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_IMMUTABLE = ("format", "kmsKeyName", "mode", "mavenConfig")


@implements(f"{_REPOSITORIES}.create")
def create(call: Call) -> Json:
    state, parent = call.state, call.parent()
    repository = chosen_id(call, "repositoryId", _ID)
    key = f"{parent}/{REPOSITORIES}/{repository}"
    kind = call.body.get("format", "FORMAT_UNSPECIFIED")
    if kind == "FORMAT_UNSPECIFIED":
        raise invalid("Required field is not set: repository.format", [("repository.format", "required")])
    if state.rows.find(key):
        raise already_exists(f"Repository {state.projects.by_id(key)} already exists.")
    if call.body.get("kmsKeyName"):
        primary_version(state, call.body["kmsKeyName"])
    _, project, _, location = parent.split("/")
    row = create_row(
        call,
        REPOSITORIES,
        key,
        mode=call.body.get("mode", "STANDARD_REPOSITORY"),
        registryUri=f"{location}-{kind.lower()}.pkg.dev/{state.projects.id(project)}/{repository}",
        sizeBytes="0",
    )
    return operation(call, parent, row, "Repository")


@implements(f"{_REPOSITORIES}.get")
def get(call: Call) -> Json:
    return named_row(call, kind="Repository")


@implements(f"{_REPOSITORIES}.list")
def list_repositories(call: Call) -> Json:
    return list_rows(call, REPOSITORIES)


@implements(f"{_REPOSITORIES}.patch")
def patch(call: Call) -> Json:
    return keep_row(call, patched_row(call, immutable=_IMMUTABLE))


@implements(f"{_REPOSITORIES}.delete")
def delete(call: Call) -> Json:
    """With all that is in it."""
    key = call.parent("name")
    named_row(call, kind="Repository")
    remove_below(call.state, key)
    delete_row(call)
    return operation(call, key.rsplit("/", 2)[0], None)


@implements(f"{_REPOSITORIES}.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return iam_policy.read_policy(call, "Repository")


@implements(f"{_REPOSITORIES}.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    return iam_policy.write_policy(call, "Repository")


@implements(f"{_REPOSITORIES}.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    return iam_policy.held_permissions(call)
