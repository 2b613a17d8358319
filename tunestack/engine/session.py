"""The processes, servers and state of one operation, and how it goes from beginning to end."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from tunestack.engine.callbacks import Callbacks
from tunestack.engine.clock import timestamp
from tunestack.engine.defaults import DefaultProviders
from tunestack.engine.deletion import Deletion
from tunestack.engine.deployment import Deployment
from tunestack.engine.errors import EngineError
from tunestack.engine.events import Reporter
from tunestack.engine.goals import Aliases
from tunestack.engine.imports import Importer
from tunestack.engine.journal import Journal
from tunestack.engine.monitor import EngineService, MonitorService, Tasks, serve
from tunestack.engine.options import EngineOptions, Import, Interrupt, Operation, Selection
from tunestack.engine.plugin import PluginHost
from tunestack.engine.processes import Watchdog
from tunestack.engine.program import Program
from tunestack.engine.project import Project, StackConfiguration
from tunestack.engine.refresh import refresh_all
from tunestack.engine.registration import Registrations
from tunestack.engine.registry import Registry
from tunestack.engine.state import Snapshot
from tunestack.engine.store import ORGANIZATION, Store
from tunestack.engine.targets import Scope
from tunestack.engine.urns import ROOT_STACK_TYPE, is_provider_type, package_of
from tunestack.engine.values import contains_secrets, redacted, unwrap

SUCCESS, FAILURE, ABANDONED = 0, 1, 8  # the CLI's exit codes
_NOUNS = {
    Operation.UP: "update",
    Operation.REFRESH: "refresh",
    Operation.DESTROY: "destroy",
    Operation.IMPORT: "import",
}
WAITING_SECONDS = 15.0  # between two lines that tell what an interrupted operation waits for
PROGRAM_PATIENCE_SECONDS = 5.0  # between SIGINT and SIGKILL, as the CLI


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
        watchdog: Watchdog,
        program: Program | None,
        selection: Selection,
    ) -> None:
        self._operation = operation
        self._options = options
        self._project = project
        self._configuration = configuration
        self._reporter = reporter
        self._store = store
        self._host = PluginHost(project, options.environment, options.pulumi_home, watchdog)
        self._tasks = Tasks()
        self._program = program
        self._server: Any = None
        aliases = Aliases(options.stack, project.name)
        self._deployment = Deployment(
            stack=options.stack,
            project=project.name,
            preview=preview,
            base=base,
            registry=Registry(self._host, preview),
            reporter=reporter,
            journal=Journal(base, store, aliases.new_names),
            callbacks=Callbacks(preview),
            aliases=aliases,
            slots=asyncio.Semaphore(options.parallel),
            now=timestamp,
            scope=Scope(selection),
        )
        registrations = Registrations(self._deployment)
        defaults = DefaultProviders(registrations, configuration)
        self._importer = Importer(self._deployment, registrations, defaults)
        self._engine = EngineService(self._deployment)
        self._monitor = MonitorService(
            self._deployment,
            defaults,
            registrations,
            self._tasks,
            project.program_directory,
            configuration.texts(),
            configuration.secret_keys(),
            options.parallel,
        )

    async def run(
        self, interrupt: Interrupt, clear_pending_creates: bool, imports: tuple[Import, ...]
    ) -> int:
        """Run to the end, or until interrupted twice. Returns the exit code."""
        self._server, address = await serve(self._engine, self._monitor)
        self._host.engine_address = self._deployment.status_address = address
        body = asyncio.create_task(self._body(address, clear_pending_creates, imports))
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
                self._reporter.error(f"{_NOUNS[self._operation]} failed")
            elif self._deployment.complained:
                self._reporter.error("preview failed")
        finally:
            listener.cancel()
            abandoned.cancel()
        return FAILURE if self._deployment.stopping or self._deployment.complained else SUCCESS

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
        while True:  # until what was under way has ended, and this with it
            for line in self._deployment.waited_for():
                self._reporter.diagnostic("info", line)
            await asyncio.sleep(WAITING_SECONDS)

    async def close(self) -> None:
        await self._deployment.registry.close()
        await self._host.close()
        await self._deployment.callbacks.close()
        if self._server is not None:
            await self._server.stop(None)

    # -- the operations --

    async def _body(self, address: str, clear_pending_creates: bool, imports: tuple[Import, ...]) -> None:
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
        if self._operation in (Operation.REFRESH, Operation.DESTROY):
            self._deployment.refuse_unknown()
        if self._operation is Operation.REFRESH:
            await refresh_all(self._deployment)
        elif self._operation is Operation.DESTROY:
            await Deletion(self._deployment).delete_unwanted()
        elif self._operation is Operation.IMPORT:
            await self._importer.import_all(imports)
        else:
            await self._update(address)

    async def _update(self, address: str) -> None:
        deployment = self._deployment
        deployment.could_not_find(deployment.scope.replaces.missing(deployment.olds))
        if deployment.failed:
            return
        self._warm_plugins()
        program = self._program
        if program is None:  # pragma: no cover - started for previews and updates
            raise EngineError("an update needs a program")
        program.on_line = self._on_line
        await program.go(self._settings(address))
        exited = asyncio.create_task(program.child.wait())
        registered = asyncio.create_task(self._monitor.all_registered.wait())
        stopped = asyncio.create_task(deployment.stopped.wait())
        try:
            await asyncio.wait({exited, registered, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await self._tasks.drain()
            if exited.done() and exited.result() != 0:
                self._program_failed(exited.result())
            if not deployment.stopping:
                unknown = deployment.unknown_targets()
                await Deletion(deployment).delete_unwanted()
                deployment.could_not_find(unknown)
            if deployment.stopping:
                program.child.signal(signal.SIGINT)
            self._monitor.may_leave.set()
            await asyncio.wait({exited}, timeout=PROGRAM_PATIENCE_SECONDS if deployment.stopping else None)
            program.child.signal(signal.SIGKILL)
            code = await exited
            if code != 0 and not deployment.stopping:
                self._program_failed(code)
        finally:
            registered.cancel()
            stopped.cancel()

    def _warm_plugins(self) -> None:
        """Start what will be needed: plugins of the providers in state, and for a new stack those the project names."""
        resources = self._deployment.base.resources
        for resource in resources:
            if is_provider_type(resource.type) and not resource.delete:
                version = resource.inputs.get("version")
                self._host.warm(package_of(resource.type), version if isinstance(version, str) else "")
        if not resources:
            for name in self._project.plugin_paths:
                self._host.warm(name, "")

    def _on_line(self, line: str, is_error: bool) -> None:
        self._reporter.diagnostic("info#err" if is_error else "info", f"{line}\n")

    def _program_failed(self, code: int) -> None:
        if not self._deployment.stopping:
            said = self._engine.errors_logged
            self._deployment.fail("" if said else f"program exited with non-zero exit code: {code}")

    def _settings(self, address: str) -> dict[str, Any]:
        return {
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

    def outputs(self) -> tuple[dict[str, Any], list[str]]:
        """The stack's outputs, open, and which of them are secret."""
        return outputs_of(self._deployment.journal.snapshot())


def outputs_of(snapshot: Snapshot) -> tuple[dict[str, Any], list[str]]:
    for resource in snapshot.resources:
        if resource.type == ROOT_STACK_TYPE and not resource.delete:
            secret = sorted(key for key, value in resource.outputs.items() if contains_secrets(value))
            return {key: redacted(unwrap(value)) for key, value in resource.outputs.items()}, secret
    return {}, []
