"""Waiting for a job: progress on the row, a heartbeat, a deadline, and an end that is never forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tunestack.provider.resource import Call, Session
from tunestack.vertex.client import resource_id
from tunestack.vertex.errors import ResourceExhausted, ServiceFault
from tunestack.vertex.job import Job

T = TypeVar("T")
JobT = TypeVar("JobT", bound=Job)

DEFAULT_DEADLINE = 24 * 3600.0
"""Seconds after which we stop waiting where neither the program nor the engine says so; the job goes on."""

HEARTBEAT = 30.0
"""Seconds between lines that stay: continuous integration kills what is silent for minutes."""


class Interrupted(Exception):
    """The operation was cancelled (^C) while it waited."""


class DeadlinePassed(Exception):
    """The operation's own time is over."""


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks at a job: from ``first`` by ``factor`` up to ``ceiling``, anew at each state."""

    first: float
    factor: float
    ceiling: float


LOCAL_PACE = Pace(0.25, 1.5, 1.0)
GOOGLE_PACE = Pace(2.0, 1.3, 20.0)


async def unless_cancelled(work: Awaitable[T], cancelled: asyncio.Event) -> T:
    """The result of ``work``, which is given up where the operation is cancelled meanwhile. Raises ``Interrupted``."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Interrupted
    finally:
        for pending in (task, stop):
            pending.cancel()


async def follow(
    session: Session,
    call: Call,
    job: JobT,
    look: Callable[[], Awaitable[JobT]],
    *,
    show: bool,
    seen: Callable[[JobT], None],
) -> JobT:
    """Waits until a job is in a terminal state; ``seen`` gets each newer view of it.

    Raises ``Interrupted``, ``DeadlinePassed``, and ``GoogleError`` for answers that waiting does not mend.
    """
    timing = session.timing
    pace = LOCAL_PACE if session.configuration.local else GOOGLE_PACE
    end = timing.monotonic() + (call.deadline or DEFAULT_DEADLINE)
    pause, state, line, spoke = pace.first, "", "", timing.monotonic()
    while True:
        seen(job)
        now = timing.monotonic()
        if job.state != state:
            state, line, spoke, pause = job.state, job.progress, now, pace.first
            await call.log.info(f"{state} {resource_id(job.name)}")
        elif show and now - spoke >= HEARTBEAT and not job.rule.terminal:
            line, spoke = job.progress, now
            await call.log.info(line)
        elif show and job.progress != line:
            line = job.progress
            await call.log.status(line)
        if job.rule.terminal:
            return job
        if call.cancelled.is_set():
            raise Interrupted
        if now >= end:
            raise DeadlinePassed
        await session.pause(min(pause, max(0.0, end - now)), call.cancelled)
        pause = min(pace.ceiling, pause * pace.factor)
        if call.cancelled.is_set():
            raise Interrupted
        try:
            job = await unless_cancelled(look(), call.cancelled)
        except (ServiceFault, ResourceExhausted) as error:
            await call.log.status(f"no answer, still trying · {error.status}")
            pause = pace.ceiling
