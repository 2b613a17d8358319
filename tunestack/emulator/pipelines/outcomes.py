"""Scripted outcomes: what a coming job is to suffer, for tests and demonstrations of failure."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from tunestack.emulator.errors import RPC_CODES, invalid

Json = dict[str, Any]

_KEYS = {"displayName", "task", "afterStep", "state", "status", "message", "times"}


@dataclass
class Outcome:
    """Jobs whose display name fits end ``state`` (FAILED or CANCELLED) in ``task``, at once or after a step.

    ``status`` and ``message`` are the error's: RESOURCE_EXHAUSTED for a stockout, INTERNAL, ….
    """

    display_name: str = "*"
    task: str = "tune"
    after_step: int | None = None
    state: str = "FAILED"
    status: str = "INTERNAL"
    message: str = "Internal error occurred."
    times: int = 1
    used: int = 0

    def to_json(self) -> Json:
        return {
            "displayName": self.display_name,
            "task": self.task,
            "afterStep": self.after_step,
            "state": self.state,
            "status": self.status,
            "message": self.message,
            "times": self.times,
            "used": self.used,
        }


class Outcomes:
    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []

    def add(self, body: Json) -> Outcome:
        unknown = set(body) - _KEYS
        outcome = Outcome(
            display_name=body.get("displayName", "*"),
            task=body.get("task", "tune"),
            after_step=body.get("afterStep"),
            state=body.get("state", "FAILED"),
            status=body.get("status", "INTERNAL"),
            message=body.get("message", "Internal error occurred."),
            times=int(body.get("times", 1)),
        )
        if unknown or outcome.state not in ("FAILED", "CANCELLED") or outcome.status not in RPC_CODES:
            raise invalid(
                f"an outcome has the keys {sorted(_KEYS)}, state FAILED or CANCELLED, status one of {sorted(RPC_CODES)}"
            )
        self._outcomes.append(outcome)
        return outcome

    def take(self, display_name: str) -> Json | None:
        """The outcome for a job of this name, counted as used."""
        for outcome in self._outcomes:
            if outcome.used < outcome.times and fnmatch.fnmatchcase(display_name, outcome.display_name):
                outcome.used += 1
                return outcome.to_json()
        return None

    def clear(self) -> None:
        self._outcomes.clear()

    def to_json(self) -> list[Json]:
        return [outcome.to_json() for outcome in self._outcomes]
