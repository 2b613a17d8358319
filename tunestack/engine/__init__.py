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
from tunestack.engine.options import EngineOptions, Import, Interrupt, Operation, OperationResult, Selection

__all__ = [
    "EngineError",
    "EngineOptions",
    "EngineRefused",
    "Import",
    "Interrupt",
    "Operation",
    "OperationResult",
    "Selection",
    "export_stack",
    "import_stack",
    "run",
    "stack_outputs",
]
_EVERYTHING = Selection()


async def run(
    operation: Operation,
    options: EngineOptions,
    on_event: Callable[[dict[str, Any]], None] = lambda _event: None,
    *,
    interrupt: Interrupt | None = None,
    selection: Selection = _EVERYTHING,
    imports: tuple[Import, ...] = (),
    preview_only: bool = False,
    expect_no_changes: bool = False,
    clear_pending_creates: bool = False,
    import_pending_creates: tuple[tuple[str, str], ...] = (),
) -> OperationResult:
    """Run one operation on a stack.

    Args:
        operation: preview, up (without a preview of its own), refresh, destroy or import.
        options: which stack, and where everything lies.
        on_event: called on the loop's thread with each engine event, in the shape of ``pulumi up --json``.
        interrupt: lets the caller interrupt the operation; no signal handler is installed here.
        selection: which resources it is limited to.
        imports: of an import, what to take into state.
        preview_only: of a refresh, destroy or import, only show what it would do.
        expect_no_changes: exit code 7 when there are changes.
        clear_pending_creates: forget creates that an earlier operation left pending.
        import_pending_creates: of a refresh, URN and id of what such creates made: read, and taken into state.

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
        selection=selection,
        imports=imports,
        preview_only=preview_only,
        expect_no_changes=expect_no_changes,
        clear_pending_creates=clear_pending_creates,
        import_pending_creates=import_pending_creates,
    )


def export_stack(options: EngineOptions, show_secrets: bool = False) -> dict[str, Any]:
    """See `tunestack.engine.stack.export_stack`."""
    from tunestack.engine import stack

    return stack.export_stack(options, show_secrets)


def import_stack(options: EngineOptions, exported: Any, force: bool = False) -> list[str]:
    """See `tunestack.engine.stack.import_stack`."""
    from tunestack.engine import stack

    return stack.import_stack(options, exported, force)


def stack_outputs(options: EngineOptions, show_secrets: bool = False) -> dict[str, Any]:
    """See `tunestack.engine.stack.stack_outputs`."""
    from tunestack.engine import stack

    return stack.stack_outputs(options, show_secrets)
