"""The two engines behind one door: the Pulumi CLI where it is on PATH, else the embedded engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from tunestack.cli.emulator import ensure_running, local_environment
from tunestack.cli.project import LOCAL_PASSPHRASE, Project
from tunestack.cli.pulumi_cli import PulumiCli, find_cli
from tunestack.spec.errors import Problem, TunestackError


class Engine(Protocol):
    """What a command needs of an engine. Operations: preview, up, refresh, destroy."""

    name: str

    def run(self, operation: str, *, json_output: bool = False, color: str = "auto") -> int:
        """Run ``operation`` to its end, showing it; return the exit status the Pulumi CLI would give."""
        ...

    def preview_steps(self) -> list[dict[str, Any]]:
        """Return what `up` would do, in the shape of ``pulumi preview --json``; quietly."""
        ...

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets hidden."""
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
        environment |= ensure_running(project) if start_emulator else _environment(project)
    if choice == "cli" or (choice == "auto" and (find_cli() or not local)):
        return PulumiCli(project, environment)
    return EmbeddedEngine(project, environment)


def _environment(project: Project) -> dict[str, str]:
    from tunestack.cli.emulator import emulator_options

    return local_environment(project, emulator_options(project))


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
        self._steps: list[dict[str, Any]] | None = None

    def run(self, operation: str, *, json_output: bool = False, color: str = "auto") -> int:
        from tunestack.engine import Interrupt, Operation, run
        from tunestack.engine.display import create_display, preview_digest

        kind = Operation(operation)

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
                suppress_outputs=True,  # `up` ends with a summary of them, `tunestack outputs` shows them all
            ) as display:
                result = await run(kind, self._options, display.event, interrupt=interrupt)
            if kind is Operation.PREVIEW:
                self._steps = result.steps
                if json_output:
                    print(json.dumps(preview_digest(result), indent=4))
            return result.exit_code

        with _told_to_people():
            return asyncio.run(drive())

    def preview_steps(self) -> list[dict[str, Any]]:
        if self._steps is None:
            from tunestack.engine import Operation, run

            with _told_to_people():
                self._steps = asyncio.run(run(Operation.PREVIEW, self._options)).steps
        return self._steps

    def outputs(self) -> dict[str, Any]:
        from tunestack.engine import stack_outputs

        with _told_to_people():
            return dict(stack_outputs(self._options)) if self._exists() else {}

    def resources(self) -> list[dict[str, Any]]:
        from tunestack.engine import export_stack

        with _told_to_people():
            deployment = export_stack(self._options)["deployment"] if self._exists() else {}
        return list(deployment.get("resources") or [])

    def _exists(self) -> bool:
        """Say whether the stack was ever built."""
        return self._project.state_file.exists()


@contextmanager
def _told_to_people() -> Iterator[None]:
    """The engine knows nothing of tunestack's errors: turn its own into ours at this door."""
    from tunestack.engine import EngineError

    try:
        yield
    except EngineError as error:
        raise TunestackError(Problem("engine", str(error)), exit_status=error.exit_code) from None
