"""The inputs of a PipelineJob: their rules, and the identity of the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_identity import JobIdentity, decided_by
from tunestack.provider.job_inputs import (
    DisplayName,
    EncryptionSpec,
    GcsDirectory,
    JobInputs,
    Name,
    Network,
    PscInterfaceConfig,
    ServiceAccount,
)
from tunestack.provider.values import Properties, has_unknown, plain
from tunestack.spec.spec_hash import canonical_json


def _template(uri: str) -> str:
    if not re.fullmatch(r"https://[a-z0-9-]+\.pkg\.dev/[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+", uri):
        raise ValueError(
            f"{uri!r}: Vertex AI takes a template from Artifact Registry only: "
            "https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY/TEMPLATE/VERSION"
        )
    return uri


class InputArtifact(Inputs):
    """An artifact of the metadata store that a task reads."""

    artifact_id: Name


class PipelineJobInputs(JobInputs):
    """A run of a compiled pipeline template; the names are those of ``PipelineJob`` and its ``runtimeConfig``.

    A template comes by address: ``pipelineSpec`` and the ``parameters`` of templates before 2.1.0 are not taken.
    """

    display_name: DisplayName
    template_uri: Annotated[str, AfterValidator(_template)]
    parameter_values: dict[str, Any]
    gcs_output_directory: GcsDirectory
    service_account: ServiceAccount | None = None
    failure_policy: (
        Literal["PIPELINE_FAILURE_POLICY_FAIL_SLOW", "PIPELINE_FAILURE_POLICY_FAIL_FAST"] | None
    ) = None
    input_artifacts: dict[str, InputArtifact] | None = None
    encryption_spec: EncryptionSpec | None = None
    network: Network | None = None
    reserved_ip_ranges: list[str] | None = None
    psc_interface_config: PscInterfaceConfig | None = None
    preflight_validations: bool | None = None


def _derived(inputs: Properties) -> dict[str, Any]:
    """Template, location, parameters, artifacts and key; names to show decide nothing."""
    parameters = plain(inputs.get("parameterValues"))
    derived: dict[str, Any] = {key: plain(inputs.get(key)) for key in ("templateUri", "location")}
    derived |= decided_by(inputs, "inputArtifacts", "encryptionSpec")
    if not isinstance(parameters, Mapping):
        return {**derived, "parameterValues": parameters}
    for key, value in parameters.items():
        if not key.endswith("display_name"):
            derived[f"parameterValues.{key}"] = value if has_unknown(value) else canonical_json(value)
    return derived


PIPELINE_JOB_IDENTITY = JobIdentity(_derived)
