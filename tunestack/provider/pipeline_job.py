"""``tunestack:vertex:PipelineJob``: a run of a tuning pipeline as a resource."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any, ClassVar

from tunestack.provider.inputs import known_fields
from tunestack.provider.job_declaration import JOB_OUTPUTS
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import JobInputs
from tunestack.provider.job_resource import JobResource
from tunestack.provider.pipeline_job_inputs import PIPELINE_JOB_IDENTITY, PipelineJobInputs
from tunestack.provider.values import Properties
from tunestack.vertex.client import resource_id
from tunestack.vertex.pipeline_job import PipelineJob

_RUNTIME = ("gcsOutputDirectory", "parameterValues", "failurePolicy", "inputArtifacts")
"""Inputs that are fields of ``runtimeConfig``."""


class PipelineJobResource(JobResource[PipelineJobInputs, PipelineJob]):
    """A pipeline job. Its id is chosen before it is sent, so that a lost answer is looked up by it."""

    token: ClassVar[str] = "tunestack:vertex:PipelineJob"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (*JOB_OUTPUTS, "tuning")
    identity: ClassVar[JobIdentity] = PIPELINE_JOB_IDENTITY
    inputs_model = PipelineJobInputs
    view = PipelineJob

    def job_id(self, hash_: str, known: Collection[str]) -> str:
        """See ``new_job_id``."""
        return new_job_id(hash_, {resource_id(name) for name in known})

    def request_body(self, spec: PipelineJobInputs) -> dict[str, Any]:
        """A run of the template."""
        ours = set(JobInputs.model_fields)
        given: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=ours)
        runtime = {key: given.pop(key) for key in _RUNTIME if key in given}
        return {**given, "runtimeConfig": runtime}

    def imported_inputs(self, job: PipelineJob) -> Properties:
        """Every input field that the server tells."""
        runtime = job.json.get("runtimeConfig") or {}
        told = {key: value for key, value in job.json.items() if key != "labels"}
        told |= {"parameterValues": {}, **{key: runtime[key] for key in _RUNTIME if key in runtime}}
        fields: Properties = known_fields(PipelineJobInputs, told)
        return fields

    def results(self, job: PipelineJob) -> Properties:
        """What the tuning task measured."""
        return {"tuning": job.tuning or None}


def new_job_id(hash_: str, taken: Collection[str]) -> str:
    """The pipeline job id of the next run of a spec: its hash, and the number of its runs so far.

    Whoever submits the same run gives it the same id, so one of two creates is refused as a conflict: also one that
    was under way when its sender was killed and arrives after the next `up` has looked for it in vain.
    Source of the form: ``^[a-z][-a-z0-9]{0,127}$`` (google-cloud-aiplatform, ``_VALID_NAME_PATTERN``).
    """
    numbers = itertools.count(len(taken))  # of some the record was deleted, others have ids of an older form
    return next(id_ for id_ in (f"tunestack-{hash_}-{number}" for number in numbers) if id_ not in taken)
