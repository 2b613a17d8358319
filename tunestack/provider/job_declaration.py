"""What a kind of job says of itself, and what declaring one means, without asking anything of the cloud. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, Generic, TypeVar

from tunestack.provider.inputs import check_inputs
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import OWN_LABELS, JobInputs
from tunestack.provider.job_submission import spec_hash_of_placeholder
from tunestack.provider.resource import Checked, Differences, PropertyProblem, Refused, Resource
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.vertex.client import Json, location_of, resource_id
from tunestack.vertex.job import Job
from tunestack.vertex.job_state import retry_cause, state_rule

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


class JobDeclaration(Resource, Generic[InputsT, JobT]):
    """What a kind of job says of itself, and what a declaration of it means."""

    inputs_model: type[InputsT]
    view: type[JobT]
    identity: ClassVar[JobIdentity]

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

    def job_id(self, hash_: str, known: Collection[str]) -> str | None:
        """An id for a new job, where the collection takes one; ``known``: names of the jobs of this spec so far."""
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
        wrong = {problem.property for problem in problems}
        broken = [problem for problem in self.rules(plain(checked)) if problem.property not in wrong]
        return Checked(checked, [*missing, *problems, *broken])

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """See ``JobIdentity.differences``."""
        return self.identity.differences(olds, old_inputs, news)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """A job that ended keeps its results; of one that runs, or is yet to run, they are unknown."""
        known: Properties = {"specHash": self.identity.hash_of(inputs) or UNKNOWN}
        if olds is None:
            return {**inputs, **dict.fromkeys(self.computed, UNKNOWN), **known}
        results: Properties = {key: olds[key] for key in self.computed if olds.get(key) is not None}
        if state_rule(state_of(olds)).terminal:
            return {**inputs, **results}
        kept: Properties = {
            key: results[key] for key in ("specHash", "name", "createTime", "adopted") if key in results
        }
        return {**inputs, **dict.fromkeys(self.computed, UNKNOWN), **kept}

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

    def imported(self, id_: str, job: JobT) -> Properties:
        """The inputs that would declare a job; ``id_`` as it was asked for."""
        labels = {key: value for key, value in job.labels.items() if key not in OWN_LABELS}
        inputs = {
            "project": self.session.configuration.project_of(id_),
            "location": location_of(job.name),
            "labels": labels or None,
            **self.imported_inputs(job),
        }
        given = {key: value for key, value in inputs.items() if value is not None}
        return check_inputs(self.inputs_model, given)[0]

    def required_hash(self, inputs: Properties) -> str:
        hash_ = self.identity.hash_of(inputs)
        if hash_ is None or has_unknown(inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be submitted")
        return hash_


def name_of(id_: str, outputs: Properties) -> str:
    """The job's name. The id of a submission that was unconfirmed stays a placeholder until a refresh."""
    name = str(plain(outputs.get("name")) or "")
    return name if name and spec_hash_of_placeholder(id_) else id_


def state_of(outputs: Properties) -> str:
    return str(plain(outputs.get("state")) or "")


def project_of(name: str) -> str:
    return name.split("/")[1]


def gone(name: str) -> str:
    return f"{name} no longer exists; `tunestack refresh` forgets it, and the next up tunes again"


def red(job: Job) -> str:
    cause = retry_cause(job.state, job.error_code)
    words = f": {job.error_message}" if job.error_message else ""
    hint = f" A retry may help: {cause.words}." if cause else ""
    return (
        f"{resource_id(job.name)} ended {job.state}{words.removesuffix('.')}.{hint} "
        "It is not submitted again by itself: change the job, or ask for it "
        "with retryFailed (stack configuration: tunestack:retry_failed)"
    )
