"""How every command lays out its help."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress


def help_formatter(prog: str) -> argparse.HelpFormatter:
    """Descriptions and examples as they are written, options wrapped to the terminal.

    argparse asks for a formatter at each argument, and one that is not told its width imports shutil, with all its
    archive formats, to find it out.
    """
    return argparse.RawDescriptionHelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    """As `shutil.get_terminal_size` has it."""
    with suppress(KeyError, ValueError):
        if (asked := int(os.environ["COLUMNS"])) > 0:
            return asked
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # closed, or no terminal
        return 80
