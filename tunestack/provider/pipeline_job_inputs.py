"""The inputs of a PipelineJob: their rules, and the identity of the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from tunestack.provider.job_identity import JobIdentity
from tunestack.provider.job_inputs import DisplayName, GcsDirectory, JobInputs, ServiceAccount
from tunestack.provider.values import Properties, has_unknown, plain
from tunestack.spec.spec_hash import canonical_json


def _template(uri: str) -> str:
    if not re.fullmatch(r"https://[a-z0-9-]+\.pkg\.dev/[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+", uri):
        raise ValueError(
            f"{uri!r}: Vertex AI takes a template from Artifact Registry only: "
            "https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY/TEMPLATE/VERSION"
        )
    return uri


class PipelineJobInputs(JobInputs):
    """A run of a compiled pipeline template; the names are those of Vertex AI's ``PipelineJob`` where it has them."""

    display_name: DisplayName
    template_uri: Annotated[str, AfterValidator(_template)]
    parameter_values: dict[str, Any]
    gcs_output_directory: GcsDirectory
    service_account: ServiceAccount | None = None


def _derived(inputs: Properties) -> dict[str, Any]:
    """Template, location and parameters; names to show decide nothing."""
    parameters = plain(inputs.get("parameterValues"))
    derived: dict[str, Any] = {key: plain(inputs.get(key)) for key in ("templateUri", "location")}
    if not isinstance(parameters, Mapping):
        return {**derived, "parameterValues": parameters}
    for key, value in parameters.items():
        if not key.endswith("display_name"):
            derived[f"parameterValues.{key}"] = value if has_unknown(value) else canonical_json(value)
    return derived


PIPELINE_JOB_IDENTITY = JobIdentity(_derived)
