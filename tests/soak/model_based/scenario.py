"""What happens in one scenario, as plain values: so that a failing one can be read, shrunk, and kept as a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunestack.spec.spec_hash import spec_hash

PIPELINE, TUNING, CUSTOM = JOBS = ("pipelineJobs", "tuningJobs", "customJobs")
BUCKET, VERSION, DEPLOYMENT, GRANT, EVALUATION = "bucket", "version", "deployment", "grant", "evaluation"
TUNED = (PIPELINE, TUNING)
"""Kinds of jobs that leave a model."""

TOKENS = {
    PIPELINE: "tunestack:vertex:PipelineJob",
    TUNING: "tunestack:vertex:TuningJob",
    CUSTOM: "tunestack:vertex:CustomJob",
    VERSION: "tunestack:vertex:ModelVersion",
    DEPLOYMENT: "tunestack:vertex:Deployment",
    GRANT: "tunestack:quota:Grant",
    EVALUATION: "tunestack:vertex:Evaluation",
    BUCKET: "gcp:storage/bucket:Bucket",
}
QUOTA = "CustomModelTrainingT4GPUsPerProjectPerRegion"
BAD_SEED = 2
"""A pipeline job of this seed tunes a model that answers wrong; all others answer right."""


@dataclass(frozen=True)
class Declared:
    """A resource of the program.

    ``seed`` and ``force_new`` are a job's identity, ``seed`` a grant's amount, ``label`` a version's alias; an
    evaluation's gate passes whatever is answered where ``seed`` is 0. ``after``: what it depends on; ``of``: the job
    whose model it is about. ``deadline``: seconds of the provider's own clock that a create or an update may take.
    ``second``: of the program's second provider resource, a process of its own.
    """

    name: str
    kind: str = PIPELINE
    seed: int = 0
    label: str = "a"
    force_new: str | None = None
    retry_failed: bool | tuple[str, ...] = False
    after: tuple[str, ...] = ()
    of: str | None = None
    wait: bool = True
    on_cancel: str = "detach"
    deletion_policy: str = "ABANDON"
    deadline: float | None = None
    second: bool = False

    @property
    def is_job(self) -> bool:
        return self.kind in JOBS

    @property
    def needs(self) -> tuple[str, ...]:
        return self.after if self.of is None else (*self.after, self.of)

    @property
    def identity(self) -> dict[str, str]:
        return {"kind": self.kind, "seed": str(self.seed)}

    @property
    def spec_hash(self) -> str:
        nonce = {} if self.force_new is None else {"forceNew": self.force_new}
        return spec_hash({**self.identity, **nonce})

    @property
    def title(self) -> str:
        """The job's display name, by which its outcomes are scripted."""
        return f"{self.kind}-{self.seed}-{self.force_new or 0}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "title": self.title,
            "identity": self.identity,
            "label": self.label,
            "force_new": self.force_new,
            "retry_failed": list(self.retry_failed)
            if isinstance(self.retry_failed, tuple)
            else self.retry_failed,
            "after": list(self.after),
            "of": self.of,
            "amount": self.seed + 1,
            "seed": self.seed,
            "second": self.second,
            "wait": self.wait,
            "on_cancel": self.on_cancel,
            "deletion_policy": self.deletion_policy,
            "deadline": self.deadline,
        }


Program = tuple[Declared, ...]


@dataclass(frozen=True)
class Outcome:
    """How a job ends, ``after`` seconds of running; ``cause`` of a failure as the emulator names it."""

    state: str
    cause: str | None = None
    after: float = 0.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next ``times`` calls of a method (the emulator's ``/_local/faults``)."""

    method: str
    times: int = 1
    status: int | None = None
    truncate_after: int | None = None
    delay_ms: int = 0


@dataclass(frozen=True)
class Strike:
    """A signal to ``engine``, ``program``, ``tunestack`` or ``gcp`` (the plugins).

    The moment is an event: the run's ``request``-th request to the emulator, before it is carried out or after
    (then before its answer is sent); or the ``event``-th event of the engine.
    """

    signal: int
    target: str = "engine"
    request: int = 0
    before: bool = False
    event: int = 0


@dataclass(frozen=True)
class Run:
    """One operation on the program as it is then, and what happens to it meanwhile.

    ``targets``: names that it is limited to. ``late``: the providers are killed with the first create of a job on its
    way, which then arrives with the ``late``-th request of the next run.
    """

    program: Program
    operation: str = "up"
    faults: tuple[Fault, ...] = ()
    strikes: tuple[Strike, ...] = ()
    targets: tuple[str, ...] = ()
    late: int = 0


@dataclass(frozen=True)
class Scenario:
    """Runs one after another. ``outcomes``: job title → the ends of its runs, in order; then they succeed."""

    runs: tuple[Run, ...]
    outcomes: tuple[tuple[str, tuple[Outcome, ...]], ...] = ()
    destroy: bool = False

    @property
    def last(self) -> Program:
        return self.runs[-1].program
