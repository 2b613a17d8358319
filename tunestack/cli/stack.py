"""``tunestack stack``: the stack's state exported and imported, its outputs read."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.cli.project import add_stack_argument, find_project

if TYPE_CHECKING:
    from tunestack.cli.engines import Engine

_ENGINES = ("auto", "cli", "embedded")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    parser.set_defaults(engine="auto")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="print the deployment (version 3), for either engine")
    export.add_argument("--file", type=Path, help="write it here instead of to standard output")
    export.add_argument("--show-secrets", action="store_true", help="with secrets in plain text")
    taken = actions.add_parser("import", help="put an exported deployment in the place of the state")
    taken.add_argument("--file", type=Path, help="read it from here instead of from standard input")
    taken.add_argument("-f", "--force", action="store_true", help="even if it is not in order")
    output = actions.add_parser("output", help="show the outputs, or one of them")
    output.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    form = output.add_mutually_exclusive_group()
    form.add_argument("-j", "--json", action="store_true", help="for machines")
    form.add_argument("--shell", action="store_true", help="as assignments for a shell: name=value")
    output.add_argument("--show-secrets", action="store_true", help="with secrets in plain text")
    for action in (export, taken, output):
        add_stack_argument(action, again=True)
        action.add_argument(
            "--engine", choices=_ENGINES, default=argparse.SUPPRESS, help="whose state; auto: as for `up`"
        )


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, arguments.engine)
    if arguments.action == "export":
        return _export(engine, arguments)
    if arguments.action == "import":
        return _import(engine, arguments)
    return _output(engine, arguments)


def _export(engine: Engine, arguments: argparse.Namespace) -> int:
    text = json.dumps(engine.export(show_secrets=arguments.show_secrets), indent=4, ensure_ascii=False) + "\n"
    if arguments.file is None:
        sys.stdout.write(text)
    else:
        arguments.file.write_text(text, encoding="utf-8")
    return 0


def _import(engine: Engine, arguments: argparse.Namespace) -> int:
    from tunestack.spec.errors import Problem, TunestackError

    text = sys.stdin.read() if arguments.file is None else arguments.file.read_text(encoding="utf-8")
    where = "standard input" if arguments.file is None else str(arguments.file)
    try:
        exported = json.loads(text)
    except ValueError as error:
        raise TunestackError(
            Problem("not-a-deployment", f"not JSON: {error}", where, fix="give what `stack export` printed")
        ) from None
    for warning in engine.import_deployment(exported, force=arguments.force):
        print(f"warning: {warning}", file=sys.stderr)
    print("Import complete.")
    return 0


def _output(engine: Engine, arguments: argparse.Namespace) -> int:
    from tunestack.spec.errors import Problem, TunestackError

    outputs = dict(sorted(engine.outputs(show_secrets=arguments.show_secrets).items()))
    if arguments.name is not None:
        if arguments.name not in outputs:
            raise TunestackError(
                Problem(
                    "no-such-output",
                    f"current stack does not have output property '{arguments.name}'",
                    need=", ".join(outputs) or "a stack that was built",
                )
            )
        value = outputs[arguments.name]
        if arguments.shell:
            print(_assigned(arguments.name, value))
            return 0
        print(json.dumps(value, indent=2, ensure_ascii=False) if arguments.json else _worded(value))
    elif arguments.json:
        print(json.dumps(outputs, indent=2, ensure_ascii=False))
    elif arguments.shell:
        for name, value in outputs.items():
            print(_assigned(name, value))
    else:
        print(f"Current stack outputs ({len(outputs)}):")
        width = max([len(name) for name in outputs] + [len("OUTPUT")])
        rows = [("OUTPUT", "VALUE"), *((name, _worded(value)) for name, value in outputs.items())]
        for name, worded in rows if outputs else []:
            print(f"    {name:<{width}}  {worded}")
        if not outputs:
            print("    No output values currently in this stack")
    return 0


def _assigned(name: str, value: Any) -> str:
    """``name=value``, quoted for a shell where that is needed; the Pulumi CLI may quote the same text otherwise."""
    return f"{name}={shlex.quote(_worded(value))}"


def _worded(value: Any) -> str:
    """Text as it is, everything else as JSON, as the Pulumi CLI shows outputs."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
