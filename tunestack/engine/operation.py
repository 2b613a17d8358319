"""One operation from beginning to end: preview, up, refresh or destroy of one stack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunestack.engine.callbacks import Callbacks
from tunestack.engine.defaults import DefaultProviders
from tunestack.engine.deletion import Deletion
from tunestack.engine.deployment import Deployment
from tunestack.engine.errors import EngineError
from tunestack.engine.events import Event, Reporter
from tunestack.engine.goals import Aliases
from tunestack.engine.journal import Journal
from tunestack.engine.monitor import EngineService, MonitorService, Tasks, serve
from tunestack.engine.options import EngineOptions, Interrupt, Operation, OperationResult
from tunestack.engine.plugin import PluginHost, activated, interpreter
from tunestack.engine.processes import Child, Watchdog
from tunestack.engine.project import (
    Project,
    StackConfiguration,
    load_project,
    load_stack_configuration,
    refuse_unless_local,
)
from tunestack.engine.provider import CHANNEL_OPTIONS
from tunestack.engine.refresh import refresh_all
from tunestack.engine.registration import Registrations
from tunestack.engine.registry import Registry
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import Snapshot
from tunestack.engine.store import (
    ORGANIZATION,
    Store,
    read_document,
    secrets_state,
    snapshot_from,
    stack_file,
    stack_lock,
)
from tunestack.engine.urns import ROOT_STACK_TYPE, is_provider_type, make_urn, package_of
from tunestack.engine.values import contains_secrets, redacted, unwrap

SUCCESS, FAILURE, CHANGES_FOUND, ABANDONED = 0, 1, 7, 8  # the CLI's exit codes
_NOUNS = {Operation.UP: "update", Operation.REFRESH: "refresh", Operation.DESTROY: "destroy"}
PROGRAM_PATIENCE_SECONDS = 5.0  # between SIGINT and SIGKILL, as the CLI


async def run(
    operation: Operation,
    options: EngineOptions,
    on_event: Callable[[Event], None],
    interrupt: Interrupt,
    *,
    preview_only: bool,
    expect_no_changes: bool,
    clear_pending_creates: bool,
) -> OperationResult:
    """See `tunestack.engine.run`."""
    started = time.monotonic()
    preview = operation is Operation.PREVIEW or preview_only
    reporter = Reporter(on_event, preview)
    project = load_project(options.project_directory)
    path = stack_file(options.state_directory, project.name, options.stack)
    with contextlib.ExitStack() as stack:
        if not preview:
            stack.enter_context(stack_lock(path))
        document = read_document(path)
        configuration = load_stack_configuration(project, options.stack, options.passphrase)
        refuse_unless_local(options.stack, configuration)
        salt = secrets_state(document) or configuration.encryption_salt
        secrets = await asyncio.to_thread(PassphraseSecrets, options.passphrase, salt)
        base = snapshot_from(document, secrets)
        shown = {
            key: "[secret]" if value.secret else value.text
            for key, value in sorted(configuration.values.items())
        }
        reporter.prelude(shown)
        store = None if preview else Store(path, options.stack, project.name, secrets, _timestamp)
        session = Session(operation, options, project, configuration, base, store, reporter, preview)
        try:
            code = await session.run(interrupt, clear_pending_creates)
        finally:
            await session.close()
    duration = time.monotonic() - started
    if (
        code == SUCCESS
        and expect_no_changes
        and any(op != "same" and n for op, n in reporter.changes.items())
    ):
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


class Session:
    """The processes, servers and state of one operation."""

    def __init__(
        self,
        operation: Operation,
        options: EngineOptions,
        project: Project,
        configuration: StackConfiguration,
        base: Snapshot,
        store: Store | None,
        reporter: Reporter,
        preview: bool,
    ) -> None:
        self._operation = operation
        self._options = options
        self._project = project
        self._configuration = configuration
        self._reporter = reporter
        self._store = store
        self._watchdog = Watchdog()
        self._host = PluginHost(project, options.environment, options.pulumi_home, self._watchdog)
        self._tasks = Tasks()
        self._program: Child | None = None
        self._server: Any = None
        aliases = Aliases(options.stack, project.name)
        self._deployment = Deployment(
            stack=options.stack,
            project=project.name,
            preview=preview,
            base=base,
            registry=Registry(self._host, str(project.program_directory), preview),
            reporter=reporter,
            journal=Journal(base, store, aliases.new_names),
            callbacks=Callbacks(preview),
            aliases=aliases,
            slots=asyncio.Semaphore(options.parallel),
            now=_timestamp,
        )
        registrations = Registrations(self._deployment)
        self._engine = EngineService(self._deployment)
        self._monitor = MonitorService(
            self._deployment,
            DefaultProviders(registrations, configuration),
            registrations,
            self._tasks,
            project.program_directory,
            configuration.texts(),
            configuration.secret_keys(),
            options.parallel,
        )

    async def run(self, interrupt: Interrupt, clear_pending_creates: bool) -> int:
        """Run to the end, or until interrupted twice. Returns the exit code."""
        self._server, address = await serve(self._engine, self._monitor, CHANNEL_OPTIONS)
        self._host.engine_address = self._deployment.status_address = address
        body = asyncio.create_task(self._body(address, clear_pending_creates))
        listener = asyncio.create_task(self._on_interrupt(interrupt))
        abandoned = asyncio.create_task(interrupt.second.wait())
        try:
            await asyncio.wait({body, abandoned}, return_when=asyncio.FIRST_COMPLETED)
            if not body.done():
                return self._abandon(body)
            try:
                body.result()
            except EngineError as error:
                self._deployment.fail(str(error))
            await self._deployment.journal.finish()
            if self._deployment.failed and not self._deployment.preview:
                self._reporter.error(f"{_NOUNS[self._operation]} failed", self._stack_urn())
        finally:
            listener.cancel()
            abandoned.cancel()
        return FAILURE if self._deployment.stopping else SUCCESS

    def _stack_urn(self) -> str:
        stack, project = self._options.stack, self._project.name
        return make_urn(stack, project, "", ROOT_STACK_TYPE, f"{project}-{stack}")

    def _abandon(self, body: asyncio.Task[None]) -> int:
        """Leave at once. What is under way stays in state as pending operations."""
        if self._store is not None:
            self._store.close()
        body.cancel()
        self._reporter.error(
            f"{self._operation} was terminated; operations under way are left pending in the state"
        )
        return ABANDONED

    async def _on_interrupt(self, interrupt: Interrupt) -> None:
        await interrupt.first.wait()
        self._deployment.cancel()
        self._reporter.error(
            f"{self._operation} canceled; waiting for what is under way (interrupt again to leave it behind)"
        )
        await self._deployment.registry.cancel()

    async def close(self) -> None:
        if self._program is not None and self._program.returncode is None:
            self._program.signal(signal.SIGKILL)
            await self._program.wait()
        await self._deployment.registry.close()
        await self._host.close()
        await self._deployment.callbacks.close()
        if self._server is not None:
            await self._server.stop(None)
        self._watchdog.close()

    # -- the four operations --

    async def _body(self, address: str, clear_pending_creates: bool) -> None:
        pending = self._deployment.journal.pending
        if pending and clear_pending_creates:
            self._deployment.journal.clear_pending()
        elif pending:
            lines = "\n".join(f"  * {item.resource.urn}, interrupted while {item.type}" for item in pending)
            self._reporter.warning(
                f"Attempting to deploy or update resources with {len(pending)} pending operations from previous "
                f"deployment.\n{lines}\nThese resources are in an unknown state because the engine was interrupted "
                "while waiting for changes to complete. Once you have seen to them, run refresh with "
                "--clear-pending-creates"
            )
        if self._operation is Operation.REFRESH:
            await refresh_all(self._deployment)
        elif self._operation is Operation.DESTROY:
            deletion = Deletion(self._deployment)
            await deletion.delete(deletion.unwanted())
        else:
            await self._update(address)

    async def _update(self, address: str) -> None:
        deployment = self._deployment
        for resource in deployment.base.resources:
            if is_provider_type(resource.type) and not resource.delete:
                version = resource.inputs.get("version")
                self._host.warm(package_of(resource.type), version if isinstance(version, str) else "")
        with self._settings(address) as settings:
            self._program = await self._start_program(settings)
            exited = asyncio.create_task(self._program.wait())
            registered = asyncio.create_task(self._monitor.all_registered.wait())
            stopped = asyncio.create_task(deployment.stopped.wait())
            try:
                await asyncio.wait({exited, registered, stopped}, return_when=asyncio.FIRST_COMPLETED)
                await self._tasks.drain()
                if exited.done() and exited.result() != 0:
                    self._program_failed(exited.result())
                if not deployment.stopping:
                    deletion = Deletion(deployment)
                    await deletion.delete(deletion.unwanted())
                if deployment.stopping:
                    self._program.signal(signal.SIGINT)
                self._monitor.may_leave.set()
                await asyncio.wait(
                    {exited}, timeout=PROGRAM_PATIENCE_SECONDS if deployment.stopping else None
                )
                self._program.signal(signal.SIGKILL)
                code = await exited
                if code != 0 and not deployment.stopping:
                    self._program_failed(code)
            finally:
                registered.cancel()
                stopped.cancel()

    def _program_failed(self, code: int) -> None:
        if not self._deployment.stopping:
            said = self._engine.errors_logged
            self._deployment.fail("" if said else f"program exited with non-zero exit code: {code}")

    @contextlib.contextmanager
    def _settings(self, address: str) -> Any:
        """The file that tells the runner everything; it may hold secrets, so only its owner reads it."""
        content = {
            "program": self._project.main
            if (self._project.directory / self._project.main).is_file()
            else ".",
            "monitor": address,
            "engine": address,
            "project": self._project.name,
            "stack": self._options.stack,
            "organization": ORGANIZATION,
            "parallel": self._options.parallel,
            "dry_run": self._deployment.preview,
            "root_directory": str(self._project.directory),
            "config": self._configuration.texts(),
            "config_secret_keys": self._configuration.secret_keys(),
        }
        descriptor, name = tempfile.mkstemp(prefix="program-", suffix=".json")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    async def _start_program(self, settings: Path) -> Child:
        environment = activated(self._options.environment, self._project.virtual_environment)
        environment["PYTHONUNBUFFERED"] = "1"
        python = (
            str(interpreter(self._project.virtual_environment))
            if self._project.virtual_environment
            else "python3"
        )
        return await Child.start(
            self._watchdog,
            [python, "-P", str(Path(__file__).with_name("runner.py")), settings],
            self._project.program_directory,
            environment,
            lambda line: self._reporter.diagnostic("info", f"{line}\n"),
            lambda line: self._reporter.diagnostic("info#err", f"{line}\n"),
        )

    def outputs(self) -> tuple[dict[str, Any], list[str]]:
        """The stack's outputs, open, and which of them are secret."""
        return outputs_of(self._deployment.journal.snapshot())


def outputs_of(snapshot: Snapshot) -> tuple[dict[str, Any], list[str]]:
    for resource in snapshot.resources:
        if resource.type == ROOT_STACK_TYPE and not resource.delete:
            secret = sorted(key for key, value in resource.outputs.items() if contains_secrets(value))
            return {key: redacted(unwrap(value)) for key, value in resource.outputs.items()}, secret
    return {}, []


def _timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
