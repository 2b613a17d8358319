"""Scripted outcomes: what a coming job is to suffer or to be spared, for tests and demonstrations."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from tunestack.emulator.database import Database
from tunestack.emulator.errors import RPC_CODES, invalid
from tunestack.emulator.jobs.states import ENDED, LIVE

Json = dict[str, Any]

# Ways to fail by name, with the google.rpc.Code that such a job carries. The words are ours: Google's were not
# recorded.
CAUSES = {
    "stockout": (
        "RESOURCE_EXHAUSTED",
        "The operation was stocked out: no capacity for the requested machines.",
    ),
    "quota": (
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for aiplatform.googleapis.com/global_concurrent_tuning_jobs.",
    ),
    "preemption": ("ABORTED", "The job was preempted."),
    "internal": ("INTERNAL", "Internal error occurred."),
    "unavailable": ("UNAVAILABLE", "The service is currently unavailable."),
    "deadline": ("DEADLINE_EXCEEDED", "The job did not end before its deadline."),
    "data": ("INVALID_ARGUMENT", "The training dataset is not fit for tuning: row 1 cannot be read."),
}


class Outcome(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What happens to the jobs that fit ``kind``, ``display_name`` and ``labels`` (patterns with ``*``).

    ``state`` is an end, or a live state that the job is held in until `Runner.move` or a cancellation.
    Without ``after_step`` nothing is trained: the state comes ``after_seconds`` of running. With it the job
    really trains until then. ``task`` is the pipeline's task that suffers it. ``cause`` is a short word for a
    ``status`` and ``message``.
    """

    kind: str = "*"
    display_name: str = "*"
    labels: dict[str, str] = {}
    task: str = "tune"
    after_step: int | None = None
    after_seconds: float = 0.0
    state: str = "FAILED"
    cause: str = "internal"
    status: str = ""
    message: str = ""
    times: int = 1
    used: int = 0

    def __post_init__(self) -> None:
        """What the fields' types do not say. Raises ValueError."""
        for name, known in (("cause", set(CAUSES)), ("state", ENDED | LIVE), ("status", {"", *RPC_CODES})):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {sorted(known - {''})}, not {getattr(self, name)!r}")
        if self.after_step is not None and self.state not in ("FAILED", "CANCELLED", "EXPIRED"):
            raise ValueError("afterStep goes with FAILED, CANCELLED and EXPIRED")
        status, message = CAUSES[self.cause]
        self.status, self.message = self.status or status, self.message or message

    @classmethod
    def from_json(cls, body: Json) -> Outcome:
        """Raises 400 where ``body`` is none. A key that is null is as if it were not there."""
        try:
            return msgspec.convert({key: value for key, value in body.items() if value is not None}, cls)
        except msgspec.ValidationError as error:
            raise invalid(f"not an outcome: {error}") from None

    def check(self, kinds: Mapping[str, frozenset[str]]) -> None:
        """Raises 400 where no kind of job fits, or none that does can come to the state."""
        fitting = fnmatch.filter(kinds, self.kind)
        if not fitting:
            close = difflib.get_close_matches(self.kind, kinds, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(kinds)}"
            raise invalid(f"no kind of job fits {self.kind!r}; {hint}")
        if not any(self.state in kinds[kind] for kind in fitting):
            states = sorted(set().union(*(kinds[kind] for kind in fitting)) & (ENDED | LIVE))
            raise invalid(
                f"{', '.join(fitting)} cannot come to {self.state}; they can to {', '.join(states)}"
            )

    def fits(self, kind: str, row: Json) -> bool:
        labels = row.get("labels", {})
        return (
            fnmatch.fnmatchcase(kind, self.kind)
            and (kind == "pipelineJobs" or self.task == "tune")
            and fnmatch.fnmatchcase(display_name(row), self.display_name)
            and all(fnmatch.fnmatchcase(labels.get(key, ""), value) for key, value in self.labels.items())
        )

    def to_json(self) -> Json:
        return dict(msgspec.to_builtins(self))


class Outcomes:
    """The outcomes that are set, in the order they were given. On disk, so that a killed emulator keeps them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        row = database.one("SELECT value FROM meta WHERE key = 'outcomes'")
        self._outcomes = [Outcome.from_json(body) for body in (orjson.loads(row[0]) if row else [])]

    def add(self, body: Json, kinds: Mapping[str, frozenset[str]]) -> Outcome:
        """Keep one more. ``kinds`` of jobs and the states that each can come to.

        Raises 400 also on an outcome that could never come about.
        """
        outcome = Outcome.from_json(body)
        outcome.check(kinds)
        self._outcomes.append(outcome)
        self._keep()
        return outcome

    def take(self, kind: str, states: frozenset[str], row: Json) -> Json | None:
        """The outcome for a new job, counted as used. One that this kind of job cannot come to is not for it."""
        for outcome in self._outcomes:
            if outcome.used < outcome.times and outcome.state in states and outcome.fits(kind, row):
                outcome.used += 1
                self._keep()
                return outcome.to_json()
        return None

    def clear(self) -> None:
        self._outcomes.clear()
        self._keep()

    def to_json(self) -> list[Json]:
        return [outcome.to_json() for outcome in self._outcomes]

    def _keep(self) -> None:
        text = orjson.dumps(self.to_json()).decode()
        self._database.execute("INSERT OR REPLACE INTO meta VALUES ('outcomes', ?)", text)


def display_name(row: Json) -> str:
    """What people call a job; a tuning job has only its model's name."""
    return str(row.get("displayName") or row.get("tunedModelDisplayName") or "")
