"""The embedded Pulumi engine: runs an unmodified Pulumi program without the Pulumi CLI.

It serves Pulumi's ``ResourceMonitor`` and ``Engine`` to the program, drives provider plugins over
``ResourceProvider``, and keeps state in the layout of the CLI's file backend. It serves stacks whose every
endpoint is on loopback, and refuses by name whatever it does not implement.

Importing this package is cheap: gRPC and the Pulumi SDK are imported by the first operation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tunestack.engine.errors import EngineError, EngineRefused
from tunestack.engine.options import EngineOptions, Interrupt, Operation, OperationResult

__all__ = [
    "EngineError",
    "EngineOptions",
    "EngineRefused",
    "Interrupt",
    "Operation",
    "OperationResult",
    "export_stack",
    "run",
    "stack_outputs",
]


async def run(
    operation: Operation,
    options: EngineOptions,
    on_event: Callable[[dict[str, Any]], None] = lambda _event: None,
    *,
    interrupt: Interrupt | None = None,
    preview_only: bool = False,
    expect_no_changes: bool = False,
    clear_pending_creates: bool = False,
) -> OperationResult:
    """Run one operation on a stack.

    Args:
        operation: preview, up (without a preview of its own), refresh or destroy.
        options: which stack, and where everything lies.
        on_event: called on the loop's thread with each engine event, in the shape of ``pulumi up --json``.
        interrupt: lets the caller interrupt the operation; no signal handler is installed here.
        preview_only: of a refresh or destroy, only show what it would do.
        expect_no_changes: exit code 7 when there are changes.
        clear_pending_creates: forget creates that an earlier operation left pending.

    Raises:
        EngineError: before anything was done: Pulumi.yaml, the stack's configuration or its state is not in
            order, the stack is locked, or something was asked for that this engine does not have.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own noise about channels going away
    from tunestack.engine import operation as implementation

    return await implementation.run(
        operation,
        options,
        on_event,
        interrupt or Interrupt(),
        preview_only=preview_only,
        expect_no_changes=expect_no_changes,
        clear_pending_creates=clear_pending_creates,
    )


def export_stack(options: EngineOptions) -> dict[str, Any]:
    """The stack's deployment, as ``pulumi stack export`` prints it (secrets stay encrypted).

    Raises:
        EngineError: there is no such stack, or its state cannot be read.
    """
    from tunestack.engine.project import load_project
    from tunestack.engine.store import read_document, stack_file

    project = load_project(options.project_directory)
    document = read_document(stack_file(options.state_directory, project.name, options.stack))
    if document is None:
        raise EngineError(f"no stack named '{options.stack}' found in {options.state_directory}")
    return {"version": 3, "deployment": document}


def stack_outputs(options: EngineOptions, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's outputs, as ``pulumi stack output --json`` prints them: secrets as ``[secret]`` unless asked.

    Raises:
        EngineError: there is no such stack, or its state cannot be read.
    """
    document = export_stack(options)["deployment"]
    from tunestack.engine.secrets import PassphraseSecrets
    from tunestack.engine.state import Resource
    from tunestack.engine.store import secrets_state
    from tunestack.engine.urns import ROOT_STACK_TYPE
    from tunestack.engine.values import redacted, unwrap

    root = next((item for item in document.get("resources") or [] if item["type"] == ROOT_STACK_TYPE), None)
    if root is None:
        return {}
    secrets = PassphraseSecrets(options.passphrase, secrets_state(document))
    outputs = Resource.from_json(root, secrets.decrypt).outputs
    return {key: redacted(unwrap(value) if show_secrets else value) for key, value in outputs.items()}
