"""Random scenarios."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from model_based.scenario import (
    BUCKET,
    CUSTOM,
    DEPLOYMENT,
    EVALUATION,
    GRANT,
    PIPELINE,
    TUNED,
    TUNING,
    VERSION,
    Declared,
    Fault,
    Outcome,
    Program,
    Run,
    Scenario,
    Strike,
)

KINDS = (
    *(PIPELINE, PIPELINE, PIPELINE, TUNING, TUNING, CUSTOM, CUSTOM),
    *(BUCKET, VERSION, DEPLOYMENT, GRANT, EVALUATION, EVALUATION),
)
_VERTEX = "aiplatform.projects.locations"
_METHODS = {
    **{
        kind: tuple(
            f"{_VERTEX}.{kind}.{verb}"
            for verb in ("create", "create", "create", "list", "get", "cancel", *more)
        )
        for kind, more in ((PIPELINE, ("delete",)), (TUNING, ()), (CUSTOM, ("delete",)))
    },
    VERSION: (f"{_VERTEX}.models.get", f"{_VERTEX}.models.mergeVersionAliases"),
    DEPLOYMENT: tuple(
        f"{_VERTEX}.{method}"
        for method in (
            "endpoints.create",
            "endpoints.get",
            "endpoints.patch",
            "endpoints.deployModel",
            "endpoints.undeployModel",
            "endpoints.delete",
            "operations.get",
        )
    ),
    EVALUATION: (
        *(f"{_VERTEX}.endpoints.predict", f"{_VERTEX}.publishers.models.predict", f"{_VERTEX}.endpoints.get"),
        *("storage.objects.get", "storage.objects.insert"),
    ),
    GRANT: tuple(
        f"cloudquotas.projects.locations.quotaPreferences.{verb}"
        for verb in ("create", "patch", "get", "list")
    ),
}
_OPERATIONS = ("up", "up", "up", "up", "up", "refresh", "preview", "destroy")
_NAMES = ("a", "b", "c", "d")
_ENDS = (
    Outcome("FAILED", "data"),
    Outcome("FAILED", "stockout"),
    Outcome("FAILED", "internal", 0.02),
    Outcome("EXPIRED"),
    Outcome("PARTIALLY_SUCCEEDED"),
    Outcome("CANCELLED"),
    Outcome("CANCELLED", None, 0.03),
    Outcome("SUCCEEDED", None, 0.03),
)


def declared(draw: st.DrawFn, program: Program, name: str, kinds: Sequence[str]) -> Declared:
    """One resource more. What is about a model needs a job that is waited for."""
    kind = draw(st.sampled_from(kinds))
    kinds_of_jobs = {VERSION: TUNED, DEPLOYMENT: TUNED, EVALUATION: (PIPELINE,)}.get(kind)
    tuned = [item.name for item in program if item.kind in (kinds_of_jobs or ()) and item.wait]
    if kinds_of_jobs and not tuned:
        kind = PIPELINE
    of = draw(st.sampled_from(tuned)) if tuned else None
    after = tuple(other.name for other in program if other.name != of and draw(st.integers(0, 3)) == 0)
    second = kind != BUCKET and draw(st.integers(0, 3)) == 0
    item = Declared(name, kind, draw(st.integers(0, 2)), after=after, of=of, second=second)
    if not item.is_job or draw(st.integers(0, 2)):
        return item
    return replace(
        item,
        wait=draw(st.integers(0, 2)) > 0,
        on_cancel=draw(st.sampled_from(("detach", "detach", "cancel"))),
        deletion_policy=draw(st.sampled_from(("ABANDON", "DELETE"))),
        deadline=draw(st.sampled_from((None, None, 0.5, 30.0))),
    )


def programs(draw: st.DrawFn, kinds: Sequence[str]) -> Program:
    program: Program = ()
    for name in _NAMES[: draw(st.integers(1, 3))]:
        program = (*program, declared(draw, program, name, kinds))
    return program


_RETRIES = (True, True, ("stockout",), ("internal", "preemption"))
_EDITS = (
    *("nothing", "seed", "remove", "rename", "add", "label", "force_new", "retry_failed"),
    *("seed", "remove", "retry_failed", "add", "wait", "on_cancel", "deletion_policy", "deadline", "second"),
)


def edited(draw: st.DrawFn, program: Program, kinds: Sequence[str]) -> Program:
    """The program after one edit."""
    edit = draw(st.sampled_from(_EDITS))
    free = [name for name in _NAMES if name not in {item.name for item in program}]
    if edit == "add" and free:
        return (*program, declared(draw, program, free[0], kinds))
    if edit in ("nothing", "add") or not program:
        return program
    item = program[draw(st.integers(0, len(program) - 1))]
    if edit == "remove":
        return without(program, item.name)
    if edit == "rename" and free:
        swap = {item.name: free[0]}
        return tuple(
            replace(
                other,
                name=swap.get(other.name, other.name),
                after=tuple(swap.get(name, name) for name in other.after),
                of=swap.get(other.of or "", other.of),
            )
            for other in program
        )
    change: dict[str, Any] = {
        "seed": {"seed": (item.seed + 1) % 3},
        "label": {"label": "b" if item.label == "a" else "a"},
        "second": {"second": item.kind != BUCKET and not item.second},
    }.get(edit, {})
    if item.is_job:
        change |= {
            "force_new": {"force_new": "again" if item.force_new is None else None},
            "retry_failed": {"retry_failed": False if item.retry_failed else draw(st.sampled_from(_RETRIES))},
            "on_cancel": {"on_cancel": "cancel" if item.on_cancel == "detach" else "detach"},
            "deletion_policy": {
                "deletion_policy": "DELETE" if item.deletion_policy == "ABANDON" else "ABANDON"
            },
            "deadline": {"deadline": None if item.deadline else 0.5},
            "wait": {} if any(other.of == item.name for other in program) else {"wait": not item.wait},
        }.get(edit, {})
    return tuple(replace(other, **change) if other is item else other for other in program)


def without(program: Program, name: str) -> Program:
    """The program without a resource and what is about its model."""
    rest = [item for item in program if item.name != name]
    for dependent in [item.name for item in rest if item.of == name]:
        rest = [item for item in rest if item.name != dependent]
    names = {item.name for item in rest}
    return tuple(replace(item, after=tuple(n for n in item.after if n in names)) for item in rest)


def faults(draw: st.DrawFn, kinds: Sequence[str]) -> Fault:
    method = draw(
        st.sampled_from(_METHODS[draw(st.sampled_from([kind for kind in kinds if kind in _METHODS]))])
    )
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
    target = draw(
        st.sampled_from(("engine", "engine", "engine", "tunestack", "tunestack", "program", "program", "gcp"))
    )
    if target != "engine" and draw(st.booleans()):
        number = signal.SIGKILL
    if draw(st.booleans()):
        strike = Strike(number, target, request=draw(st.integers(1, 8)), before=draw(st.booleans()))
    else:
        strike = Strike(number, target, event=draw(st.integers(1, 16)))
    if target == "engine" and number != signal.SIGKILL and draw(st.integers(0, 3)) == 0:  # the second ^C
        moment = {"request": strike.request + 1} if strike.request else {"event": strike.event + 1}
        return strike, replace(strike, **moment)
    return (strike,)


@st.composite
def scenarios(draw: st.DrawFn, kinds: Sequence[str] = KINDS) -> Scenario:
    program = programs(draw, kinds)
    runs: list[Run] = []
    for number in range(draw(st.integers(1, 3))):
        awaited = bool(runs) and runs[-1].late > 0
        if number and not awaited:
            for _ in range(draw(st.integers(0, 2))):
                program = edited(draw, program, kinds)
        jobs = {item.kind for item in program if item.is_job}
        if jobs and draw(st.integers(0, 9)) == 0:
            runs.append(Run(program, late=draw(st.integers(1, 6 if jobs == {PIPELINE} else 2))))
            continue
        hurt = tuple(faults(draw, kinds) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
        struck = strikes(draw) if draw(st.integers(0, 2)) else ()
        operation = "up" if not number or awaited else draw(st.sampled_from(_OPERATIONS))
        targets = ()
        if operation == "up" and not awaited and draw(st.integers(0, 7)) == 0:
            targets = tuple(item.name for item in program if draw(st.booleans()))
        runs.append(Run(program, operation, hurt, struck, targets))
    titles = sorted({item.title for run in runs for item in run.program if item.is_job})
    outcomes = []
    for title in titles:
        ends = tuple(draw(st.sampled_from(_ENDS)) for _ in range(draw(st.sampled_from((0, 0, 1, 2)))))
        if ends:
            outcomes.append((title, ends))
    return Scenario(tuple(runs), tuple(outcomes), destroy=draw(st.integers(0, 3)) == 0)
