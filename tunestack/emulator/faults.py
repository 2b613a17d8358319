"""Faults by method id (patterns with ``*``): what a test or a demonstration wants to go wrong.

They are read back with how often they fired, and end with the process.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection
from typing import Annotated, Any

import msgspec

from tunestack.emulator.errors import ApiError, invalid, of_code

Json = dict[str, Any]

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Fault(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One fault. ``status`` answers an error before the method runs; ``truncateAfter`` lets it run and cuts
    its answer after that many bytes (0: the answer never arrives, though the work is done)."""

    method: str
    times: Annotated[int, msgspec.Meta(ge=1)] = 1
    fired: _Count = 0
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    message: str = ""
    reason: str | None = None
    details: list[Json] = []
    delay_ms: _Count = 0
    truncate_after: _Count | None = None

    def error(self) -> ApiError | None:
        if self.status is None:
            return None
        return of_code(
            self.status, self.message or f"injected fault on {self.method}", self.details, self.reason
        )

    def to_json(self) -> Json:
        return dict(msgspec.to_builtins(self))


class Faults:
    """The faults that are set, in the order they were given."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, body: Json, known: Collection[str]) -> Fault:
        """From ``{"method", "times", "status", "details", "delayMs", "truncateAfter"}``.

        Raises 400 on another key or value, and on a method that is none of the ``known``: it would never fire.
        """
        given = {key: value for key, value in body.items() if value is not None}
        try:
            fault = msgspec.convert({**given, "fired": 0}, Fault)
        except msgspec.ValidationError as error:
            raise invalid(f"not a fault: {error}") from None
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
