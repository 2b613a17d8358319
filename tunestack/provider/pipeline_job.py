"""``tunestack:vertex:PipelineJob``: a run of a tuning pipeline as a resource."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from tunestack.provider.inputs import known_fields
from tunestack.provider.job_declaration import JOB_OUTPUTS
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import JobInputs
from tunestack.provider.job_resource import JobResource
from tunestack.provider.pipeline_job_inputs import PIPELINE_JOB_IDENTITY, PipelineJobInputs
from tunestack.provider.values import Properties
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

    def job_id(self, spec: PipelineJobInputs, hash_: str) -> str:
        """See ``new_job_id``."""
        timing = self.session.timing
        return new_job_id(spec.display_name, hash_, timing.wall(), timing.chance())

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


def new_job_id(display_name: str, hash_: str, wall: float, chance: float) -> str:
    """A pipeline job id that tells what it is: slug, spec hash, UTC time, four digits of chance.

    Source of the form: ``^[a-z][-a-z0-9]{0,127}$`` (google-cloud-aiplatform, ``_VALID_NAME_PATTERN``).
    """
    slug = re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"job-{slug}".strip("-")
    moment = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%d%H%M%S")
    return f"{slug[:90].rstrip('-')}-{hash_[:8]}-{moment}-{int(chance * 0x10000):04x}"
