"""``tunestack preview``: what `up` would do, in how many steps, and why a job would be retuned."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from tunestack.cli.choices import add_diff_arguments, add_selection_arguments, choices
from tunestack.cli.project import Project, add_stack_argument, find_project
from tunestack.cli.up import add_engine_arguments

if TYPE_CHECKING:
    from tunestack.plan import ResolvedPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    add_engine_arguments(parser)
    add_diff_arguments(parser)
    add_selection_arguments(parser, replace=True)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine
    from tunestack.cli.plan_table import planned_jobs, show_plan
    from tunestack.cli.terminal import console

    project = find_project(arguments.cwd, arguments.stack)
    plans = resolved_plans(project)
    engine = open_engine(project, arguments.engine, start_emulator=True)
    asked = choices(arguments)
    if arguments.json:
        digest = engine.digest(choices=asked)
        jobs = [job.as_json() for job in planned_jobs(plans, digest.steps)]
        print(json.dumps({**digest.document, "jobs": jobs}, indent=4))
        return digest.status
    status = engine.run("preview", color=arguments.color, choices=asked)
    if status == 0:
        shown = console(arguments.color)
        shown.print()
        show_plan(planned_jobs(plans, engine.digest(choices=asked).steps), shown)
    return status


def resolved_plans(project: Project) -> list[ResolvedPlan]:
    """Resolve the stack's jobs, as the program will. Raises TunestackError with every problem."""
    from datetime import UTC, datetime

    from tunestack.plan.project import resolve_jobs
    from tunestack.spec.stack import stack_file_places, stack_from_configuration

    places = stack_file_places(project.root / f"Pulumi.{project.stack}.yaml")
    values = {
        key.removeprefix("tunestack:"): value
        for key, value in project.configuration().items()
        if key.startswith("tunestack:")
    }
    stack = stack_from_configuration(project.stack, values, places)
    return resolve_jobs(project.root, stack, today=datetime.now(UTC).date())
