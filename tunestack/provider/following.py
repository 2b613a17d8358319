"""Waiting for a job: progress on the row, a heartbeat, a deadline, and an end that is never forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tunestack.provider.resource import Call, Session
from tunestack.provider.watching import AT_THE_MOMENT, Interrupted, unless_cancelled
from tunestack.vertex.client import resource_id
from tunestack.vertex.errors import ResourceExhausted, ServiceFault
from tunestack.vertex.job import Job

__all__ = ["DEFAULT_DEADLINE", "HEARTBEAT", "DeadlinePassed", "Interrupted", "follow", "unless_cancelled"]

JobT = TypeVar("JobT", bound=Job)

DEFAULT_DEADLINE = 24 * 3600.0
"""Seconds after which we stop waiting where neither the program nor the engine says so; the job goes on."""

HEARTBEAT = 30.0
"""Seconds between lines that stay: continuous integration kills what is silent for minutes."""


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
JITTER = 0.2
"""Share of a pause that chance decides: jobs submitted together are not looked at in step for ever."""


async def follow(
    session: Session, call: Call, job: JobT, *, show: bool, seen: Callable[[JobT], None]
) -> JobT:
    """Waits until a job is in a terminal state; ``seen`` gets each newer view of it. Looks together with all others.

    Raises ``Interrupted``, ``DeadlinePassed``, and ``GoogleError`` for answers that waiting does not mend.
    """
    timing = session.timing
    watch = session.watches.of(job, call.cancelled)
    pace = LOCAL_PACE if session.configuration.local else GOOGLE_PACE
    end = timing.monotonic() + (call.deadline or DEFAULT_DEADLINE)
    pause, state, line, spoke = pace.first, "", "", timing.monotonic()
    fault = ""
    while True:
        now = timing.monotonic()
        progress = fault or job.progress
        if job.state != state:
            state, line, spoke, pause = job.state, progress, now, pace.first
            await call.log.info(f"{state} {resource_id(job.name)}")
            if show and not job.rule.terminal:
                await call.log.status(line)
        elif show and now - spoke >= HEARTBEAT and not job.rule.terminal:
            line, spoke = progress, now
            await call.log.info(line)
        elif (show or fault) and progress != line:
            line = progress
            await call.log.status(line)
        if job.rule.terminal:
            return job
        if call.cancelled.is_set():
            raise Interrupted
        if end - now <= AT_THE_MOMENT:
            raise DeadlinePassed
        try:
            job = await watch.look(job, min(end, now + pause * (1 - JITTER * timing.chance())))
        except (ServiceFault, ResourceExhausted) as error:
            fault = f"no answer, still trying · {error.status}"
        else:
            fault = ""
            seen(job)
        pause = min(pace.ceiling, pause * pace.factor)
