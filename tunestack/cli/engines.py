"""The two engines behind one door: the Pulumi CLI where it is on PATH, else the embedded engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tunestack.cli.choices import NONE, Choices
from tunestack.cli.emulator import ensure_running, guarded_environment
from tunestack.cli.project import LOCAL_PASSPHRASE, Project
from tunestack.cli.pulumi_cli import Digest, Imported, PulumiCli, find_cli
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.engine import EngineOptions


class Engine(Protocol):
    """What a command needs of an engine. Operations: preview, up, refresh, destroy."""

    name: str

    def run(
        self, operation: str, *, json_output: bool = False, color: str = "auto", choices: Choices = NONE
    ) -> int:
        """Run ``operation`` to its end, showing it; return the exit status the Pulumi CLI would give."""
        ...

    def digest(self, operation: str = "preview", choices: Choices = NONE) -> Digest:
        """Say quietly what ``operation`` (`preview`, or `destroy`) would do."""
        ...

    def import_resource(self, resource: Imported, *, json_output: bool = False, color: str = "auto") -> int:
        """Take what exists into the stack's state by its id; return the CLI's exit status."""
        ...

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's outputs, secrets hidden unless asked for."""
        ...

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's deployment (version 3), secrets encrypted unless asked for."""
        ...

    def import_deployment(self, exported: Any, *, force: bool = False) -> list[str]:
        """Put a deployment in the place of the stack's state; return warnings. Raises TunestackError."""
        ...

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the stack's state (deployment format)."""
        ...


def open_engine(project: Project, choice: str, *, start_emulator: bool = False) -> Engine:
    """Return the engine for ``project``; ``choice`` is auto, cli or embedded (TUNESTACK_ENGINE decides auto).

    With ``start_emulator`` a local stack's emulator runs afterwards. Raises TunestackError.
    """
    if choice == "auto":
        choice = os.environ.get("TUNESTACK_ENGINE", "auto")
    local = project.endpoint is not None
    if choice == "embedded" and not local:
        raise TunestackError(
            Problem(
                "stack-on-google",
                f"the embedded engine serves stacks whose endpoints are on loopback; {project.stack} is on Google",
                f"Pulumi.{project.stack}.yaml",
                have="no tunestack:endpoint",
                need="the Pulumi CLI",
                fix=f"drop --engine embedded, or use --stack local instead of {project.stack}",
            ),
            exit_status=2,
        )
    environment = dict(os.environ)
    if local:
        from tunestack.emulator import egress

        egress.install()
        environment |= ensure_running(project) if start_emulator else _environment(project)
    if choice == "cli" or (choice == "auto" and (find_cli() or not local)):
        return PulumiCli(project, environment)
    return EmbeddedEngine(project, environment)


def _environment(project: Project) -> dict[str, str]:
    from tunestack.cli.emulator import emulator_options

    return guarded_environment(project, emulator_options(project))


class EmbeddedEngine:
    """Runs operations on ``tunestack.engine`` in this process; the program and plugins in their own."""

    name = "embedded engine"

    def __init__(self, project: Project, environment: Mapping[str, str]) -> None:
        from tunestack.engine import EngineOptions

        self._project = project
        self._options = EngineOptions(
            project_directory=project.root,
            stack=project.stack,
            state_directory=project.state,
            pulumi_home=project.pulumi_home,
            passphrase=LOCAL_PASSPHRASE,
            environment=environment,
        )
        self._digests: dict[tuple[str, Choices], Digest] = {}

    def run(
        self, operation: str, *, json_output: bool = False, color: str = "auto", choices: Choices = NONE
    ) -> int:
        return self._run(operation, choices, json_output, color)

    def _run(
        self,
        operation: str,
        choices: Choices,
        json_output: bool,
        color: str,
        imports: tuple[Imported, ...] = (),
    ) -> int:
        from tunestack.engine import Import, Interrupt, Operation, run
        from tunestack.engine.display import create_display, preview_digest

        kind = Operation(operation)
        preview = kind is Operation.PREVIEW or choices.preview_only

        async def drive() -> int:
            interrupt = Interrupt()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, interrupt.trigger)
            with create_display(
                kind,
                self._options.stack,
                sys.stdout,
                color=color,
                as_json=json_output,
                preview_only=choices.preview_only,
                in_full=choices.diff,
                suppress_outputs=True,  # `up` ends with a summary of them, `tunestack outputs` shows them all
            ) as display:
                result = await run(
                    kind,
                    self._with(choices),
                    display.event,
                    interrupt=interrupt,
                    imports=tuple(Import(**vars(item)) for item in imports),
                    **_keywords(choices),
                )
            if preview:
                digest = preview_digest(result)
                self._digests[operation, choices] = Digest(digest, result.exit_code)
                if json_output:
                    print(json.dumps(digest, indent=4))
            return result.exit_code

        with _told_to_people():
            return asyncio.run(drive())

    def digest(self, operation: str = "preview", choices: Choices = NONE) -> Digest:
        from tunestack.engine import Operation, run
        from tunestack.engine.display import preview_digest

        key = operation, choices
        if key not in self._digests:
            keywords = _keywords(choices) | {"preview_only": operation != "preview"}
            with _told_to_people():
                result = asyncio.run(run(Operation(operation), self._with(choices), **keywords))
            self._digests[key] = Digest(preview_digest(result), result.exit_code)
        return self._digests[key]

    def import_resource(self, resource: Imported, *, json_output: bool = False, color: str = "auto") -> int:
        return self._run("import", NONE, json_output, color, (resource,))

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        from tunestack.engine import stack_outputs

        with _told_to_people():
            return dict(stack_outputs(self._options, show_secrets)) if self._exists() else {}

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        from tunestack.engine import export_stack

        with _told_to_people():
            return export_stack(self._options, show_secrets)

    def import_deployment(self, exported: Any, *, force: bool = False) -> list[str]:
        from tunestack.engine import import_stack

        with _told_to_people():
            return import_stack(self._options, exported, force)

    def resources(self) -> list[dict[str, Any]]:
        deployment = self.export()["deployment"] if self._exists() else {}
        return list(deployment.get("resources") or [])

    def _with(self, choices: Choices) -> EngineOptions:
        return (
            self._options if choices.parallel is None else replace(self._options, parallel=choices.parallel)
        )

    def _exists(self) -> bool:
        """Say whether the stack was ever built."""
        return self._project.state_file.exists()


def _keywords(choices: Choices) -> dict[str, Any]:
    """The choices as `tunestack.engine.run` takes them."""
    from tunestack.engine import Selection

    return {
        "selection": Selection(
            choices.target,
            choices.exclude,
            choices.replace,
            choices.target_dependents,
            choices.exclude_dependents,
        ),
        "preview_only": choices.preview_only,
        "expect_no_changes": choices.expect_no_changes,
        "clear_pending_creates": choices.clear_pending_creates,
        "import_pending_creates": choices.import_pending_creates,
    }


@contextmanager
def _told_to_people() -> Iterator[None]:
    """The engine knows nothing of tunestack's errors: turn its own into ours at this door."""
    from tunestack.engine import EngineError

    try:
        yield
    except EngineError as error:
        raise TunestackError(Problem("engine", str(error)), exit_status=error.exit_code) from None
