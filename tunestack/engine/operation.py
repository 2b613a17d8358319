"""One operation from beginning to end: preview, up, refresh, destroy or import of one stack.

Light to import: what is heavy (gRPC, the SDK's protocols) is imported while the program's own process loads
the SDK and the stack's key is derived, which together take most of a short operation's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from tunestack.engine.clock import timestamp
from tunestack.engine.options import EngineOptions, Import, Interrupt, Operation, OperationResult, Selection
from tunestack.engine.processes import Watchdog
from tunestack.engine.program import Program
from tunestack.engine.project import (
    Project,
    StackConfiguration,
    load_project,
    load_stack_configuration,
    refuse_unless_local,
)
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.store import (
    Store,
    read_document,
    secrets_state,
    snapshot_from,
    stack_file,
    stack_lock,
)

CHANGES_FOUND = 7  # exit code, the CLI's


def _read_configuration(
    project: Project, options: EngineOptions, salt: str | None
) -> tuple[StackConfiguration, PassphraseSecrets]:
    """The stack's configuration, and its secrets under the state's salt, or else the configuration's."""
    configuration = load_stack_configuration(project, options.stack, options.passphrase)
    refuse_unless_local(options.stack, configuration)
    return configuration, PassphraseSecrets(options.passphrase, salt or configuration.encryption_salt)


async def run(
    operation: Operation,
    options: EngineOptions,
    on_event: Callable[[dict[str, Any]], None],
    interrupt: Interrupt,
    *,
    selection: Selection,
    imports: tuple[Import, ...],
    preview_only: bool,
    expect_no_changes: bool,
    clear_pending_creates: bool,
    import_pending_creates: tuple[tuple[str, str], ...],
) -> OperationResult:
    """See `tunestack.engine.run`."""
    started = time.monotonic()
    preview = operation is Operation.PREVIEW or preview_only
    project = load_project(options.project_directory)
    path = stack_file(options.state_directory, project.name, options.stack)
    async with contextlib.AsyncExitStack() as stack:
        if not preview:
            stack.enter_context(stack_lock(path))
        document = read_document(path)
        watchdog = stack.enter_context(contextlib.closing(Watchdog()))
        program = None
        if operation in (Operation.PREVIEW, Operation.UP):
            program = await Program.start(project, options.environment, watchdog)
            stack.push_async_callback(program.child.end)

        # Keys take a good part of a second to derive, by design: meanwhile the program loads its SDK, and we our parts.
        reading = asyncio.get_running_loop().run_in_executor(
            None, _read_configuration, project, options, secrets_state(document)
        )
        from tunestack.engine.events import Reporter
        from tunestack.engine.session import SUCCESS, Session

        configuration, secrets = await reading
        reporter = Reporter(on_event, preview)
        base = snapshot_from(document, secrets).with_created(import_pending_creates)
        shown = {
            key: "[secret]" if value.secret else value.text
            for key, value in sorted(configuration.values.items())
        }
        reporter.prelude(shown)
        store = None if preview else Store(path, options.stack, project.name, secrets, timestamp)
        session = Session(
            operation,
            options,
            project,
            configuration,
            base,
            store,
            reporter,
            preview,
            watchdog,
            program,
            selection,
        )
        stack.push_async_callback(session.close)
        code = await session.run(interrupt, clear_pending_creates, imports)
    duration = time.monotonic() - started
    changed = any(count for op, count in reporter.changes.items() if op != "same")
    if code == SUCCESS and expect_no_changes and changed:
        reporter.error("no changes were expected but changes " + ("were proposed" if preview else "occurred"))
        code = CHANGES_FOUND
    reporter.summary(duration, succeeded=code == SUCCESS)
    outputs, secret_keys = session.outputs()
    return OperationResult(
        exit_code=code,
        change_summary=dict(sorted(reporter.changes.items())),
        steps=reporter.steps,
        outputs=outputs,
        outputs_secret_keys=secret_keys,
        diagnostics=reporter.diagnostics,
        configuration=shown,
        duration_seconds=duration,
    )
