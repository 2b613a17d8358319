"""BigQuery's words for a query that it refuses."""

from __future__ import annotations

from tunestack.emulator.errors import ApiError


def refused(message: str, reason: str = "invalidQuery") -> ApiError:
    return ApiError("INVALID_ARGUMENT", message, reason=reason)


def place(query: str, offset: int) -> str:
    """``" at [line:column]"`` of a place in the query; both count from 1."""
    before = query[:offset]
    return f" at [{before.count(chr(10)) + 1}:{offset - (before.rfind(chr(10)) + 1) + 1}]"
