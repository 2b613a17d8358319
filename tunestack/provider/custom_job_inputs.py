"""The inputs of a CustomJob, field by field as in the v1 discovery document, and the identity of the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_identity import JobIdentity
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


def _duration(value: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,9})?s", value):
        raise ValueError(f"{value!r} is no duration: seconds with an s, such as 3600s")
    return value


Duration = Annotated[str, AfterValidator(_duration)]
Replicas = Annotated[int, Field(ge=0, lt=2**63), PlainSerializer(str, when_used="json")]
"""An int64, which Google's JSON writes as a string."""

AcceleratorType = Literal[
    "NVIDIA_TESLA_K80",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_T4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_L4",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
    "TPU_V2",
    "TPU_V3",
    "TPU_V4_POD",
    "TPU_V5_LITEPOD",
]


class ReservationAffinity(Inputs):
    """Which reservation the machines come from."""

    reservation_affinity_type: Literal["NO_RESERVATION", "ANY_RESERVATION", "SPECIFIC_RESERVATION"]
    key: str | None = None
    values: list[str] | None = None


class MachineSpec(Inputs):
    """The machine and what is built into it; TPU v5e and v6e are chosen by ``machineType`` and ``tpuTopology``."""

    machine_type: Name | None = None
    accelerator_type: AcceleratorType | None = None
    accelerator_count: Annotated[int | None, Field(ge=1)] = None
    tpu_topology: str | None = None
    reservation_affinity: ReservationAffinity | None = None
    gpu_partition_size: str | None = None


class DiskSpec(Inputs):
    """The boot disk."""

    boot_disk_type: Literal["pd-ssd", "pd-standard", "hyperdisk-balanced"] | None = None
    boot_disk_size_gb: Annotated[int | None, Field(ge=100, le=64_000)] = None


class NfsMount(Inputs):
    """A network file system under ``/mnt/nfs/``."""

    server: Name
    path: Name
    mount_point: Name


class LustreMount(Inputs):
    """A Lustre file system under ``/mnt/lustre/``."""

    filesystem: Name
    instance_ip: Name
    mount_point: Name
    volume_handle: Name


class EnvVar(Inputs):
    """A variable of the environment."""

    name: Name
    value: str


Environment = Annotated[list[EnvVar], Field(max_length=100)]


class ContainerSpec(Inputs):
    """A container; pin its image by digest: what a tag stands for may change, and nobody trains again for it."""

    image_uri: Name
    command: list[str] | None = None
    args: list[str] | None = None
    env: Environment | None = None


class PythonPackageSpec(Inputs):
    """A Python package in a container of Google's."""

    executor_image_uri: Name
    package_uris: Annotated[list[str], Field(min_length=1, max_length=100)]
    python_module: Name
    args: list[str] | None = None
    env: Environment | None = None


class WorkerPoolSpec(Inputs):
    """Machines that run one container each. A pool that is left empty keeps its place in the list."""

    machine_spec: MachineSpec | None = None
    replica_count: Replicas | None = None
    disk_spec: DiskSpec | None = None
    nfs_mounts: list[NfsMount] | None = None
    lustre_mounts: list[LustreMount] | None = None
    container_spec: ContainerSpec | None = None
    python_package_spec: PythonPackageSpec | None = None


class Scheduling(Inputs):
    """How long it may run and wait, and on what terms; ``ON_DEMAND`` and ``LOW_COST`` are the old names."""

    timeout: Duration | None = None
    restart_job_on_worker_restart: bool | None = None
    strategy: Literal["STANDARD", "SPOT", "FLEX_START"] | None = None
    disable_retries: bool | None = None
    max_wait_duration: Duration | None = None


class BaseOutputDirectory(Inputs):
    """The folder behind ``AIP_MODEL_DIR``, ``AIP_CHECKPOINT_DIR`` and ``AIP_TENSORBOARD_LOG_DIR``."""

    output_uri_prefix: GcsDirectory


class JobSpec(Inputs):
    """``CustomJobSpec``."""

    worker_pool_specs: Annotated[list[WorkerPoolSpec], Field(min_length=1)]
    scheduling: Scheduling | None = None
    service_account: ServiceAccount | None = None
    network: Network | None = None
    reserved_ip_ranges: list[str] | None = None
    psc_interface_config: PscInterfaceConfig | None = None
    base_output_directory: BaseOutputDirectory | None = None
    tensorboard: Annotated[
        str | None, Field(pattern=r"^projects/[^/]+/locations/[^/]+/tensorboards/[^/]+$")
    ] = None
    enable_web_access: bool | None = None
    enable_dashboard_access: bool | None = None
    experiment: str | None = None
    experiment_run: str | None = None
    persistent_resource_id: str | None = None
    protected_artifact_location_id: str | None = None
    models: list[str] | None = None


class CustomJobInputs(JobInputs):
    """A job of your own container on accelerators of your choice; the names are those of Vertex AI's ``CustomJob``."""

    display_name: DisplayName
    job_spec: JobSpec
    encryption_spec: EncryptionSpec | None = None


_DECIDING = ("baseOutputDirectory", "models")


def _derived(inputs: Properties) -> dict[str, Any]:
    """What runs on what machines, where it leaves the result, region and key.

    When and on what terms (``scheduling``, reservations), as whom, over which network and what is watched of it
    decide nothing.
    """
    derived: dict[str, Any] = {
        key: _canonical(plain(inputs.get(key)))
        for key in ("location", "encryptionSpec")
        if inputs.get(key) is not None
    }
    job_spec = plain(inputs.get("jobSpec"))
    if not isinstance(job_spec, Mapping):
        return {**derived, "jobSpec": job_spec}
    for key in _DECIDING:
        if job_spec.get(key) is not None:
            derived[f"jobSpec.{key}"] = _canonical(job_spec[key])
    pools = job_spec.get("workerPoolSpecs")
    if not isinstance(pools, list):
        return {**derived, "jobSpec.workerPoolSpecs": pools}
    for index, pool in enumerate(pools):
        path = f"jobSpec.workerPoolSpecs[{index}]"
        if not isinstance(pool, Mapping):
            derived[path] = _canonical(pool)
            continue
        for key, value in pool.items():
            if key == "machineSpec" and isinstance(value, Mapping):
                value = {name: part for name, part in value.items() if name != "reservationAffinity"}
            derived[f"{path}.{key}"] = _canonical(value)
    return derived


def _canonical(value: Any) -> Any:
    return value if has_unknown(value) else canonical_json(value)


CUSTOM_JOB_IDENTITY = JobIdentity(_derived)
