"""``tunestack up``: builds the stack, waits for its models, judges them."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from tunestack.cli.choices import add_diff_arguments, add_selection_arguments, choices
from tunestack.cli.project import add_stack_argument, find_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    add_engine_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not show a preview and ask first")
    add_diff_arguments(parser)
    add_selection_arguments(parser, replace=True)


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs the program."""
    parser.add_argument(
        "--engine",
        choices=("auto", "cli", "embedded"),
        default="auto",
        help="the Pulumi CLI, or the embedded engine (local stacks only); auto: the CLI where it is on PATH",
    )
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("--json", action="store_true", help="the engine's events, for machines")
    parser.add_argument(
        "-p",
        "--parallel",
        type=_positive,
        metavar="N",
        help="work on this many resources at once (default: the engine's)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine
    from tunestack.cli.plan_table import planned_jobs, show_plan
    from tunestack.cli.preview import resolved_plans
    from tunestack.cli.summary import show_summary
    from tunestack.cli.terminal import confirmed, console

    started = time.monotonic()
    asked = choices(arguments)
    project = find_project(arguments.cwd, arguments.stack)
    plans = resolved_plans(project)  # a bad row, a misspelt region: said before anything is started
    engine = open_engine(project, arguments.engine, start_emulator=True)
    shown = console(arguments.color)
    if not arguments.json:
        shown.print(
            f"[dim]stack {project.stack} · {engine.name} · {project.endpoint or 'Google'}[/dim]",
            highlight=False,
        )
        if arguments.yes:
            show_plan(planned_jobs(plans, []), shown, with_action=False)
        else:
            # That changes are not expected is held against what `up` does, not against what it would do.
            shown_first = replace(asked, expect_no_changes=False)
            status = engine.run("preview", color=arguments.color, choices=shown_first)
            if status:
                return status
            show_plan(planned_jobs(plans, engine.digest(choices=shown_first).steps), shown)
    if not confirmed("Build this?", yes=arguments.yes, need="`up` builds resources and may spend money"):
        return 0
    status = engine.run("up", json_output=arguments.json, color=arguments.color, choices=asked)
    if not arguments.json:
        if status == 0:
            show_summary(engine.outputs(), shown, seconds=time.monotonic() - started)
        else:
            shown.print(
                f"[red]up is red (exit {status}).[/red] Mend what is said above and run it again: "
                "what stands is kept."
            )
    return status
