"""``tunestack refresh``: takes up what changed behind the stack's back."""

from __future__ import annotations

import argparse

from tunestack.cli.project import add_stack_argument, find_project
from tunestack.cli.up import add_engine_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    add_engine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, arguments.engine, start_emulator=True)
    return engine.run("refresh", json_output=arguments.json, color=arguments.color)
