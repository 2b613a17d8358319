"""``tunestack outputs``: what the stack built."""

from __future__ import annotations

import argparse
import json

from tunestack.cli.project import add_stack_argument, find_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    parser.add_argument("--json", action="store_true", help="everything, for machines")


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine

    project = find_project(arguments.cwd, arguments.stack)
    outputs = open_engine(project, "auto").outputs()
    if arguments.json:
        print(json.dumps(outputs, indent=2, sort_keys=True))
        return 0
    if not outputs:
        print(f"stack {arguments.stack} has nothing built; run: tunestack up --stack {arguments.stack}")
        return 1
    from tunestack.cli.summary import show_summary
    from tunestack.cli.terminal import console

    show_summary(outputs, console(), seconds=None)
    return 0
