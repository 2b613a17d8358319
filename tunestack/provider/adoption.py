"""Which of the jobs with our spec hash is ours: never submit what runs, ran, or was stopped by hand. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunestack.vertex.job_state import Outcome
from tunestack.vertex.pipeline_job import PipelineJob


@dataclass(frozen=True)
class Choice:
    """``job``: the one to take over, None = submit; ``others``: jobs with the same hash that stay as they are."""

    job: PipelineJob | None
    others: Sequence[PipelineJob] = ()


def choose(jobs: Sequence[PipelineJob], models: Collection[str], *, retry_failed: bool) -> Choice:
    """The newest succeeded job whose model is among ``models``; else the newest live one.

    Else the newest that ended red or is being cancelled: it stays red until ``retry_failed`` asks for another
    run, so that a job which someone stopped is not paid for again because our state was lost. It does not count
    when a later run succeeded (and its model was then deleted): that red end was already answered.
    """
    newest = sorted(jobs, key=lambda job: (job.created, job.name), reverse=True)
    succeeded = [job for job in newest if job.rule.outcome is Outcome.SUCCESS]
    usable = [job for job in succeeded if not job.model or job.model in models]
    live = [job for job in newest if job.rule.outcome is Outcome.LIVE and job.rule.adoptable]
    stopped = [job for job in newest if not job.rule.adoptable]
    if succeeded and stopped and stopped[0].created <= succeeded[0].created:
        stopped = []
    candidates = usable or live or ([] if retry_failed else stopped)
    if not candidates:
        return Choice(None, newest)
    chosen = candidates[0]
    return Choice(chosen, [job for job in newest if job is not chosen])
