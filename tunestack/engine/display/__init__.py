"""Showing an operation while it runs: lines for logs, a live tree for terminals, JSON for machines.

Displays are given the engine's events (`tunestack.engine.run`'s ``on_event``) and closed at the end::

    with create_display(Operation.UP, "dev", sys.stdout) as display:
        result = await run(Operation.UP, options, display.event)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tunestack.engine.display.full import FullDisplay
from tunestack.engine.display.lines import LineDisplay
from tunestack.engine.display.model import seconds, short_type
from tunestack.engine.display.properties import step_lines
from tunestack.engine.display.text import Display, JsonDisplay, SilentDisplay, TextDisplay
from tunestack.engine.display.tree import TreeDisplay
from tunestack.engine.options import Operation, OperationResult

__all__ = [
    "Display",
    "JsonDisplay",
    "create_display",
    "preview_digest",
    "render_steps",
    "seconds",
    "short_type",
]


def create_display(
    operation: Operation,
    stack: str,
    stream: TextIO,
    *,
    color: str = "auto",
    interactive: bool | None = None,
    as_json: bool = False,
    preview_only: bool = False,
    in_full: bool = False,
    suppress_outputs: bool = False,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Display:
    """The display that suits: a tree on a terminal, lines elsewhere, events or nothing with `as_json`.

    Args:
        operation: what is run; with `as_json` a preview shows nothing (print `preview_digest` at its end).
        stack: its name, for the heading.
        stream: where to.
        color: ``auto``, ``always`` or ``never``; ``NO_COLOR`` in the environment is respected by ``auto``.
        interactive: a live tree or not; None asks the stream.
        as_json: for machines.
        preview_only: of a refresh or destroy, only shown what it would do.
        in_full: every change property by property (``--diff``) in place of the tree or the lines.
        suppress_outputs: leave the stack's outputs out, as the CLI's flag of that name does.
        environment: in place of ``os.environ``.
        clock: seconds, monotonic.
    """
    preview = operation is Operation.PREVIEW or preview_only
    if as_json:
        return SilentDisplay() if preview else JsonDisplay(stream)
    environment = os.environ if environment is None else environment
    terminal = stream.isatty()
    colored = color == "always" or (color == "auto" and terminal and not environment.get("NO_COLOR"))
    console = Console(
        file=stream,
        color_system=("truecolor" if color == "always" else "auto") if colored else None,
        force_terminal=True if color == "always" else None,
        no_color=not colored,
        highlight=False,
        markup=False,
    )
    live = terminal and environment.get("TERM") != "dumb" if interactive is None else interactive
    kind: type[TextDisplay] = FullDisplay if in_full else TreeDisplay if live else LineDisplay
    display = kind(operation, stack, console, clock, preview)
    display.suppress_outputs = suppress_outputs
    return display


def preview_digest(result: OperationResult) -> dict[str, Any]:
    """What ``pulumi preview --json`` prints."""
    digest: dict[str, Any] = {"config": result.configuration, "steps": result.steps}
    if result.diagnostics:
        digest["diagnostics"] = result.diagnostics
    digest["duration"] = int(result.duration_seconds * 1e9)
    digest["changeSummary"] = result.change_summary
    return digest


def render_steps(result: OperationResult) -> Text:
    """The steps in full, property by property, as ``pulumi preview --diff``."""
    lines = [
        line
        for step in result.steps
        if step["op"] != "same"
        for line in step_lines(
            step["op"],
            step["urn"],
            step.get("oldState") or {},
            step.get("newState") or {},
            reasons=step.get("replaceReasons") or (),
            changed=step.get("diffReasons") or (),
            hidden=(step.get("newState") or {}).get("hideDiff") or (),
        )
    ]
    return Text("\n").join(lines)
