"""Pages of a sorted list, with opaque tokens."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from tunestack.emulator.errors import invalid

Json = dict[str, Any]


def page(
    rows: list[Json], size: int | None, token: str | None, default: int = 1000, at_most: int = 1000
) -> tuple[list[Json], str | None]:
    """One page and the token of the next.

    A token holds the last row's name and its place, so that rows removed in between do not make a page skip.
    """
    size = min(size or default, at_most)
    start = 0
    if token:
        place, _, name = _decoded(token).partition(":")
        names = [row["name"] for row in rows]
        start = names.index(name) + 1 if name in names else int(place)
    chosen = rows[start : start + size]
    if start + size >= len(rows):
        return chosen, None
    return chosen, base64.urlsafe_b64encode(f"{start + size}:{chosen[-1]['name']}".encode()).decode()


def _decoded(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.partition(":")[0].isdigit():
        raise invalid(f"Invalid page token: {token}")
    return text
