"""Submitting a job exactly once, over a network that loses answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunestack.provider.resource import Call, Session
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.errors import Conflict, GoogleError, NotFound, NotSent, ResourceExhausted, ServiceFault
from tunestack.vertex.job import JobCollection
from tunestack.vertex.timing import backoff

Json = Mapping[str, Any]
Find = Callable[[], Awaitable[Json | None]]

SUBMISSION_ATTEMPTS = 6

_UNCONFIRMED_ID = "unconfirmed-"


@dataclass(frozen=True)
class LookUp:
    """How long a job that the server names is looked for before it is said not to exist. Times in seconds.

    A create call whose answer was lost may still be carried out up to ``arrival`` after that; Google publishes no
    bound, so it is twice the time after which our own requests give up (60 s). Only empty, complete lists that were
    asked for later than that say anything, and ``clean`` of them in a row are needed, ``ceiling`` apart, since a list
    may be served from a copy that lags behind.
    """

    arrival: float
    clean: int
    first: float
    ceiling: float


GOOGLE_LOOK_UP = LookUp(arrival=120.0, clean=3, first=1.0, ceiling=15.0)
LOCAL_LOOK_UP = LookUp(arrival=2.0, clean=2, first=0.25, ceiling=1.0)


@dataclass(frozen=True)
class Submission:
    """A job that is to exist once. ``job_id``: chosen by us, where the collection takes one."""

    collection: JobCollection
    project: str
    location: str
    spec_hash: str
    body: Json
    version: str | None = None
    job_id: str | None = None

    @property
    def name(self) -> str:
        """Full name of the job; for one that the server names, a placeholder that carries the spec hash."""
        job_id = self.job_id or f"{_UNCONFIRMED_ID}{self.spec_hash}"
        return self.collection.name(self.project, self.location, job_id)


class AnswerLost(Exception):
    """Whether the job exists is not known; ``error`` is the last thing that was heard."""

    def __init__(self, submission: Submission, error: GoogleError | None) -> None:
        self.submission = submission
        self.error = error
        super().__init__(f"the submission of {submission.name} was sent and its answer lost ({error})")


def spec_hash_of_placeholder(name: str) -> str | None:
    """The spec hash in the placeholder of a job whose name is not known; None for the name of a job."""
    job_id = name.rsplit("/", 1)[-1]
    return job_id.removeprefix(_UNCONFIRMED_ID) if job_id.startswith(_UNCONFIRMED_ID) else None


async def submit(
    session: Session,
    call: Call,
    submission: Submission,
    find: Find,
    *,
    left: bool,
    look_up: LookUp | None = None,
) -> Json:
    """Sends the job until it is known to exist, and never twice.

    ``find`` looks for it by its label; ``left``: it was perhaps sent before. Raises ``GoogleError`` where surely
    nothing exists, else ``AnswerLost``.
    """
    if submission.job_id is not None:
        return await _submit_under_our_name(session, call, submission, left=left)
    return await _submit_for_a_name(session, call, submission, find, look_up, left=left)


async def _submit_under_our_name(session: Session, call: Call, submission: Submission, *, left: bool) -> Json:
    """The id makes a repetition harmless: a second one is refused by Vertex AI as a conflict.

    That is so of another sender's too, whose request arrived while we looked: the id says that it is the same run.
    """
    last: GoogleError | None = None
    for attempt in range(SUBMISSION_ATTEMPTS):
        try:
            try:
                return await _send(session, call, submission)
            except Conflict as error:
                last = error
            except NotSent as error:
                if not left:
                    raise
                last = error
            except ServiceFault as error:
                left, last = True, error
            try:
                job = await session.vertex.get_job(submission.collection, submission.name)
            except NotFound:
                pass  # it surely does not exist: send it again under the same id
            else:
                if not carries(job, submission.spec_hash):
                    raise _taken(submission, "is not a run of this spec")
                return job
        except ServiceFault as error:
            if not left and not isinstance(last, Conflict):
                raise
            last = error
        except GoogleError as error:
            if not left:
                raise
            last = error
            break
        if call.cancelled.is_set():
            break
        await call.log.status("the answer to the submission was lost, looking for the job")
        await session.pause(backoff(attempt, session.timing, first=1.0), call.cancelled)
    if isinstance(last, Conflict) and not left:
        raise _taken(submission, "cannot be read, as of a job that was deleted")
    raise AnswerLost(submission, last)


def _taken(submission: Submission, why: str) -> Conflict:
    return Conflict(
        409, "ALREADY_EXISTS", f"{submission.name} exists and {why}; forceNew trains under another name"
    )


async def _submit_for_a_name(
    session: Session, call: Call, submission: Submission, find: Find, look_up: LookUp | None, *, left: bool
) -> Json:
    """Nothing keeps the server from taking a second one: before each repetition the first is looked for."""
    last: GoogleError | None = None
    sent = 0
    while True:
        if left:
            job = await look_until_sure(session, call, submission, find, last, look_up=look_up)
            if job is not None:
                return job
            if call.cancelled.is_set():
                raise last or AnswerLost(submission, last)
            if last is not None and sent >= SUBMISSION_ATTEMPTS:
                raise last
        try:
            return await _send(session, call, submission)
        except NotSent:
            raise
        except ServiceFault as error:
            left, last, sent = True, error, sent + 1


def rule_of(session: Session) -> LookUp:
    """How long to look, there where the session's jobs are."""
    return LOCAL_LOOK_UP if session.configuration.local else GOOGLE_LOOK_UP


async def look_until_sure(
    session: Session,
    call: Call,
    submission: Submission,
    find: Find,
    lost: GoogleError | None = None,
    *,
    look_up: LookUp | None = None,
) -> Json | None:
    """What ``find`` gives, or None where the job surely does not exist. Raises ``AnswerLost`` where that stays open."""
    rule = look_up or rule_of(session)
    timing = session.timing
    sure_from = timing.monotonic() + rule.arrival
    clean = attempt = faults = 0
    while True:
        asked = timing.monotonic()
        try:
            job = await find()
        except (ServiceFault, ResourceExhausted) as error:
            faults, clean, lost = faults + 1, 0, error
            if faults >= SUBMISSION_ATTEMPTS:
                raise AnswerLost(submission, error) from error
        except GoogleError as error:
            raise AnswerLost(submission, error) from error
        else:
            if job is not None:
                return job
            faults = 0
            clean += asked >= sure_from
            if clean >= rule.clean:
                return None
        if call.cancelled.is_set():
            raise AnswerLost(submission, lost)
        await call.log.status("the answer to the submission was lost, looking for the job by its label")
        await session.pause(backoff(attempt, timing, first=rule.first, ceiling=rule.ceiling), call.cancelled)
        attempt += 1


def carries(job: Json, spec_hash: str) -> bool:
    """Whether a job has the spec hash: a server that ignores the filter must not hand us someone else's."""
    return bool((job.get("labels") or {}).get(SPEC_HASH_LABEL) == spec_hash)


async def _send(session: Session, call: Call, submission: Submission) -> Json:
    return await session.vertex.create_job(
        submission.collection,
        submission.project,
        submission.location,
        submission.body,
        job_id=submission.job_id,
        version=submission.version,
        stopped=call.cancelled,
    )
