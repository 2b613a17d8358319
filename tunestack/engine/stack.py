"""A stack's state as a whole: exported, imported, and what the program gave as outputs; no program runs.

What an import refuses, and in which words, is the CLI's (``pkg/cmd/pulumi/stack/io.go``: ``SaveSnapshot``;
``pkg/resource/deploy/snapshot.go``: ``VerifyIntegrity``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunestack.engine.clock import timestamp
from tunestack.engine.errors import EngineError, StateError
from tunestack.engine.options import EngineOptions
from tunestack.engine.project import load_project
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import Resource, Snapshot, verify
from tunestack.engine.store import (
    checkpoint,
    document_from,
    read_document,
    secrets_state,
    snapshot_from,
    stack_file,
    stack_lock,
    write_file,
)
from tunestack.engine.urns import ROOT_STACK_TYPE
from tunestack.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, redacted, to_json, unwrap

DEPLOYMENT_VERSION = 3


def export_stack(options: EngineOptions, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's deployment, as ``pulumi stack export`` prints it: secrets encrypted unless `show_secrets`.

    Raises:
        EngineError: there is no such stack, or its state cannot be read.
    """
    document = _document(options)
    if show_secrets:
        secrets = PassphraseSecrets(options.passphrase, secrets_state(document))
        snapshot = snapshot_from(document, secrets)
        for key, items in (
            ("resources", snapshot.resources),
            ("pending_operations", snapshot.pending_operations),
        ):
            if items:
                document[key] = [item.to_json(_plain) for item in items]
    return {"version": DEPLOYMENT_VERSION, "deployment": document}


def _document(options: EngineOptions) -> dict[str, Any]:
    project = load_project(options.project_directory)
    document = read_document(stack_file(options.state_directory, project.name, options.stack))
    if document is None:
        raise EngineError(f"no stack named '{options.stack}' found in {options.state_directory}")
    return document


def _plain(secret: Secret) -> dict[str, str]:
    text = json.dumps(to_json(secret.value, _plain), separators=(",", ":"), ensure_ascii=False)
    return {SIGNATURE: SECRET_SIGNATURE, "plaintext": text}


def stack_outputs(options: EngineOptions, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's outputs, as ``pulumi stack output --json`` prints them: secrets as ``[secret]`` unless asked.

    Raises:
        EngineError: there is no such stack, or its state cannot be read.
    """
    document = _document(options)
    root = next((item for item in document.get("resources") or [] if item["type"] == ROOT_STACK_TYPE), None)
    if root is None:
        return {}
    secrets = PassphraseSecrets(options.passphrase, secrets_state(document))
    outputs = Resource.from_json(root, secrets.decrypt).outputs
    return {key: redacted(unwrap(value) if show_secrets else value) for key, value in outputs.items()}


# -- import -------------------------------------------------------------------------------------------------


def import_stack(options: EngineOptions, exported: Any, force: bool = False) -> list[str]:
    """Put an exported deployment in the place of the stack's state; the stack is made where there is none.

    Args:
        options: which stack.
        exported: what ``stack export`` of either engine gave, edited or not.
        force: take it even if it belongs to another stack or is not in order.

    Returns:
        Warnings, in the CLI's words: what `force` overrode, and pending operations that were dropped.

    Raises:
        EngineError: it is no deployment, or a dangerous one; nothing was changed.
    """
    project = load_project(options.project_directory)
    document = _deployment(exported, options.stack)
    secrets = _secrets(document, options)
    try:
        snapshot = snapshot_from(document, secrets)
    except (StateError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"could not deserialize deployment: {error}") from error
    dangers = list(_dangers(document, snapshot, options.stack))
    if dangers and not force:
        raise StateError(
            "\n".join(
                [*dangers, "importing this file could be dangerous; rerun with --force to proceed anyway"]
            )
        )
    dropped = [
        f"removing pending operation '{item.type}' on '{item.resource.urn}' from snapshot"
        for item in snapshot.pending_operations
    ]
    path = stack_file(options.state_directory, project.name, options.stack)
    whole = Snapshot(snapshot.resources, [], snapshot.metadata)
    with stack_lock(path):
        content = checkpoint(project.name, options.stack, document_from(whole, secrets, timestamp()))
        write_file(Path(path), content, backup=True)
    return [*dangers, *dropped]


def _deployment(exported: Any, stack: str) -> dict[str, Any]:
    if not isinstance(exported, dict):
        raise StateError("not a deployment: a JSON object with `version` and `deployment` is wanted")
    version = exported.get("version", 0)
    if not isinstance(version, int) or version > DEPLOYMENT_VERSION:
        raise StateError(
            f"the stack '{stack}' is newer than what this engine understands (version {version})"
        )
    if version < DEPLOYMENT_VERSION:
        raise StateError(f"the stack '{stack}' is too old to be used by this engine (version {version})")
    document = exported.get("deployment") or {}
    if not isinstance(document, dict):
        raise StateError("not a deployment: `deployment` is no JSON object")
    return document


def _secrets(document: Mapping[str, Any], options: EngineOptions) -> PassphraseSecrets:
    salt = secrets_state(dict(document))
    if salt is None and _holds_secrets(document):
        raise StateError(
            "could not deserialize deployment: snapshot contains encrypted secrets but no secrets manager could be "
            "found (secrets_providers is missing)"
        )
    return PassphraseSecrets(options.passphrase, salt)


def _holds_secrets(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get(SIGNATURE) == SECRET_SIGNATURE or any(map(_holds_secrets, value.values()))
    return isinstance(value, list) and any(map(_holds_secrets, value))


def _dangers(document: Mapping[str, Any], snapshot: Snapshot, stack: str) -> Iterator[str]:
    for resource in snapshot.resources:
        other = resource.urn.removeprefix("urn:pulumi:").partition("::")[0]
        if other != stack:
            yield f"resource '{resource.urn}' is from a different stack ({other} != {stack})"
    manifest = document.get("manifest") or {}
    version, magic = str(manifest.get("version") or ""), manifest.get("magic")
    if magic and magic != hashlib.sha256(version.encode()).hexdigest():
        yield "state file contains errors: magic cookie mismatch; possible tampering/corruption detected"
        return
    try:
        verify(snapshot.resources)
    except EngineError as error:
        yield f"state file contains errors: {error}"
