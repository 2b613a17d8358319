"""``tunestack:vertex:CustomJob``: a trainer of one's own on chosen accelerators as a resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tunestack.provider.custom_job_inputs import CUSTOM_JOB_IDENTITY, CustomJobInputs
from tunestack.provider.custom_job_rules import custom_job_problems
from tunestack.provider.inputs import known_fields, whole_numbers
from tunestack.provider.job_declaration import JOB_OUTPUTS
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import JobInputs
from tunestack.provider.job_resource import JobResource
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import Properties
from tunestack.vertex.custom_job import CustomJob


class CustomJobResource(JobResource[CustomJobInputs, CustomJob]):
    """A custom job. The server names it; what it trains lies in its output directory."""

    token: ClassVar[str] = "tunestack:vertex:CustomJob"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (*JOB_OUTPUTS, "modelDirectory", "webAccessUris")
    identity: ClassVar[JobIdentity] = CUSTOM_JOB_IDENTITY
    inputs_model = CustomJobInputs
    view = CustomJob

    def rules(self, inputs: Properties) -> Sequence[PropertyProblem]:
        """See ``custom_job_problems``."""
        return custom_job_problems(inputs)

    def request_body(self, spec: CustomJobInputs) -> dict[str, Any]:
        """The fields of the job, as they are."""
        ours = set(JobInputs.model_fields)
        body: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=ours)
        return body

    def imported_inputs(self, job: CustomJob) -> Properties:
        """Every input field that the server tells."""
        told = {key: value for key, value in job.json.items() if key != "labels"}
        fields: Properties = whole_numbers(known_fields(CustomJobInputs, told), frozenset({"replicaCount"}))
        return fields

    def results(self, job: CustomJob) -> Properties:
        """Where the model lies, and the shells of the replicas while they run."""
        return {
            "modelDirectory": job.model_directory or None,
            "webAccessUris": job.web_access_uris or None,
        }
