"""``tunestack refresh``: takes up what changed behind the stack's back."""

from __future__ import annotations

import argparse

from tunestack.cli.choices import add_diff_arguments, add_selection_arguments, choices
from tunestack.cli.project import add_stack_argument, find_project
from tunestack.cli.up import add_engine_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    add_engine_arguments(parser)
    parser.add_argument("--preview-only", action="store_true", help="only show what has drifted")
    parser.add_argument(
        "--clear-pending-creates",
        action="store_true",
        help="forget creates that an interrupted run left without an id, once you have seen to them",
    )
    parser.add_argument(
        "--import-pending-creates",
        action="append",
        nargs=2,
        default=[],
        metavar=("URN", "ID"),
        help="take what such a create made into the state, by its id",
    )
    add_diff_arguments(parser)
    add_selection_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, arguments.engine, start_emulator=True)
    return engine.run(
        "refresh", json_output=arguments.json, color=arguments.color, choices=choices(arguments)
    )
