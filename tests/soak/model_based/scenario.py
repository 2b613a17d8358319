"""What happens in one scenario, as plain values: so that a failing one can be read, shrunk, and kept as a test."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tunestack.spec.spec_hash import spec_hash

PIPELINE, TUNING, CUSTOM = JOBS = ("pipelineJobs", "tuningJobs", "customJobs")
BUCKET = "bucket"


@dataclass(frozen=True)
class Declared:
    """A resource of the program. ``seed`` and ``force_new`` are a job's identity; ``after``: what it depends on."""

    name: str
    kind: str = PIPELINE
    seed: int = 0
    label: str = "a"
    force_new: str | None = None
    retry_failed: bool = False
    after: tuple[str, ...] = ()

    @property
    def is_job(self) -> bool:
        return self.kind != BUCKET

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
            "retry_failed": self.retry_failed,
            "after": list(self.after),
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
    """One operation on the program as it is then, and what happens to it meanwhile."""

    program: Program
    operation: str = "up"
    faults: tuple[Fault, ...] = ()
    strikes: tuple[Strike, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """Runs one after another. ``outcomes``: job title → the ends of its runs, in order; then they succeed."""

    runs: tuple[Run, ...]
    outcomes: tuple[tuple[str, tuple[Outcome, ...]], ...] = ()
    destroy: bool = False

    @property
    def last(self) -> Program:
        return self.runs[-1].program


# -- strategies --

_METHODS = {
    PIPELINE: ("create", "create", "create", "list", "get", "cancel", "delete"),
    TUNING: ("create", "create", "create", "list", "get", "cancel"),
    CUSTOM: ("create", "create", "create", "list", "get", "cancel", "delete"),
}
_NAMES = ("a", "b", "c", "d")
_ENDS = (
    Outcome("FAILED", "data"),
    Outcome("FAILED", "stockout"),
    Outcome("FAILED", "internal", 0.02),
    Outcome("CANCELLED"),
    Outcome("CANCELLED", None, 0.03),
    Outcome("SUCCEEDED", None, 0.03),
)


def programs(draw: st.DrawFn, kinds: Sequence[str]) -> Program:
    count = draw(st.integers(1, 3))
    program: list[Declared] = []
    for name in _NAMES[:count]:
        after = tuple(other.name for other in program if draw(st.integers(0, 3)) == 0)
        kind = draw(st.sampled_from(kinds))
        program.append(Declared(name, kind, draw(st.integers(0, 2)), after=after))
    return tuple(program)


def edited(draw: st.DrawFn, program: Program, kinds: Sequence[str]) -> Program:
    """The program after one edit."""
    edit = draw(
        st.sampled_from(("nothing", "seed", "remove", "rename", "add", "label", "force_new", "retry_failed"))
    )
    free = [name for name in _NAMES if name not in {item.name for item in program}]
    if edit == "add" and free:
        return (*program, Declared(free[0], draw(st.sampled_from(kinds)), draw(st.integers(0, 2))))
    if edit in ("nothing", "add") or not program:
        return program
    at = draw(st.integers(0, len(program) - 1))
    item = program[at]
    if edit == "remove":
        rest = [*program[:at], *program[at + 1 :]]
        return tuple(replace(r, after=tuple(name for name in r.after if name != item.name)) for r in rest)
    if edit == "rename" and free:
        renamed = [replace(r, name=free[0]) if r is item else r for r in program]
        swap = {item.name: free[0]}
        return tuple(replace(r, after=tuple(swap.get(name, name) for name in r.after)) for r in renamed)
    change: dict[str, Any] = {
        "seed": {"seed": (item.seed + 1) % 3},
        "label": {"label": "b" if item.label == "a" else "a"},
        "force_new": {"force_new": "again" if item.force_new is None else None},
        "retry_failed": {"retry_failed": not item.retry_failed},
    }.get(edit, {})
    return tuple(replace(r, **change) if r is item else r for r in program)


def faults(draw: st.DrawFn, kinds: Sequence[str]) -> Fault:
    kind = draw(st.sampled_from([kind for kind in kinds if kind in _METHODS]))
    method = f"aiplatform.projects.locations.{kind}.{draw(st.sampled_from(_METHODS[kind]))}"
    times = draw(st.sampled_from((1, 1, 2, 8)))
    return draw(
        st.sampled_from(
            (
                Fault(method, times, truncate_after=0),
                Fault(method, times, status=503),
                Fault(method, times, status=429),
                Fault(method, times, truncate_after=20),
                Fault(method, times, status=500),
                Fault(method, times, delay_ms=20),
            )
        )
    )


def strikes(draw: st.DrawFn) -> tuple[Strike, ...]:
    number = draw(st.sampled_from((signal.SIGINT, signal.SIGKILL, signal.SIGTERM)))
    target = draw(st.sampled_from(("engine", "engine", "tunestack", "program")))
    if target != "engine":
        number = signal.SIGKILL
    if draw(st.booleans()):
        strike = Strike(number, target, request=draw(st.integers(1, 8)), before=draw(st.booleans()))
    else:
        strike = Strike(number, target, event=draw(st.integers(1, 16)))
    if number != signal.SIGKILL and draw(st.integers(0, 3)) == 0:  # the second ^C
        moment = {"request": strike.request + 1} if strike.request else {"event": strike.event + 1}
        return strike, replace(strike, **moment)
    return (strike,)


@st.composite
def scenarios(
    draw: st.DrawFn, kinds: Sequence[str] = (PIPELINE, PIPELINE, TUNING, CUSTOM, BUCKET)
) -> Scenario:
    program = programs(draw, kinds)
    runs = []
    for number in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(0, 2)) if number else 0):
            program = edited(draw, program, kinds)
        hurt = tuple(faults(draw, kinds) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
        struck = strikes(draw) if draw(st.integers(0, 2)) else ()
        operation = draw(st.sampled_from(("up", "up", "up", "up", "refresh"))) if number else "up"
        runs.append(Run(program, operation, hurt, struck))
    titles = sorted({item.title for run in runs for item in run.program if item.is_job})
    outcomes = []
    for title in titles:
        ends = tuple(draw(st.sampled_from(_ENDS)) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
        if ends:
            outcomes.append((title, ends))
    return Scenario(tuple(runs), tuple(outcomes), destroy=draw(st.integers(0, 3)) == 0)
