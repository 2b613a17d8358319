"""Which of the jobs with our spec hash is ours: never submit what runs, ran, or was stopped by hand. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tunestack.vertex.job import Job
from tunestack.vertex.job_state import Outcome, retry_allowed

JobT = TypeVar("JobT", bound=Job)


@dataclass(frozen=True)
class Choice(Generic[JobT]):
    """``job``: the one to take over, None = submit; ``others``: jobs with the same hash that stay as they are."""

    job: JobT | None
    others: Sequence[JobT] = ()


def choose(
    jobs: Sequence[JobT], models: Collection[str], *, retry_failed: bool | Collection[str]
) -> Choice[JobT]:
    """The newest succeeded job whose model is among ``models``; else the newest live one.

    Else the newest that ended red or is being cancelled: it stays red until ``retry_failed`` (True, or the cause of
    its end among those listed) asks for another run, so that a job which someone stopped is not paid for again
    because our state was lost. It does not count when a later run succeeded (and its model was then deleted): that
    red end was already answered.
    """
    newest = sorted(jobs, key=lambda job: (job.created, job.name), reverse=True)
    succeeded = [job for job in newest if job.rule.outcome is Outcome.SUCCESS]
    usable = [job for job in succeeded if not job.model or job.model in models]
    live = [job for job in newest if job.rule.outcome is Outcome.LIVE and job.rule.adoptable]
    stopped = [job for job in newest if not job.rule.adoptable]
    if succeeded and stopped and stopped[0].created <= succeeded[0].created:
        stopped = []
    if stopped and retry_allowed(stopped[0].state, stopped[0].error_code, retry_failed):
        stopped = []
    candidates = usable or live or stopped
    if not candidates:
        return Choice(None, newest)
    chosen = candidates[0]
    return Choice(chosen, [job for job in newest if job is not chosen])
