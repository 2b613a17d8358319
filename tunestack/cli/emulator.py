"""``tunestack emulator start|stop|status|env``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tunestack.cli.project import Project, add_stack_argument, find_project
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.emulator.options import EmulatorOptions
    from tunestack.emulator.process import RunningEmulator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'then, with the Pulumi CLI:  eval "$(tunestack emulator env)"  and  pulumi up -s local'
    parser.add_argument("action", choices=("start", "stop", "status", "env"))
    add_stack_argument(parser)
    parser.add_argument("--port", type=int, help="start: another port than the stack's (0 takes a free one)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where it keeps its state (default: .tunestack/emulator)"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    from tunestack.emulator import process

    project = find_project(arguments.cwd, arguments.stack)
    data = (arguments.data or project.emulator_data).resolve()
    if arguments.action == "stop":
        stopped = process.stop(data)
        print(
            json.dumps({"stopped": stopped})
            if arguments.json
            else "stopped"
            if stopped
            else "was not running"
        )
        return 0
    if arguments.action == "status":
        running = process.status(data)
        if arguments.json:
            print(json.dumps(described(running, data)))
        elif running is None:
            print(f"not running ({data})")
        else:
            print(f"running at {running.url} (pid {running.pid}, data {data})")
        return 0 if running else 1
    options = emulator_options(project, port=arguments.port, data=data)
    if arguments.action == "env":
        for name, value in sorted(local_environment(project, options).items()):
            print(f"export {name}={shlex.quote(value)}")
        return 0
    running = process.start(options)
    prepare_pulumi_home(project)
    if arguments.json:
        print(json.dumps(described(running, data)))
    else:
        print(f"emulator at {running.url} (pid {running.pid}, data {data})")
        print('for other tools:  eval "$(tunestack emulator env)"', file=sys.stderr)
    return 0


def described(running: RunningEmulator | None, data: Path) -> dict[str, object]:
    """Return the state of the emulator for machines."""
    if running is None:
        return {"running": False, "data": str(data)}
    return {"running": True, "url": running.url, "pid": running.pid, "data": str(data)}


def emulator_options(
    project: Project, *, port: int | None = None, data: Path | None = None
) -> EmulatorOptions:
    """Return how the emulator of a stack is started."""
    from tunestack.emulator.options import EmulatorOptions

    return EmulatorOptions(
        port=project.port if port is None else port,
        data=(data or project.emulator_data).resolve(),
        base_model=project.base_model,
        trainer=project.trainer,
    )


def local_environment(project: Project, options: EmulatorOptions) -> dict[str, str]:
    """Return the variables that make Google's clients, and Pulumi, use the emulator."""
    from tunestack.emulator.environment import environment

    return {**environment(options), **project.pulumi_environment()}


def prepare_pulumi_home(project: Project) -> None:
    """Put the stand-in gcp provider where Pulumi looks for it, and make the folder of the state."""
    from tunestack.emulator.gcp_provider.install import install

    project.state.mkdir(parents=True, exist_ok=True)
    install(project.pulumi_home, Path(sys.executable))


def ensure_running(project: Project) -> dict[str, str]:
    """Start the stack's emulator where it is not running; return what its users' environment needs."""
    from tunestack.emulator import process

    options = emulator_options(project)
    running = process.start(options)
    if running.options.port != options.port:
        raise TunestackError(
            Problem(
                "emulator-on-another-port",
                f"the emulator of {options.data} runs, but not where stack {project.stack} looks for it",
                f"Pulumi.{project.stack}.yaml",
                have=running.url,
                need=f"http://127.0.0.1:{options.port}",
                fix="tunestack emulator stop, then the same command again",
            )
        )
    prepare_pulumi_home(project)
    return local_environment(project, options)
