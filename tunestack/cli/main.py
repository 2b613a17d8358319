"""Entry point: finds the command's module, runs it, shows what went wrong without a traceback."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NamedTuple

from tunestack.cli.help_formatter import help_formatter
from tunestack.spec.errors import TunestackError


class Command(NamedTuple):
    """One command: its module under ``tunestack.cli`` has ``add_arguments(parser)`` and ``run(arguments) -> int``."""

    name: str
    module: str
    summary: str


GROUPS: tuple[tuple[str, tuple[Command, ...]], ...] = (
    (
        "Build",
        (
            Command("preview", "preview", "say what `up` would create, retrain or delete, and why"),
            Command("up", "up", "build the stack: environments, tuned models, evaluations"),
            Command("refresh", "refresh", "take up what changed behind the stack's back"),
            Command("import", "import_resource", "take what exists already into the stack, by its id"),
            Command("down", "down", "destroy the stack; asks first where data would be lost"),
        ),
    ),
    (
        "Use",
        (
            Command("predict", "predict", "ask a tuned model (and its base) for an answer"),
            Command("stack", "stack", "export or import the stack's state, read its outputs"),
            Command("outputs", "outputs", "show what the stack built: models, endpoints, scores"),
            Command("jobs", "jobs", "list the stack's jobs, or watch them until all have ended"),
        ),
    ),
    ("Check", (Command("dataset", "dataset", "check, compile, split or compare datasets"),)),
    ("Local stack", (Command("emulator", "emulator", "start, stop or look at the stand-in for Google"),)),
)
# Importing and reading make objects by the thousand and no cycles among them; the usual 700 cost a check an eighth.
_COLLECTED_FROM = 50_000
COMMANDS = {command.name: command for _, commands in GROUPS for command in commands}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (0 good, 1 red, 2 cannot run)."""
    gc.set_threshold(_COLLECTED_FROM)
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        if arguments is None:
            gc.freeze()  # the process ends: its last collection has no object to look at, a tenth of a small check
        return status
    except BrokenPipeError:  # the reader of our output left (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    """Find the command that ``words`` name and run it; TunestackError and interrupts end here."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"tunestack {version('tunestack')}")
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        import difflib

        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        print(
            f"error: unknown command {words[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            file=sys.stderr,
        )
        print("  fix   tunestack --help", file=sys.stderr)
        return 2
    module = importlib.import_module(f"tunestack.cli.{command.module}")
    parser = ArgumentParser(
        prog=f"tunestack {command.name}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        formatter_class=help_formatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parsed = parser.parse_args(words[1:])
    try:
        status = module.run(parsed)
    except TunestackError as error:
        return _refused(error, as_json=getattr(parsed, "json", False))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        print(f"error: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return 1
    return int(status)


def usage() -> str:
    """Return the overview of all commands."""
    lines = [
        "tunestack: tuning environments for language models on Vertex AI, declared with Pulumi",
        "",
        "usage: tunestack COMMAND [options]        tunestack COMMAND --help for more",
    ]
    width = max(map(len, COMMANDS)) + 2
    for title, commands in GROUPS:
        lines += ["", title]
        lines += [f"  {command.name:<{width}}{command.summary}" for command in commands]
    lines += [
        "",
        "Most commands take --stack NAME (default: local, which needs no Google account) and --json.",
    ]
    return "\n".join(lines)


def _refused(error: TunestackError, *, as_json: bool) -> int:
    """Show ``error`` as a person, or with --json a machine, reads it."""
    if as_json:
        import json

        print(json.dumps({"problems": [problem._asdict() for problem in error.problems]}, indent=2))
    else:
        print("error: " + str(error), file=sys.stderr)
    return error.exit_status


if __name__ == "__main__":
    raise SystemExit(main())
