"""``tunestack import``: takes what exists already into the stack, by its id."""

from __future__ import annotations

import argparse

from tunestack.cli.project import add_stack_argument, find_project
from tunestack.cli.up import add_engine_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="such as tunestack:vertex:PipelineJob")
    parser.add_argument("name", metavar="NAME", help="what the program calls it")
    parser.add_argument(
        "id", metavar="ID", help="what Google calls it: the full resource name, or a bucket's name"
    )
    parser.add_argument(
        "--protect",
        nargs="?",
        const=True,
        default=True,
        type=_truth,
        metavar="true|false",
        help="keep it from being deleted (default: true)",
    )
    parser.add_argument("--parent", default="", metavar="URN", help="the component it belongs to")
    parser.add_argument("--provider", default="", metavar="URN", help="the explicit provider that serves it")
    add_stack_argument(parser)
    add_engine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine
    from tunestack.cli.pulumi_cli import Imported
    from tunestack.cli.terminal import console

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, arguments.engine, start_emulator=True)
    resource = Imported(
        arguments.type, arguments.name, arguments.id, arguments.protect, arguments.parent, arguments.provider
    )
    status = engine.import_resource(resource, json_output=arguments.json, color=arguments.color)
    if status == 0 and not arguments.json:
        protected = ", with protect=True" if arguments.protect else ""
        console(arguments.color).print(
            f"Now declare it in the program as {arguments.name!r} ({arguments.type}){protected}; "
            "`tunestack preview` shows what differs.",
            highlight=False,
            markup=False,
        )
    return status


def _truth(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
