"""Moments of time as state writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Now, in RFC 3339 with microseconds, as ``2026-11-22T17:09:46.388353Z``."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
