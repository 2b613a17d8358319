"""``tunestack:vertex:PipelineJob``: a run of a tuning pipeline as a resource."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from tunestack.provider.job_declaration import JOB_OUTPUTS
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_resource import JobResource
from tunestack.provider.pipeline_job_inputs import PIPELINE_JOB_IDENTITY, PipelineJobInputs
from tunestack.provider.values import Properties
from tunestack.vertex.pipeline_job import PipelineJob


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
        body: dict[str, Any] = {
            "displayName": spec.display_name,
            "templateUri": spec.template_uri,
            "runtimeConfig": {
                "gcsOutputDirectory": spec.gcs_output_directory,
                "parameterValues": spec.parameter_values,
            },
        }
        if spec.service_account is not None:
            body["serviceAccount"] = spec.service_account
        return body

    def imported_inputs(self, job: PipelineJob) -> Properties:
        """Template, parameters, folder and names."""
        runtime = job.json.get("runtimeConfig") or {}
        return {
            "displayName": job.json.get("displayName"),
            "templateUri": job.json.get("templateUri"),
            "parameterValues": runtime.get("parameterValues") or {},
            "gcsOutputDirectory": runtime.get("gcsOutputDirectory"),
            "serviceAccount": job.json.get("serviceAccount"),
        }

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
