"""What every kind of job is as a resource: submitted once, adopted where it exists, waited for, red until it succeeded.

Never pays twice: a job with the same spec hash that runs or succeeded is adopted, and a lost answer is looked up.
Never reports a false success: what failed, was cancelled or expired stays red. What is submitted does not change:
Vertex AI patches no job. A kind of job says what is its own: its client collection, view, inputs, identity and body.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import ClassVar, Generic, TypeVar

from tunestack.provider.adoption import choose
from tunestack.provider.following import DeadlinePassed, Interrupted, follow, unless_cancelled
from tunestack.provider.inputs import check_inputs, parse_inputs
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import OWN_LABELS, JobInputs
from tunestack.provider.job_submission import (
    AnswerLost,
    Submission,
    label_filter,
    look_until_sure,
    spec_hash_of_placeholder,
    submit,
)
from tunestack.provider.resource import (
    Call,
    Checked,
    Created,
    Differences,
    Found,
    InitFailed,
    PropertyProblem,
    Refused,
    Resource,
    Session,
)
from tunestack.provider.tuned_model import delete_tuned_model, model_exists
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.client import Json, location_of, resource_id
from tunestack.vertex.errors import GoogleError, InvalidArgument, NotFound
from tunestack.vertex.job import Job
from tunestack.vertex.job_state import Outcome, retry_cause, state_rule

InputsT = TypeVar("InputsT", bound=JobInputs)
JobT = TypeVar("JobT", bound=Job)

UNCONFIRMED = "UNCONFIRMED"
"""State of a job whose create call left and whose answer never came."""

JOB_OUTPUTS = (
    "specHash",
    "name",
    "state",
    "model",
    "endpoint",
    "error",
    "createTime",
    "startTime",
    "endTime",
    "durationSeconds",
    "adopted",
)
"""Outputs of every kind of job."""


class JobResource(Resource, Generic[InputsT, JobT]):
    """Check, diff, create, read, update and delete of a job."""

    inputs_model: type[InputsT]
    view: type[JobT]
    identity: ClassVar[JobIdentity]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._keepers: defaultdict[str, set[str]] = defaultdict(set)

    # What is the kind's own

    @abstractmethod
    def request_body(self, spec: InputsT) -> Json:
        """The job that is submitted, without labels."""

    @abstractmethod
    def imported_inputs(self, job: JobT) -> Properties:
        """The inputs, without project, location and labels, that would declare an existing job."""

    def rules(self, inputs: Properties) -> Sequence[PropertyProblem]:
        """Problems that no property has alone; ``inputs`` in the clear, with unknown values in them."""
        return ()

    def job_id(self, spec: InputsT, hash_: str) -> str | None:
        """An id for a new job, where the collection takes one."""
        return None

    def version(self, spec: InputsT) -> str | None:
        """Version of the API that knows every field of the body; None: the collection's own."""
        return None

    def results(self, job: JobT) -> Properties:
        """Outputs that only this kind has; None for what is not known yet."""
        return {}

    # Pure

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property; ``project`` comes from the provider where it is not given."""
        given = dict(inputs)
        missing = []
        if given.get("project") is None:
            given["project"] = self.session.configuration.project
        if given["project"] is None:
            missing = [PropertyProblem("project", "is required here or in the provider's configuration")]
            given["project"] = UNKNOWN
        checked, problems = check_inputs(self.inputs_model, given)
        if not problems:
            problems = list(self.rules(plain(checked)))
        return Checked(checked, [*missing, *problems])

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """See ``JobIdentity.differences``."""
        return self.identity.differences(olds, old_inputs, news)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """A job that ended keeps its results; of one that runs, or is yet to run, they are unknown."""
        known: Properties = {"specHash": self.identity.hash_of(inputs) or UNKNOWN}
        if olds is None:
            return {**inputs, **dict.fromkeys(self.computed, UNKNOWN), **known}
        results: Properties = {key: olds[key] for key in self.computed if olds.get(key) is not None}
        if state_rule(_state(olds)).terminal:
            return {**inputs, **results}
        kept: Properties = {
            key: results[key] for key in ("specHash", "name", "createTime", "adopted") if key in results
        }
        return {**inputs, **dict.fromkeys(self.computed, UNKNOWN), **kept}

    def seen(self, id_: str, urn: str, *, kept: bool) -> None:
        """Remembers which objects this update keeps: a renamed or forcibly replaced resource adopts the same job."""
        for holders in self._keepers.values():
            holders.discard(urn)
        if kept:
            self._keepers[id_].add(urn)

    def outputs_of(self, job: JobT, inputs: Properties, *, adopted: bool) -> Properties:
        """The state of the resource: its inputs, and what the job says; what is not known yet is left out."""
        error = {"code": job.error_code, "message": job.error_message}
        said = {
            "specHash": job.spec_hash or self.identity.hash_of(inputs),
            "name": job.name,
            "state": job.state,
            "model": job.model or None,
            "endpoint": job.endpoint or None,
            "error": {key: value for key, value in error.items() if value} or None,
            "createTime": job.created or None,
            "startTime": job.started or None,
            "endTime": job.ended or None,
            "durationSeconds": job.duration_seconds,
            "adopted": adopted,
            **self.results(job),
        }
        return {**inputs, **{key: value for key, value in said.items() if value is not None}}

    # Create

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Adopts or submits, then waits."""
        spec = parse_inputs(self.inputs_model, inputs)
        hash_ = self._required_hash(inputs)
        try:
            job, others = await unless_cancelled(self._adoptable(call, spec, hash_), call.cancelled)
        except Interrupted:
            raise Refused("CANCELLED", "stopped before anything was submitted") from None
        adopted = job is not None
        if job is None:
            known = {other.name for other in others}
            submission = self._submission(spec, hash_, self.job_id(spec, hash_))
            job = await self._submit(call, inputs, submission, left=False, known=known)
        self.seen(job.name, call.urn, kept=True)
        outputs = await self._settle(call, job, inputs, spec, adopted=adopted, id_=job.name)
        return Created(job.name, outputs)

    async def _jobs(self, project: str, location: str, hash_: str) -> list[JobT]:
        found = self.session.vertex.list_jobs(self.view.collection, project, location, label_filter(hash_))
        # The label is looked at again: a server that ignores the filter must not hand us someone else's job.
        return [job async for json in found if (job := self.view(json)).spec_hash == hash_]

    async def _adoptable(self, call: Call, spec: InputsT, hash_: str) -> tuple[JobT | None, Sequence[JobT]]:
        jobs = await self._jobs(spec.project, spec.location, hash_)
        models = set()
        for job in jobs:
            done = job.rule.outcome is Outcome.SUCCESS
            if done and job.model and await model_exists(self.session.vertex, job.model):
                models.add(job.model)
        choice = choose(jobs, models, retry_failed=spec.retry_failed)
        if choice.job is not None:
            others = ", ".join(resource_id(job.name) for job in choice.others)
            left = f"; left as they are: {others}" if others else ""
            await call.log.info(
                f"adopted {resource_id(choice.job.name)} ({choice.job.state}), same spec{left}"
            )
        return choice.job, choice.others

    def _submission(self, spec: InputsT, hash_: str, job_id: str | None) -> Submission:
        body = {**self.request_body(spec), "labels": {**(spec.labels or {}), SPEC_HASH_LABEL: hash_}}
        return Submission(
            self.view.collection, spec.project, spec.location, hash_, body, self.version(spec), job_id
        )

    async def _submit(
        self,
        call: Call,
        inputs: Properties,
        submission: Submission,
        *,
        left: bool,
        known: Collection[str] | None,
    ) -> JobT:
        """``known``: jobs of this spec that were there before; None where that is not known any more.

        Raises ``GoogleError`` where surely nothing exists, else ``InitFailed``.
        """
        spec = parse_inputs(self.inputs_model, inputs)

        async def find() -> Json | None:
            if known is None:
                job, _ = await self._adoptable(call, spec, submission.spec_hash)
                return dict(job.json) if job is not None else None
            jobs = await self._jobs(spec.project, spec.location, submission.spec_hash)
            new = [job for job in jobs if job.name not in known]
            newest = max(new, key=lambda job: (job.created, job.name), default=None)
            return dict(newest.json) if newest is not None else None

        try:
            return self.view(await submit(self.session, call, submission, find, left=left))
        except AnswerLost as lost:
            name = submission.name
            how = "its id" if submission.job_id else "its label"
            reason = (
                f"{lost}; run `tunestack up` (or `pulumi up`) again: "
                f"it is looked up by {how} before anything is sent"
            )
            given = {"specHash": submission.spec_hash, "name": name, "state": UNCONFIRMED, "adopted": False}
            raise InitFailed(name, {**inputs, **given}, [reason], inputs) from lost

    # Waiting

    async def _settle(
        self, call: Call, job: JobT, inputs: Properties, spec: InputsT, *, adopted: bool, id_: str
    ) -> Properties:
        """Waits for the end where that is asked for; every other end than success is ``InitFailed`` with the id."""
        newest = job
        name = job.name

        def seen(view: JobT) -> None:
            nonlocal newest
            newest = view

        async def look() -> JobT:
            return await self._get(name)

        def failed(reason: str) -> InitFailed:
            return InitFailed(id_, self.outputs_of(newest, inputs, adopted=adopted), [reason], inputs)

        try:
            if spec.wait or job.rule.terminal:
                newest = await follow(self.session, call, job, look, show=spec.progress, seen=seen)
            else:
                await call.log.info(f"{job.state} {name}: not waited for (wait: false)")
                return self.outputs_of(job, inputs, adopted=adopted)
        except (Interrupted, DeadlinePassed) as end:
            raise failed(await self._stop_waiting(newest, spec, end)) from None
        except NotFound:
            raise failed(_gone(name)) from None
        except GoogleError as error:
            raise failed(f"cannot see {name}: {error}; the job goes on, run `tunestack up` again") from error
        except Exception as error:
            # Whatever broke in us, the job exists: losing its id would orphan it.
            raise failed(f"stopped waiting for {name} by an error of ours: {error!r}") from error
        if newest.rule.outcome is Outcome.RED:
            raise failed(_red(newest))
        return self.outputs_of(newest, inputs, adopted=adopted)

    async def _stop_waiting(self, job: JobT, spec: InputsT, end: Interrupted | DeadlinePassed) -> str:
        why = "interrupted" if isinstance(end, Interrupted) else "the time to wait for it is over"
        resume = "run `tunestack up` (or `pulumi up`) again to resume"
        if spec.on_cancel == "detach":
            return f"{why}; {resource_id(job.name)} is still {job.state} ({job.progress}); {resume}"
        try:
            await self.session.vertex.cancel_job(self.view.collection, job.name)
        except GoogleError as error:
            return f"{why}; cancelling {resource_id(job.name)} failed: {error}; {resume}"
        return f"{why}; {resource_id(job.name)} is being cancelled, as onCancel asks; retryFailed submits it again"

    async def _get(self, name: str) -> JobT:
        return self.view(await self.session.vertex.get_job(self.view.collection, name))

    # Read, update, delete

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """A job that has not succeeded must not read as clean: the engine would forget to resume it."""
        name = _name(id_, outputs)
        unconfirmed = spec_hash_of_placeholder(name)
        try:
            job = await self._newest(name, unconfirmed) if unconfirmed else await self._get(name)
        except NotFound:
            return None
        if job is None:
            if not outputs:
                return None
            reason = f"no answer came to the submission of {name} and it is not seen yet; `tunestack up` makes sure"
            raise InitFailed(id_, outputs, [reason], inputs)
        id_ = job.name if unconfirmed else id_
        given = inputs or self._imported(job)
        adopted = plain(outputs.get("adopted")) is not False if outputs else True
        state = self.outputs_of(job, given, adopted=adopted)
        if job.rule.outcome is Outcome.LIVE:
            reason = (
                f"{resource_id(id_)} is still {job.state} ({job.progress}); run `tunestack up` to wait for it"
            )
            raise InitFailed(id_, state, [reason], given)
        if job.rule.outcome is Outcome.RED:
            raise InitFailed(id_, state, [_red(job)], given)
        if job.model and not await model_exists(self.session.vertex, job.model):
            await call.log.warning(f"model {job.model} was deleted: the next up tunes it again")
            return None
        return Found(id_, state, given)

    def _imported(self, job: JobT) -> Properties:
        """Google's names carry the project's number, so the configured project wins."""
        labels = {key: value for key, value in job.labels.items() if key not in OWN_LABELS}
        inputs = {
            "project": self.session.configuration.project or _project_of(job.name),
            "location": location_of(job.name),
            "labels": labels or None,
            **self.imported_inputs(job),
        }
        given = {key: value for key, value in inputs.items() if value is not None}
        return check_inputs(self.inputs_model, given)[0]

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """Goes on waiting; for a job that succeeded, only writes down the new inputs."""
        spec = parse_inputs(self.inputs_model, news)
        name = _name(id_, olds)
        adopted = plain(olds.get("adopted")) is True
        if state_rule(_state(olds)).outcome is Outcome.SUCCESS:
            return {**news, **{key: olds[key] for key in self.computed if olds.get(key) is not None}}
        nameless = spec_hash_of_placeholder(name) is not None
        job: JobT | None = None
        try:
            job = None if nameless else await self._get(name)
        except NotFound:
            if _state(olds) != UNCONFIRMED:
                raise InitFailed(id_, {**olds, **news}, [_gone(name)], news) from None
        except GoogleError as error:
            raise InitFailed(id_, {**olds, **news}, [f"cannot see {name}: {error}"], news) from error
        if job is None:
            job_id = None if nameless else resource_id(name)
            submission = self._submission(spec, self._required_hash(news), job_id)
            job = await self._submit(call, news, submission, left=True, known=None)
        return await self._settle(call, job, news, spec, adopted=adopted, id_=id_)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Cancels a live job and waits for its end; then removes what the deletion policy does not keep.

        A job that left no model is removed in any case where it can be: nothing is lost, and the next create
        starts afresh.
        """
        vertex = self.session.vertex
        delete = plain({**outputs, **inputs}.get("deletionPolicy")) == "DELETE"
        name = _name(id_, outputs)
        try:
            job = await self._confirmed(call, name)
            if job is None:
                return
            if self._keepers.get(id_) or self._keepers.get(job.name):
                held = f"{resource_id(id_)} is kept: another resource of this update has taken it over"
                await call.log.info(held)
                return
            job = await self._ended(call, job)
        except NotFound:
            model, endpoint = (str(plain(outputs.get(key)) or "") for key in ("model", "endpoint"))
            if delete:
                await delete_tuned_model(vertex, model, endpoint, call.log)
            return
        if job.rule.outcome is Outcome.SUCCESS and not delete:
            kept = " and ".join(part for part in (job.model, job.endpoint) if part) or name
            await call.log.info(f"kept {kept} and the job's record (deletionPolicy ABANDON)")
            return
        if delete:
            await delete_tuned_model(vertex, job.model, job.endpoint, call.log)
        if self.view.collection.deletable:
            await vertex.delete_job(self.view.collection, job.name)

    async def _confirmed(self, call: Call, name: str) -> JobT | None:
        """The job; one whose name is not known is looked for until sure, None: it was never submitted."""
        hash_ = spec_hash_of_placeholder(name)
        if hash_ is None:
            return await self._get(name)
        submission = Submission(self.view.collection, _project_of(name), location_of(name), hash_, {})

        async def find() -> Json | None:
            job = await self._newest(name, hash_)
            return dict(job.json) if job is not None else None

        try:
            found = await look_until_sure(self.session, call, submission, find)
        except AnswerLost as lost:
            raise Refused("UNAVAILABLE", f"{lost}: run the command again") from lost
        return self.view(found) if found is not None else None

    async def _newest(self, name: str, hash_: str) -> JobT | None:
        jobs = await self._jobs(_project_of(name), location_of(name), hash_)
        return max(jobs, key=lambda job: (job.created, job.name), default=None)

    async def _ended(self, call: Call, job: JobT) -> JobT:
        if job.rule.terminal:
            return job
        collection, name = self.view.collection, job.name
        await call.log.status(f"cancelling {resource_id(name)}")

        async def look() -> JobT:
            return await self._get(name)

        try:
            await self.session.vertex.cancel_job(collection, name)
        except InvalidArgument:  # FAILED_PRECONDITION: it may have ended since we looked
            job = await look()
            if not job.rule.terminal:
                raise
        try:
            return await follow(self.session, call, job, look, show=False, seen=lambda _: None)
        except Interrupted:
            raise Refused(
                "CANCELLED", f"{name} is being cancelled; run the command again to finish"
            ) from None
        except DeadlinePassed:
            raise Refused("DEADLINE_EXCEEDED", f"{name} has not ended since it was cancelled") from None

    def _required_hash(self, inputs: Properties) -> str:
        hash_ = self.identity.hash_of(inputs)
        if hash_ is None or has_unknown(inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be submitted")
        return hash_


def _name(id_: str, outputs: Properties) -> str:
    """The job's name. The id of a submission that was unconfirmed stays a placeholder until a refresh."""
    name = str(plain(outputs.get("name")) or "")
    return name if name and spec_hash_of_placeholder(id_) else id_


def _state(outputs: Properties) -> str:
    return str(plain(outputs.get("state")) or "")


def _project_of(name: str) -> str:
    return name.split("/")[1]


def _gone(name: str) -> str:
    return f"{name} no longer exists; `tunestack refresh` forgets it, and the next up tunes again"


def _red(job: Job) -> str:
    cause = retry_cause(job.state, job.error_code)
    words = f": {job.error_message}" if job.error_message else ""
    hint = f" A retry may help: {cause.words}." if cause else ""
    return (
        f"{resource_id(job.name)} ended {job.state}{words}.{hint} "
        "It is not submitted again by itself: change the job, or ask for it "
        "with retryFailed (stack configuration: tunestack:retry_failed)"
    )
