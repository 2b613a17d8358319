"""Faults by method id (patterns with ``*``): what a test or a demonstration wants to go wrong.

They are read back with how often they fired, and end with the process.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tunestack.emulator.errors import ApiError, invalid, of_code

Json = dict[str, Any]

_KEYS = {"method", "times", "status", "message", "reason", "details", "delayMs", "truncateAfter"}


@dataclass
class Fault:
    """One fault. ``status`` answers an error before the method runs; ``truncateAfter`` lets it run and cuts
    its answer after that many bytes (0: the answer never arrives, though the work is done)."""

    method: str
    times: int = 1
    status: int | None = None
    message: str = ""
    reason: str | None = None
    details: list[Json] = field(default_factory=list)
    delay_ms: int = 0
    truncate_after: int | None = None
    fired: int = 0

    def error(self) -> ApiError | None:
        if self.status is None:
            return None
        return of_code(
            self.status, self.message or f"injected fault on {self.method}", self.details, self.reason
        )

    def to_json(self) -> Json:
        return {
            "method": self.method,
            "times": self.times,
            "fired": self.fired,
            "status": self.status,
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "delayMs": self.delay_ms,
            "truncateAfter": self.truncate_after,
        }


class Faults:
    """The faults that are set, in the order they were given."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, body: Json, known: Collection[str]) -> Fault:
        """From ``{"method", "times", "status", "details", "delayMs", "truncateAfter"}``.

        Raises 400 on another key, and on a method that is none of the ``known``: it would never fire.
        """
        unknown = set(body) - _KEYS
        if unknown or not isinstance(body.get("method"), str):
            raise invalid(
                f"a fault has the keys {sorted(_KEYS)}; method is required; unknown: {sorted(unknown)}"
            )
        fault = Fault(
            method=body["method"],
            times=int(body.get("times", 1)),
            status=body.get("status"),
            message=body.get("message", ""),
            reason=body.get("reason"),
            details=body.get("details", []),
            delay_ms=int(body.get("delayMs", 0)),
            truncate_after=body.get("truncateAfter"),
        )
        if not fnmatch.filter(known, fault.method):
            close = difflib.get_close_matches(fault.method, known, n=3)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise invalid(f"no method of Google's that is served here fits {fault.method!r}{hint}")
        self._faults.append(fault)
        return fault

    def fire(self, method: str) -> Fault | None:
        """The next fault of a method, counted as fired."""
        for fault in self._faults:
            if fault.fired < fault.times and fnmatch.fnmatchcase(method, fault.method):
                fault.fired += 1
                return fault
        return None

    def clear(self) -> None:
        self._faults.clear()

    def to_json(self) -> list[Json]:
        return [fault.to_json() for fault in self._faults]
