"""What a command says: for people, or one JSON document for machines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def say(arguments: argparse.Namespace, document: Callable[[], Any], text: Callable[[], str]) -> None:
    """Print one of the two, as ``--json`` asks."""
    if arguments.json:
        import json

        said = json.dumps(document(), indent=2, ensure_ascii=False)
    else:
        said = text()
    # Halves of characters, as in the name of a file that is not UTF-8, become \udcff: in JSON the right escape.
    print(said.encode("utf-8", "backslashreplace").decode())
