"""What every kind of job is as a resource: submitted once, adopted where it exists, waited for, red until it succeeded.

Never pays twice: a job with the same spec hash that runs or succeeded is adopted, and a lost answer is looked up.
Never reports a false success: what failed, was cancelled or expired stays red. What is submitted does not change:
Vertex AI patches no job. A kind of job says what is its own: its client collection, view, inputs, identity and body.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunestack.provider.adoption import choose
from tunestack.provider.following import DeadlinePassed, Interrupted, follow, unless_cancelled
from tunestack.provider.inputs import parse_inputs
from tunestack.provider.job_declaration import (
    UNCONFIRMED,
    InputsT,
    JobDeclaration,
    JobT,
    gone,
    name_of,
    project_of,
    red,
    state_of,
)
from tunestack.provider.job_inputs import LOCAL_INPUTS
from tunestack.provider.job_submission import (
    AnswerLost,
    Submission,
    look_until_sure,
    rule_of,
    spec_hash_of_placeholder,
    submit,
)
from tunestack.provider.keepers import Keepers
from tunestack.provider.resource import Call, Created, Found, InitFailed, Refused, Session
from tunestack.provider.submission_turns import SubmissionTurns, Turn
from tunestack.provider.tuned_model import delete_tuned_model, model_exists
from tunestack.provider.values import Properties, plain
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.client import Json, location_of, resource_id
from tunestack.vertex.errors import GoogleError, InvalidArgument, NotFound
from tunestack.vertex.job_state import Outcome, state_rule


class JobResource(JobDeclaration[InputsT, JobT]):
    """Create, read, update and delete of a job."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._keepers = Keepers(session.marks, self.token)
        # An engine configures a provider once an operation, and with it begins a new one of these: what an update has
        # submitted it does not submit again, however many resources ask for a retry.
        self._turns = SubmissionTurns(session, self.view.collection.segment)

    def seen(self, id_: str, urn: str, *, kept: bool) -> None:
        """Remembers which objects this update keeps: a renamed or forcibly replaced resource adopts the same job."""
        self._keepers.seen(id_, urn, () if kept else None)

    # Create

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Adopts or submits, then waits."""
        spec = parse_inputs(self.inputs_model, inputs)
        hash_ = self.required_hash(inputs)
        async with self._turns.of(call, spec.project, spec.location, hash_) as turn:
            try:
                job, others = await unless_cancelled(self._adoptable(call, spec, hash_, turn), call.cancelled)
            except Interrupted:
                raise Refused("ABORTED", "stopped before anything was submitted") from None
            adopted = job is not None
            if job is None:
                known = {other.name for other in others}
                submission = self._submission(spec, hash_, self.job_id(hash_, known))
                # An id of our own makes a create that is still to arrive a conflict.
                left = submission.job_id is None and turn.may_arrive(rule_of(self.session).arrival)
                job = await self._submit(call, inputs, submission, turn, left=left, known=known)
        self.seen(job.name, call.urn, kept=True)
        outputs = await self._settle(call, job, inputs, spec, adopted=adopted, id_=job.name)
        return Created(job.name, outputs)

    async def _jobs(self, project: str, location: str, hash_: str) -> list[JobT]:
        return await self.session.searches.of(self.view, project, location).jobs(hash_)

    async def _adoptable(
        self, call: Call, spec: InputsT, hash_: str, turn: Turn
    ) -> tuple[JobT | None, Sequence[JobT]]:
        jobs = await self._jobs(spec.project, spec.location, hash_)
        models = set()
        for job in jobs:
            done = job.rule.outcome is Outcome.SUCCESS
            if done and job.model and await model_exists(self.session.vertex, job.model):
                models.add(job.model)
        retry = False if turn.submitted else spec.retry_failed
        choice = choose(jobs, models, retry_failed=retry)
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
        turn: Turn,
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
                job, _ = await self._adoptable(call, spec, submission.spec_hash, turn)
                return dict(job.json) if job is not None else None
            jobs = await self._jobs(spec.project, spec.location, submission.spec_hash)
            new = [job for job in jobs if job.name not in known]
            newest = max(new, key=lambda job: (job.created, job.name), default=None)
            return dict(newest.json) if newest is not None else None

        if submission.job_id is None:
            turn.leaves()
        try:
            job = self.view(await submit(self.session, call, submission, find, left=left))
            turn.note_submitted()
            turn.settled()
            return job
        except GoogleError:
            turn.settled()
            raise
        except AnswerLost as lost:
            turn.note_submitted()
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

        def failed(reason: str) -> InitFailed:
            return InitFailed(id_, self.outputs_of(newest, inputs, adopted=adopted), [reason], inputs)

        try:
            if spec.wait or job.rule.terminal:
                newest = await follow(self.session, call, job, show=spec.progress, seen=seen)
            else:
                await call.log.info(f"{job.state} {name}: not waited for (wait: false)")
                return self.outputs_of(job, inputs, adopted=adopted)
        except (Interrupted, DeadlinePassed) as end:
            raise failed(await self._stop_waiting(newest, spec, end)) from None
        except NotFound:
            raise failed(gone(name)) from None
        except GoogleError as error:
            raise failed(f"cannot see {name}: {error}; the job goes on, run `tunestack up` again") from error
        except Exception as error:
            # Whatever broke in us, the job exists: losing its id would orphan it.
            raise failed(f"stopped waiting for {name} by an error of ours: {error!r}") from error
        if newest.rule.outcome is Outcome.RED:
            raise failed(red(newest))
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
        name = name_of(id_, outputs)
        unconfirmed = spec_hash_of_placeholder(name)
        try:
            job = await self._newest(name, unconfirmed) if unconfirmed else await self._get(name)
            if job is not None and unconfirmed and not inputs:
                job = await self._get(job.name)  # a list says less than an import wants to know
        except NotFound:
            return None
        if job is None:
            if not outputs:
                return None
            reason = f"no answer came to the submission of {name} and it is not seen yet; `tunestack up` makes sure"
            raise InitFailed(id_, outputs, [reason], inputs)
        id_ = job.name if unconfirmed else id_
        given = inputs or self.imported(name, job)
        adopted = plain(outputs.get("adopted")) is not False if outputs else True
        state = self.outputs_of(job, given, adopted=adopted)
        if job.rule.outcome is Outcome.LIVE:
            reason = (
                f"{resource_id(id_)} is still {job.state} ({job.progress}); run `tunestack up` to wait for it"
            )
            raise InitFailed(id_, state, [reason], given)
        if job.rule.outcome is Outcome.RED:
            raise InitFailed(id_, state, [red(job)], given)
        if job.model and not await model_exists(self.session.vertex, job.model):
            await call.log.warning(f"model {job.model} was deleted: the next up tunes it again")
            return None
        return Found(id_, state, given)

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """Goes on waiting; for a job that succeeded, only writes down the new inputs."""
        spec = parse_inputs(self.inputs_model, news)
        name = name_of(id_, olds)
        adopted = plain(olds.get("adopted")) is True
        if state_rule(state_of(olds)).outcome is Outcome.SUCCESS:
            await self._say_what_is_only_written_down(call, olds, news)
            return {**news, **{key: olds[key] for key in self.computed if olds.get(key) is not None}}
        nameless = spec_hash_of_placeholder(name) is not None
        job: JobT | None = None
        try:
            job = None if nameless else await self._get(name)
        except NotFound:
            if state_of(olds) != UNCONFIRMED:
                raise InitFailed(id_, {**olds, **news}, [gone(name)], news) from None
        except GoogleError as error:
            raise InitFailed(id_, {**olds, **news}, [f"cannot see {name}: {error}"], news) from error
        if job is None:
            job_id = None if nameless else resource_id(name)
            submission = self._submission(spec, self.required_hash(news), job_id)
            async with self._turns.of(call, spec.project, spec.location, submission.spec_hash) as turn:
                job = await self._submit(call, news, submission, turn, left=True, known=None)
        return await self._settle(call, job, news, spec, adopted=adopted, id_=id_)

    async def _say_what_is_only_written_down(self, call: Call, olds: Properties, news: Properties) -> None:
        """No kind of job can be changed: what differs and decides nothing takes effect with the next run."""
        sent = {str(info.alias) for name, info in self.inputs_model.model_fields.items()} - LOCAL_INPUTS
        changed = [key for key in sorted(sent) if plain(olds.get(key)) != plain(news.get(key))]
        if changed:
            noun = self.view.collection.noun
            await call.log.info(
                f"{', '.join(changed)}: written down here only, a {noun} cannot be changed; the next run gets it"
            )

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Cancels a live job and waits for its end; then removes what the deletion policy does not keep.

        A job that left no model is removed in any case where it can be: nothing is lost, and the next create
        starts afresh.
        """
        vertex = self.session.vertex
        delete = plain({**outputs, **inputs}.get("deletionPolicy")) == "DELETE"
        name = name_of(id_, outputs)
        try:
            job = None if self._held(id_, name) else await self._confirmed(call, name)
            if self._held(id_, job.name if job is not None else name):
                message = f"{resource_id(name)} is kept: another resource of this update has taken it over"
                await call.log.info(message)
                return
            if job is None:
                return
            job = await self._ended(call, job)
        except NotFound:
            model, endpoint = (str(plain(outputs.get(key)) or "") for key in ("model", "endpoint"))
            if delete:
                await delete_tuned_model(vertex, model, [endpoint] if endpoint else [], call.log)
            return
        if job.rule.outcome is Outcome.SUCCESS and not delete:
            kept = " and ".join(part for part in (job.model, job.endpoint) if part) or name
            await call.log.info(f"kept {kept} and the job's record (deletionPolicy ABANDON)")
            return
        if delete:
            await delete_tuned_model(vertex, job.model, job.endpoints, call.log)
        if self.view.collection.deletable:
            await vertex.delete_job(self.view.collection, job.name)
        else:
            trained_again = (
                "; retryFailed or forceNew trains again" if job.rule.outcome is Outcome.RED else ""
            )
            await call.log.info(
                f"the record of {resource_id(job.name)} ({job.state}) stays: "
                f"{job.collection.noun}s have no delete{trained_again}"
            )

    def _held(self, *names: str) -> bool:
        return any(self._keepers.kept(name) for name in names)

    async def _confirmed(self, call: Call, name: str) -> JobT | None:
        """The job; one whose name is not known is looked for until sure, None: it was never submitted."""
        hash_ = spec_hash_of_placeholder(name)
        if hash_ is None:
            return await self._get(name)
        submission = Submission(self.view.collection, project_of(name), location_of(name), hash_, {})

        async def find() -> Json | None:
            job = await self._newest(name, hash_)
            return dict(job.json) if job is not None else None

        try:
            found = await look_until_sure(self.session, call, submission, find)
        except AnswerLost as lost:
            raise Refused("UNAVAILABLE", f"{lost}: run the command again") from lost
        return self.view(found) if found is not None else None

    async def _newest(self, name: str, hash_: str) -> JobT | None:
        jobs = await self._jobs(project_of(name), location_of(name), hash_)
        return max(jobs, key=lambda job: (job.created, job.name), default=None)

    async def _ended(self, call: Call, job: JobT) -> JobT:
        if job.rule.terminal:
            return job
        collection, name = self.view.collection, job.name
        await call.log.status(f"cancelling {resource_id(name)}")

        try:
            await self.session.vertex.cancel_job(collection, name)
        except InvalidArgument:  # FAILED_PRECONDITION: it may have ended since we looked
            job = await self._get(name)
            if not job.rule.terminal:
                raise
        try:
            return await follow(self.session, call, job, show=False, seen=lambda _: None)
        except Interrupted:
            raise Refused(
                "CANCELLED", f"{name} is being cancelled; run the command again to finish"
            ) from None
        except DeadlinePassed:
            raise Refused("DEADLINE_EXCEEDED", f"{name} has not ended since it was cancelled") from None
