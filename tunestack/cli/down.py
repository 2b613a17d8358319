"""``tunestack down``: destroys the stack, after saying what would be lost; leaves nothing running."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from tunestack.cli.choices import add_selection_arguments, choices
from tunestack.cli.project import add_stack_argument, find_project
from tunestack.cli.up import add_engine_arguments

# Types whose destruction loses something that cannot be declared again.
LOSSES = {
    "tunestack:vertex:PipelineJob": "tuned model",
    "tunestack:vertex:Evaluation": "evaluation",
    "gcp:storage/bucket:Bucket": "bucket with its objects",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stack_argument(parser)
    add_engine_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask, even where data is lost")
    parser.add_argument("--preview-only", action="store_true", help="only show what would be destroyed")
    add_selection_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine
    from tunestack.cli.terminal import confirmed, console

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, arguments.engine, start_emulator=True)
    shown = console(arguments.color)
    asked = choices(arguments)
    if asked.preview_only:
        return engine.run("destroy", json_output=arguments.json, color=arguments.color, choices=asked)
    resources = engine.resources()
    if asked.limited:
        going = {step["urn"] for step in engine.digest("destroy", asked).steps if step["op"] == "delete"}
        resources = [resource for resource in resources if resource["urn"] in going]
    lost = losses(resources)
    if lost and not arguments.json:
        shown.print(f"[bold]This destroys stack {project.stack}, and with it for good:[/bold]")
        for line in lost:
            shown.print(f"  - {line}", highlight=False)
    if lost and not confirmed("Destroy them?", yes=arguments.yes, need="`down` loses data"):
        shown.print("nothing was destroyed")
        return 1
    status = engine.run("destroy", json_output=arguments.json, color=arguments.color, choices=asked)
    if status == 0 and not asked.limited and project.endpoint is not None:
        from tunestack.emulator import process

        if process.stop(project.emulator_data) and not arguments.json:
            shown.print("emulator stopped; nothing of this stack is running")
    return status


def losses(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is lost with ``resources`` (a deployment's), one line each."""
    lines = []
    for resource in resources:
        kind = LOSSES.get(str(resource.get("type")))
        if kind is None or resource.get("delete"):
            continue
        name = str(resource["urn"]).rpartition("::")[2]
        outputs = resource.get("outputs") or {}
        if resource["type"] == "tunestack:vertex:PipelineJob":
            if outputs.get("deletionPolicy") == "ABANDON":
                continue
            lines.append(f"{kind} {name} ({outputs.get('model') or resource.get('id')})")
        elif resource["type"] == "gcp:storage/bucket:Bucket":
            if not outputs.get("forceDestroy"):
                continue
            lines.append(f"{kind} {outputs.get('url') or name}")
    return lines
