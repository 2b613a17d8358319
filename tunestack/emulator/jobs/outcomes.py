"""Scripted outcomes: what a coming job is to suffer or to be spared, for tests and demonstrations."""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from tunestack.emulator.database import Database
from tunestack.emulator.errors import RPC_CODES, invalid
from tunestack.emulator.jobs.states import ENDED, LIVE
from tunestack.emulator.schema import camel, snake

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


@dataclass
class Outcome:
    """What happens to the jobs that fit ``kind``, ``display_name`` and ``labels`` (patterns with ``*``).

    ``state`` is an end, or a live state that the job is held in until `Outcomes.move` or a cancellation.
    Without ``after_step`` nothing is trained: the state comes ``after_seconds`` of running. With it the job
    really trains until then. ``task`` is the pipeline's task that suffers it. ``cause`` is a short word for a
    ``status`` and ``message``.
    """

    kind: str = "*"
    display_name: str = "*"
    labels: dict[str, str] = field(default_factory=dict)
    task: str = "tune"
    after_step: int | None = None
    after_seconds: float = 0.0
    state: str = "FAILED"
    cause: str | None = None
    status: str = "INTERNAL"
    message: str = CAUSES["internal"][1]
    times: int = 1
    used: int = 0

    @classmethod
    def from_json(cls, body: Json) -> Outcome:
        """Raises 400 with every rule that ``body`` breaks."""
        names = {camel(item.name) for item in fields(cls)}
        unknown = sorted(set(body) - names)
        values = {snake(key): value for key, value in body.items() if key in names and value is not None}
        cause = values.get("cause")
        if cause in CAUSES:
            values = {"status": CAUSES[cause][0], "message": CAUSES[cause][1], **values}
        outcome = cls(**values)
        problems = [f"unknown: {unknown}"] if unknown else []
        if cause is not None and cause not in CAUSES:
            problems.append(f"cause is one of {sorted(CAUSES)}")
        if outcome.state not in ENDED | LIVE:
            problems.append(f"state is one of {sorted(ENDED | LIVE)}")
        if outcome.status not in RPC_CODES:
            problems.append(f"status is one of {sorted(RPC_CODES)}")
        if outcome.after_step is not None and outcome.state not in ("FAILED", "CANCELLED", "EXPIRED"):
            problems.append("afterStep goes with FAILED, CANCELLED and EXPIRED")
        if problems:
            raise invalid(f"an outcome has the keys {sorted(names)}; {'; '.join(problems)}")
        return outcome

    def fits(self, kind: str, row: Json) -> bool:
        labels = row.get("labels", {})
        return (
            fnmatch.fnmatchcase(kind, self.kind)
            and (kind == "pipelineJobs" or self.task == "tune")
            and fnmatch.fnmatchcase(display_name(row), self.display_name)
            and all(fnmatch.fnmatchcase(labels.get(key, ""), value) for key, value in self.labels.items())
        )

    def to_json(self) -> Json:
        return {camel(key): value for key, value in asdict(self).items()}


class Outcomes:
    """The outcomes that are set, in the order they were given. On disk, so that a killed emulator keeps them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        row = database.one("SELECT value FROM meta WHERE key = 'outcomes'")
        self._outcomes = [Outcome.from_json(body) for body in (orjson.loads(row[0]) if row else [])]

    def add(self, body: Json) -> Outcome:
        outcome = Outcome.from_json(body)
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
