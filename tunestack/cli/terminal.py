"""The terminal: one console for all commands, wide enough for tables where the output is a file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_A_LOG = 120


def console(color: str = "auto") -> Console:
    """Return the console; ``color`` is auto, always or never; ``auto`` respects ``NO_COLOR`` in the environment."""
    from rich.console import Console

    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    return Console(
        color_system=None if plain else "auto",  # without bold and dim too, as the engine's display
        no_color=plain,
        force_terminal=True if color == "always" else None,
        width=None if sys.stdout.isatty() else WIDTH_OF_A_LOG,
        soft_wrap=False,
    )


def confirmed(question: str, *, yes: bool, need: str) -> bool:
    """Ask ``question``; No is the default. Without a terminal and without --yes it cannot be asked: an error."""
    from tunestack.spec.errors import Problem, TunestackError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise TunestackError(
            Problem(
                "not-confirmed",
                f"{need}, and there is no terminal to ask on",
                fix="add --yes if that is meant",
            ),
            exit_status=2,
        )
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
