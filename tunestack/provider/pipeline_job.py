"""``tunestack:vertex:PipelineJob``: a run of a tuning pipeline as a resource.

Never pays twice: a job with the same spec hash that runs or succeeded is adopted, and the id of a submission is
chosen before it is sent, so that a lost answer can be looked up. Never reports a false success: what failed, was
cancelled or expired stays red. It does not change what is submitted: pipeline jobs have no patch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, ClassVar

from tunestack.provider.adoption import choose
from tunestack.provider.following import DeadlinePassed, Interrupted, follow, unless_cancelled
from tunestack.provider.inputs import check_inputs, parse_inputs
from tunestack.provider.pipeline_job_inputs import (
    BILLING_LABEL,
    PipelineJobInputs,
    hash_of,
    job_differences,
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
from tunestack.vertex.client import location_of, resource_id
from tunestack.vertex.errors import Conflict, GoogleError, InvalidArgument, NotFound, NotSent, ServiceFault
from tunestack.vertex.job_state import Outcome, retry_cause, state_rule
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.timing import backoff

UNCONFIRMED = "UNCONFIRMED"
"""State of a job whose create call left and whose answer never came."""

SUBMISSION_ATTEMPTS = 6


class PipelineJobResource(Resource):
    """Check, diff, create, read, update and delete of a pipeline job."""

    token: ClassVar[str] = "tunestack:vertex:PipelineJob"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (
        "specHash",
        "name",
        "state",
        "model",
        "endpoint",
        "createTime",
        "startTime",
        "endTime",
        "durationSeconds",
        "adopted",
        "tuning",
    )

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._keepers: defaultdict[str, set[str]] = defaultdict(set)

    # Pure

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property; ``project`` comes from the provider where it is not given."""
        given = dict(inputs)
        if given.get("project") is None:
            given["project"] = self.session.configuration.project
            if given["project"] is None:
                problem = PropertyProblem("project", "is required here or in the provider's configuration")
                rest, problems = check_inputs(PipelineJobInputs, {**given, "project": UNKNOWN})
                return Checked(rest, [problem, *problems])
        checked, problems = check_inputs(PipelineJobInputs, given)
        return Checked(checked, problems)

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """See ``job_differences``."""
        return job_differences(olds, old_inputs, news)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """A job that ended keeps its results; of one that runs, or is yet to run, they are unknown."""
        known: Properties = {"specHash": hash_of(inputs) or UNKNOWN}
        if olds is None:
            return {**inputs, **dict.fromkeys(self.computed, UNKNOWN), **known}
        results: Properties = {key: olds[key] for key in self.computed if olds.get(key) is not None}
        if state_rule(str(plain(olds.get("state")) or "")).terminal:
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

    # Create

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Adopts or submits, then waits."""
        spec = parse_inputs(PipelineJobInputs, inputs)
        hash_ = _required_hash(inputs)
        try:
            job = await unless_cancelled(self._adoptable(call, spec, hash_), call.cancelled)
        except Interrupted:
            raise Refused("CANCELLED", "stopped before anything was submitted") from None
        adopted = job is not None
        if job is None:
            job_id = new_job_id(
                spec.display_name, hash_, self.session.timing.wall(), self.session.timing.chance()
            )
            job = await self._submit(call, inputs, spec, hash_, job_id, left=False)
        self.seen(job.name, call.urn, kept=True)
        outputs = await self._settle(call, job, inputs, spec, adopted=adopted)
        return Created(job.name, outputs)

    async def _adoptable(self, call: Call, spec: PipelineJobInputs, hash_: str) -> PipelineJob | None:
        label = f'labels.{SPEC_HASH_LABEL}="{hash_}"'
        found = self.session.vertex.list_pipeline_jobs(spec.project, spec.location, label)
        # The label is looked at again: a server that ignores the filter must not hand us someone else's job.
        jobs = [job async for json in found if (job := PipelineJob(json)).spec_hash == hash_]
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
        return choice.job

    async def _submit(
        self, call: Call, inputs: Properties, spec: PipelineJobInputs, hash_: str, job_id: str, *, left: bool
    ) -> PipelineJob:
        """Sends the job under ``job_id`` until it is known to exist; ``left``: it was perhaps sent before.

        The id makes a repetition harmless: a second one is refused by Vertex AI as a conflict.
        Raises ``GoogleError`` where surely nothing exists, else ``InitFailed``.
        """
        vertex, timing = self.session.vertex, self.session.timing
        name = f"projects/{spec.project}/locations/{spec.location}/pipelineJobs/{job_id}"
        last: GoogleError | None = None
        for attempt in range(SUBMISSION_ATTEMPTS):
            try:
                try:
                    return PipelineJob(
                        await vertex.create_pipeline_job(
                            spec.project, spec.location, job_id, request_body(spec, hash_)
                        )
                    )
                except Conflict:
                    job = PipelineJob(await vertex.get_pipeline_job(name))
                    if not left or job.spec_hash != hash_:
                        raise
                    return job
                except NotSent as error:
                    if not left:
                        raise
                    last = error
                except ServiceFault as error:
                    left, last = True, error
                try:
                    return PipelineJob(await vertex.get_pipeline_job(name))
                except NotFound:
                    pass  # it surely does not exist: send it again under the same id
            except ServiceFault as error:
                if not left:
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
            await self.session.pause(backoff(attempt, timing, first=1.0), call.cancelled)
        outputs = {**inputs, "specHash": hash_, "name": name, "state": UNCONFIRMED, "adopted": False}
        reason = (
            f"the submission of {job_id} was sent and its answer lost ({last}); "
            "run `tunestack up` (or `pulumi up`) again: it is looked up by its id before anything is sent"
        )
        raise InitFailed(name, outputs, [reason], inputs)

    # Waiting

    async def _settle(
        self, call: Call, job: PipelineJob, inputs: Properties, spec: PipelineJobInputs, *, adopted: bool
    ) -> Properties:
        """Waits for the end where that is asked for; every other end than success is ``InitFailed`` with the id."""
        newest = job
        id_ = job.name

        def seen(view: PipelineJob) -> None:
            nonlocal newest
            newest = view

        async def look() -> PipelineJob:
            return PipelineJob(await self.session.vertex.get_pipeline_job(id_))

        def failed(reason: str) -> InitFailed:
            return InitFailed(id_, outputs_of(newest, inputs, adopted=adopted), [reason], inputs)

        try:
            if spec.wait or job.rule.terminal:
                newest = await follow(self.session, call, job, look, show=spec.progress, seen=seen)
            else:
                await call.log.info(f"{job.state} {id_}: not waited for (wait: false)")
                return outputs_of(job, inputs, adopted=adopted)
        except (Interrupted, DeadlinePassed) as end:
            raise failed(await self._stop_waiting(call, newest, spec, end)) from None
        except NotFound:
            raise failed(_gone(id_)) from None
        except GoogleError as error:
            raise failed(f"cannot see {id_}: {error}; the job goes on, run `tunestack up` again") from error
        except Exception as error:
            # Whatever broke in us, the job exists: losing its id would orphan it.
            raise failed(f"stopped waiting for {id_} by an error of ours: {error!r}") from error
        if newest.rule.outcome is Outcome.RED:
            raise failed(_red(newest))
        return outputs_of(newest, inputs, adopted=adopted)

    async def _stop_waiting(
        self, call: Call, job: PipelineJob, spec: PipelineJobInputs, end: Interrupted | DeadlinePassed
    ) -> str:
        why = "interrupted" if isinstance(end, Interrupted) else "the time to wait for it is over"
        resume = "run `tunestack up` (or `pulumi up`) again to resume"
        if spec.on_cancel == "detach":
            return f"{why}; {resource_id(job.name)} is still {job.state} ({job.progress}); {resume}"
        try:
            await self.session.vertex.cancel_pipeline_job(job.name)
        except GoogleError as error:
            return f"{why}; cancelling {resource_id(job.name)} failed: {error}; {resume}"
        return f"{why}; {resource_id(job.name)} is being cancelled, as onCancel asks; retryFailed submits it again"

    # Read, update, delete

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """A job that has not succeeded must not read as clean: the engine would forget to resume it."""
        try:
            job = PipelineJob(await self.session.vertex.get_pipeline_job(id_))
        except NotFound:
            return None
        given = inputs or imported_inputs(job, self.session.configuration.project)
        state = outputs_of(
            job, given, adopted=plain(outputs.get("adopted")) is not False if outputs else True
        )
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

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """Goes on waiting; for a job that succeeded, only writes down the new inputs."""
        spec = parse_inputs(PipelineJobInputs, news)
        state = str(plain(olds.get("state")) or "")
        adopted = plain(olds.get("adopted")) is True
        if state_rule(state).outcome is Outcome.SUCCESS:
            return {**news, **{key: olds[key] for key in self.computed if olds.get(key) is not None}}
        try:
            job = PipelineJob(await self.session.vertex.get_pipeline_job(id_))
        except NotFound:
            if state != UNCONFIRMED:
                raise InitFailed(id_, {**olds, **news}, [_gone(id_)], news) from None
            job = await self._submit(call, news, spec, _required_hash(news), resource_id(id_), left=True)
        except GoogleError as error:
            raise InitFailed(id_, {**olds, **news}, [f"cannot see {id_}: {error}"], news) from error
        return await self._settle(call, job, news, spec, adopted=adopted)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Cancels a live job and waits for its end; then removes what the deletion policy does not keep.

        A job that left no model is removed in any case: nothing is lost, and the next create starts afresh.
        """
        if self._keepers.get(id_):
            await call.log.info(
                f"{resource_id(id_)} is kept: another resource of this update has taken it over"
            )
            return
        vertex = self.session.vertex
        delete = plain({**outputs, **inputs}.get("deletionPolicy")) == "DELETE"
        try:
            job = PipelineJob(await vertex.get_pipeline_job(id_))
            job = await self._ended(call, job)
        except NotFound:
            model, endpoint = (str(plain(outputs.get(key)) or "") for key in ("model", "endpoint"))
            if delete:
                await delete_tuned_model(vertex, model, endpoint, call.log)
            return
        if job.rule.outcome is Outcome.SUCCESS and not delete:
            kept = " and ".join(name for name in (job.model, job.endpoint) if name) or id_
            await call.log.info(f"kept {kept} and the job's record (deletionPolicy ABANDON)")
            return
        if delete:
            await delete_tuned_model(vertex, job.model, job.endpoint, call.log)
        await vertex.delete_pipeline_job(id_)

    async def _ended(self, call: Call, job: PipelineJob) -> PipelineJob:
        if job.rule.terminal:
            return job
        vertex = self.session.vertex
        id_ = job.name
        await call.log.status(f"cancelling {resource_id(id_)}")

        async def look() -> PipelineJob:
            return PipelineJob(await vertex.get_pipeline_job(id_))

        try:
            await vertex.cancel_pipeline_job(id_)
        except InvalidArgument:  # FAILED_PRECONDITION: it may have ended since we looked
            job = await look()
            if not job.rule.terminal:
                raise
        try:
            return await follow(self.session, call, job, look, show=False, seen=lambda _: None)
        except Interrupted:
            raise Refused("CANCELLED", f"{id_} is being cancelled; run the command again to finish") from None
        except DeadlinePassed:
            raise Refused("DEADLINE_EXCEEDED", f"{id_} has not ended since it was cancelled") from None


def new_job_id(display_name: str, hash_: str, wall: float, chance: float) -> str:
    """A pipeline job id that tells what it is: slug, spec hash, UTC time, four digits of chance.

    Source of the form: ``^[a-z][-a-z0-9]{0,127}$`` (google-cloud-aiplatform, ``_VALID_NAME_PATTERN``).
    """
    slug = re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"job-{slug}".strip("-")
    moment = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%d%H%M%S")
    return f"{slug[:90].rstrip('-')}-{hash_[:8]}-{moment}-{int(chance * 0x10000):04x}"


def request_body(spec: PipelineJobInputs, hash_: str) -> dict[str, Any]:
    """The PipelineJob that is submitted."""
    body: dict[str, Any] = {
        "displayName": spec.display_name,
        "templateUri": spec.template_uri,
        "runtimeConfig": {
            "gcsOutputDirectory": spec.gcs_output_directory,
            "parameterValues": spec.parameter_values,
        },
        "labels": {**(spec.labels or {}), SPEC_HASH_LABEL: hash_},
    }
    if spec.service_account is not None:
        body["serviceAccount"] = spec.service_account
    return body


def outputs_of(job: PipelineJob, inputs: Properties, *, adopted: bool) -> Properties:
    """The state of the resource: its inputs, and what the job says; what is not known yet is left out."""
    said = {
        "specHash": job.spec_hash or hash_of(inputs),
        "name": job.name,
        "state": job.state,
        "model": job.model or None,
        "endpoint": job.endpoint or None,
        "createTime": job.created or None,
        "startTime": job.json.get("startTime"),
        "endTime": job.json.get("endTime"),
        "durationSeconds": job.duration_seconds,
        "adopted": adopted,
        "tuning": job.tuning or None,
    }
    return {**inputs, **{key: value for key, value in said.items() if value is not None}}


def imported_inputs(job: PipelineJob, project: str | None) -> Properties:
    """The inputs that would declare an existing job; Google's names carry the project's number, so ours wins."""
    runtime = job.json.get("runtimeConfig") or {}
    own = (SPEC_HASH_LABEL, BILLING_LABEL)
    labels = {key: value for key, value in job.labels.items() if key not in own}
    inputs = {
        "project": project or job.name.split("/")[1],
        "location": location_of(job.name),
        "displayName": job.json.get("displayName"),
        "templateUri": job.json.get("templateUri"),
        "parameterValues": runtime.get("parameterValues") or {},
        "gcsOutputDirectory": runtime.get("gcsOutputDirectory"),
        "serviceAccount": job.json.get("serviceAccount"),
        "labels": labels or None,
    }
    given = {key: value for key, value in inputs.items() if value is not None}
    return check_inputs(PipelineJobInputs, given)[0]


def _required_hash(inputs: Properties) -> str:
    hash_ = hash_of(inputs)
    if hash_ is None or has_unknown(inputs):
        raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be submitted")
    return hash_


def _gone(id_: str) -> str:
    return f"{id_} no longer exists; `tunestack refresh` forgets it, and the next up tunes again"


def _red(job: PipelineJob) -> str:
    cause = retry_cause(job.state, job.error_code)
    words = f": {job.error_message}" if job.error_message else ""
    hint = f" A retry may help: {cause}." if cause else ""
    return (
        f"{resource_id(job.name)} ended {job.state}{words}.{hint} "
        "It is not submitted again by itself: change the job, or ask for it "
        "with retryFailed (stack configuration: tunestack:retry_failed)"
    )
