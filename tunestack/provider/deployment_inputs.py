"""The inputs of a Deployment and their rules. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from tunestack.provider.custom_job_inputs import MachineSpec
from tunestack.provider.inputs import Inputs
from tunestack.provider.job_inputs import DisplayName, EncryptionSpec, Location, Project, ServiceAccount
from tunestack.provider.model_version_inputs import Labels, PinnedModel
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import UNKNOWN, Properties, plain
from tunestack.vertex.client import location_of
from tunestack.vertex.model import ModelName

Count = Annotated[int, Field(ge=1, le=10_000)]


def _numbered(name: str) -> str:
    if not ModelName.parse(name).version:
        raise ValueError(
            f"{name!r}: what is served must be pinned; name the number of the version, models/M@2"
        )
    return name


class AutoscalingMetricSpec(Inputs):
    """What the number of replicas follows: ``aiplatform.googleapis.com/prediction/online/…``, and its target."""

    metric_name: Annotated[str, Field(min_length=1)]
    target: Annotated[int | None, Field(ge=1)] = None


class AutomaticResources(Inputs):
    """Machines of Vertex AI's choice, for models that support it."""

    min_replica_count: Count | None = None
    max_replica_count: Count | None = None

    @model_validator(mode="after")
    def _bounds(self) -> AutomaticResources:
        _ordered(self.min_replica_count or 1, self.max_replica_count)
        return self


class DedicatedResources(Inputs):
    """Machines of one's own, paid for while they are deployed."""

    machine_spec: MachineSpec
    min_replica_count: Count
    max_replica_count: Count | None = None
    required_replica_count: Count | None = None
    spot: bool | None = None
    autoscaling_metric_specs: list[AutoscalingMetricSpec] | None = None

    @model_validator(mode="after")
    def _bounds(self) -> DedicatedResources:
        _ordered(self.min_replica_count, self.max_replica_count)
        if self.machine_spec.machine_type is None:
            raise ValueError("machineSpec.machineType is required")
        if (self.machine_spec.accelerator_type is None) != (self.machine_spec.accelerator_count is None):
            raise ValueError("machineSpec: give acceleratorType and acceleratorCount, or neither")
        return self


def _ordered(least: int, most: int | None) -> None:
    if most is not None and most < least:
        raise ValueError(f"maxReplicaCount {most} is below minReplicaCount {least}")


class DeploymentInputs(Inputs):
    """A version of a tuned model on an endpoint, and its share of the requests.

    Exactly one of ``dedicated_resources``, ``automatic_resources`` and ``shared_resources`` (a DeploymentResourcePool).
    None of them: a shared adapter, which its tuning job deployed already; it is looked up, and nothing is done.
    ``endpoint``: an existing one, which is never deleted; absent, one is made and deleted with this resource.
    ``traffic``: percent; other deployments of the endpoint share the rest as they do now.
    """

    project: Project
    location: Location
    model: Annotated[PinnedModel, AfterValidator(_numbered)]
    endpoint: Annotated[str | None, Field(pattern=r"^projects/[^/]+/locations/[^/]+/endpoints/[^/]+$")] = None
    display_name: DisplayName | None = None
    labels: Labels = None
    traffic: Annotated[int | None, Field(ge=0, le=100)] = None
    dedicated_resources: DedicatedResources | None = None
    automatic_resources: AutomaticResources | None = None
    shared_resources: Annotated[
        str | None, Field(pattern=r"^projects/[^/]+/locations/[^/]+/deploymentResourcePools/[^/]+$")
    ] = None
    service_account: ServiceAccount | None = None
    checkpoint_id: Annotated[str | None, Field(min_length=1)] = None
    encryption_spec: EncryptionSpec | None = None

    @property
    def share(self) -> int:
        """Percent of the requests; all of them unless it says otherwise."""
        return 100 if self.traffic is None else self.traffic

    def resources(self) -> dict[str, Any]:
        """The one kind of resources, under its name on the wire; empty for a shared adapter."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {kind: given[kind] for kind in RESOURCES if kind in given}


RESOURCES = ("dedicatedResources", "automaticResources", "sharedResources")
REPLICAS = ("minReplicaCount", "maxReplicaCount", "requiredReplicaCount", "autoscalingMetricSpecs")
"""What Vertex AI changes without deploying anew (MutateDeployedModelRequest)."""

NEEDS_RESOURCES = (
    "endpoint",
    "displayName",
    "labels",
    "traffic",
    "serviceAccount",
    "checkpointId",
    "encryptionSpec",
)


def deployment_problems(inputs: Properties) -> list[PropertyProblem]:
    """Rules between properties; ``inputs`` may hold unknown values."""
    given: Properties = {key: value for key, value in plain(inputs).items() if value is not None}
    problems = []
    kinds = [kind for kind in RESOURCES if kind in given]
    if len(kinds) > 1:
        problems.append(
            PropertyProblem(kinds[1], f"give one of {', '.join(RESOURCES)}, not {' and '.join(kinds)}")
        )
    if not kinds:
        problems += [
            PropertyProblem(
                key,
                "has no effect on a shared adapter: its tuning job has deployed it, and no machines are needed; "
                f"leave it out, or give one of {', '.join(RESOURCES)}",
            )
            for key in NEEDS_RESOURCES
            if key in given
        ]
    location = given.get("location", UNKNOWN)
    for key, name in (
        ("model", given.get("model")),
        ("endpoint", given.get("endpoint")),
        ("sharedResources", given.get("sharedResources")),
        ("encryptionSpec.kmsKeyName", _key(given.get("encryptionSpec"))),
    ):
        if isinstance(name, str) and isinstance(location, str) and location_of(name) != location:
            problems.append(
                PropertyProblem(
                    key,
                    f"{name} is not in {location}: copy the model with a ModelVersion"
                    if key == "model"
                    else f"{name} is not in {location}",
                )
            )
    if "endpoint" in given and "encryptionSpec" in given:
        problems.append(PropertyProblem("encryptionSpec", "is for an endpoint that is made; this one exists"))
    if "endpoint" in given and "labels" in given:
        problems.append(PropertyProblem("labels", "are for an endpoint that is made; this one exists"))
    return problems


def _key(spec: object) -> object:
    return spec.get("kmsKeyName") if isinstance(spec, dict) else None
