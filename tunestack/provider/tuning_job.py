"""``tunestack:vertex:TuningJob``: managed tuning of a model as a resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tunestack.provider.inputs import known_fields, whole_numbers
from tunestack.provider.job_declaration import JOB_OUTPUTS
from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import JobInputs
from tunestack.provider.job_resource import JobResource
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.tuning_job_inputs import TUNING_JOB_IDENTITY, TuningJobInputs, api_version
from tunestack.provider.tuning_job_rules import tuning_job_problems
from tunestack.provider.values import Properties
from tunestack.vertex.tuning_job import TuningJob

_INT64 = frozenset({"epochCount", "batchSize", "stepCount"})


class TuningJobResource(JobResource[TuningJobInputs, TuningJob]):
    """A tuning job. The server names it, and has neither patch nor delete for it."""

    token: ClassVar[str] = "tunestack:vertex:TuningJob"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (
        *JOB_OUTPUTS,
        "experiment",
        "checkpoints",
        "tuningDataStats",
    )
    identity: ClassVar[JobIdentity] = TUNING_JOB_IDENTITY
    inputs_model = TuningJobInputs
    view = TuningJob

    def rules(self, inputs: Properties) -> Sequence[PropertyProblem]:
        """See ``tuning_job_problems``."""
        return tuning_job_problems(inputs)

    def request_body(self, spec: TuningJobInputs) -> dict[str, Any]:
        """The fields of the job, as they are."""
        ours = set(JobInputs.model_fields)
        body: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=ours)
        return body

    def version(self, spec: TuningJobInputs) -> str:
        """See ``api_version``."""
        return api_version(self.request_body(spec))

    def imported_inputs(self, job: TuningJob) -> Properties:
        """Every input field that the server tells."""
        told = {key: value for key, value in job.json.items() if key != "labels"}
        fields: Properties = whole_numbers(known_fields(TuningJobInputs, told), _INT64)
        return fields

    def results(self, job: TuningJob) -> Properties:
        """Experiment, checkpoints, and what Google counted in the data."""
        return {
            "experiment": job.experiment or None,
            "checkpoints": job.checkpoints or None,
            "tuningDataStats": dict(job.data_statistics) or None,
        }
