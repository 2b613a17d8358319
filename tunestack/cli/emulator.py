"""``tunestack emulator start|stop|status|env|reset``, and what scripts it: ``fault``, ``outcome``, ``clock``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.cli import emulator_scripts
from tunestack.cli.project import Project, add_stack_argument, find_project
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.emulator.options import EmulatorOptions
    from tunestack.emulator.process import RunningEmulator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'then, with the Pulumi CLI:  eval "$(tunestack emulator env)"  and  pulumi up -s local'
    _add_common(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _add_common(added, again=True)
        return added

    start = action("start", "start it, or find the one that runs on this data")
    start.add_argument("--port", type=int, help="another port than the stack's (0 takes a free one)")
    start.add_argument(
        "--rpc-port",
        type=int,
        help="serve gRPC there too (Cloud Monitoring, Logging, Pub/Sub; 0 takes a free port)",
    )
    start.add_argument("--foreground", action="store_true", help="stay, and end with ^C")
    start.add_argument(
        "--iam",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="ask IAM policies before each call (default: the stack's tunestack:enforce_iam, else yes)",
    )
    start.add_argument("--base-model", type=Path, metavar="DIR", help="the model that plays every base model")
    start.add_argument("--trainer", type=Path, metavar="DIR", help="what trains it")
    action("stop", "stop it, and every training with it; the next start goes on")
    action("status", "say whether it runs, where, and what it does")
    env = action("env", "print the variables that make Google's clients and the Pulumi CLI use it")
    env.add_argument(
        "--as", dest="account", metavar="EMAIL", help="call as this account instead of the local one"
    )
    env.add_argument(
        "--guard",
        action="store_true",
        help="also stop whatever would leave this machine, in everything that the shell starts",
    )
    reset = action("reset", "remove all that it holds, and start it again where it ran")
    reset.add_argument("-y", "--yes", action="store_true", help="do not ask first")
    emulator_scripts.add_actions(action)


def _add_common(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    add_stack_argument(parser, again=again)
    unset: Any = argparse.SUPPRESS if again else None
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=unset,
        help="where it keeps its state (default: .tunestack/emulator)",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS if again else False, help="for machines"
    )


def run(arguments: argparse.Namespace) -> int:
    project = find_project(arguments.cwd, arguments.stack)
    data = (arguments.data or project.emulator_data).resolve()
    own = {"start": _start, "stop": _stop, "status": _status, "env": _env, "reset": _reset}
    if arguments.action in own:
        return own[arguments.action](project, data, arguments)
    return emulator_scripts.run(running_at(data), arguments)


def running_at(data: Path) -> RunningEmulator:
    """Return the emulator of a data folder. Raises TunestackError where none runs."""
    from tunestack.emulator import process

    running = process.status(data)
    if running is None:
        raise TunestackError(
            Problem(
                "emulator-not-running",
                "no emulator runs on this data",
                str(data),
                fix=f"tunestack emulator start --data {data}, or the --data that it runs on",
            )
        )
    return running


def _start(project: Project, data: Path, arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from tunestack.emulator import process

    options = emulator_options(project, port=arguments.port, data=data)
    given = {
        "enforce_iam": arguments.iam,
        "rpc_port": arguments.rpc_port,
        "base_model": arguments.base_model and arguments.base_model.resolve(),
        "trainer": arguments.trainer and arguments.trainer.resolve(),
    }
    options = replace(options, **{key: value for key, value in given.items() if value is not None})
    prepare_pulumi_home(project)
    if arguments.foreground:
        from tunestack.emulator.__main__ import serve

        def ready(real: EmulatorOptions) -> None:
            print(f"emulator at http://127.0.0.1:{real.port} (data {data}); ^C ends it", flush=True)

        serve(options, ready)
        return 0
    running = process.start(options)
    if arguments.json:
        print(json.dumps(described(running, data)))
    else:
        print(f"emulator at {running.url} (pid {running.pid}, data {data})")
        print('for other tools:  eval "$(tunestack emulator env)"', file=sys.stderr)
    return 0


def _stop(project: Project, data: Path, arguments: argparse.Namespace) -> int:
    from tunestack.emulator import process

    stopped = process.stop(data)
    print(json.dumps({"stopped": stopped}) if arguments.json else "stopped" if stopped else "was not running")
    return 0


def _status(project: Project, data: Path, arguments: argparse.Namespace) -> int:
    from tunestack.emulator import process

    running = process.status(data)
    if arguments.json:
        print(json.dumps(described(running, data)))
    elif running is None:
        print(f"not running ({data})")
    else:
        print(f"running at {running.url} (pid {running.pid}, data {data})")
        for line in emulator_scripts.doings(running):
            print(f"  {line}")
    return 0 if running else 1


def _env(project: Project, data: Path, arguments: argparse.Namespace) -> int:
    from tunestack.emulator import process
    from tunestack.emulator.egress import guard_environment
    from tunestack.emulator.environment import write_credentials

    running = process.status(data)
    options = running.options if running else emulator_options(project, data=data)
    if running is None:
        # Into a shell by eval goes what stands on standard output alone.
        print(f"no emulator runs on {data}: tunestack emulator start", file=sys.stderr)
    if arguments.account:
        data.mkdir(parents=True, exist_ok=True)
        write_credentials(options, arguments.account)
    variables = local_environment(project, options, arguments.account)
    if arguments.guard:
        variables |= guard_environment(options)
    # Google's storage clients send no token to an emulator: as another account they must not think it is one.
    unset = ["STORAGE_EMULATOR_HOST"] if arguments.account else []
    if arguments.json:
        print(json.dumps({"set": variables, "unset": unset}))
        return 0
    for name in unset:
        print(f"unset {name}")
    for name, value in sorted(variables.items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _reset(project: Project, data: Path, arguments: argparse.Namespace) -> int:
    from tunestack.cli.terminal import confirmed
    from tunestack.emulator import process

    question = f"Remove everything in {data}: buckets, models, jobs, policies?"
    if not confirmed(question, yes=arguments.yes, need="`reset` removes what the emulator holds"):
        return 0
    options = process.reset(data)
    running = process.start(options) if options else None
    if arguments.json:
        print(json.dumps({"reset": True, **described(running, data)}))
    else:
        print(f"empty, and running again at {running.url}" if running else "empty")
        print("a stack that was built on it: `tunestack refresh` finds it gone", file=sys.stderr)
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
        project=project.project_id,
        base_model=project.base_model,
        trainer=project.trainer,
        enforce_iam=project.enforce_iam,
    )


def local_environment(
    project: Project, options: EmulatorOptions, account: str | None = None
) -> dict[str, str]:
    """Return the variables that make Google's clients, and Pulumi, use the emulator (as another ``account``)."""
    from tunestack.emulator.environment import environment

    return {**environment(options, account), **project.pulumi_environment()}


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
    return guarded_environment(project, options)


def guarded_environment(project: Project, options: EmulatorOptions) -> dict[str, str]:
    """Return the environment of the stack's program and plugins: the emulator's clients, and no way out."""
    from tunestack.emulator.egress import guard_environment

    return {**local_environment(project, options), **guard_environment(options)}
