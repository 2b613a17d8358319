"""What a command says: for people, or one JSON document for machines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def say(arguments: argparse.Namespace, document: Callable[[], Any], text: Callable[[], str]) -> None:
    """Print one of the two, as ``--json`` asks."""
    said = _indented(document()) if arguments.json else text()
    # Halves of characters, as in the name of a file that is not UTF-8, become \udcff: in JSON the right escape.
    print(said.encode("utf-8", "backslashreplace").decode())


def _indented(document: Any) -> str:
    """The document as `json.dumps(…, indent=2)` writes it; ten times as fast where every text is whole."""
    import msgspec

    try:
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    except UnicodeEncodeError:  # half of a character
        import json

        return json.dumps(document, indent=2, ensure_ascii=False)
