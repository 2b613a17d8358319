"""Which accelerators a machine has, and the quotas that count them.

Names of machine types and accelerators: the discovery document's AcceleratorType and cloud.google.com/vertex-ai/docs/
training/configure-compute. TPU v5e and v6e are chosen by the machine type alone; TPU v3 is counted in cores.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from tunestack.emulator.services import quotas
from tunestack.emulator.state import State

Json = dict[str, Any]

_GPUS = {
    "NVIDIA_TESLA_V100": "V100GPUs",
    "NVIDIA_TESLA_P100": "P100GPUs",
    "NVIDIA_TESLA_T4": "T4GPUs",
    "NVIDIA_L4": "L4GPUs",
    "NVIDIA_TESLA_A100": "A100GPUs",
    "NVIDIA_A100_80GB": "A10080GBGPUs",
    "NVIDIA_H100_80GB": "H100GPUs",
    "NVIDIA_H100_MEGA_80GB": "H100MEGAGPUs",
    "NVIDIA_H200_141GB": "H200GPUs",
    "NVIDIA_B200": "B200GPUs",
    "TPU_V3": "V3TPUs",
}
_TPU_MACHINES = {"ct5lp-hightpu": "V5ETPU", "ct6e-standard": "V6ETPU"}


def of_machine(machine: Json, replicas: int) -> Counter[str]:
    """The part of the quota's id -> accelerators of ``replicas`` machines of a ``machineSpec``."""
    family, _, size = machine.get("machineType", "").rpartition("-")
    if family in _TPU_MACHINES:
        topology = machine.get("tpuTopology", "")
        chips = math.prod(map(int, topology.split("x"))) if re.fullmatch(r"\d+(x\d+)+", topology) else 0
        # A topology names all chips of the slice, whatever the number of hosts.
        return Counter({_TPU_MACHINES[family]: chips or int(size.removesuffix("t") or 0) * replicas})
    what = _GPUS.get(machine.get("acceleratorType", ""))
    return Counter({what: int(machine.get("acceleratorCount", 0)) * replicas}) if what else Counter()


def of_pools(use: str, pools: list[Json]) -> Counter[str]:
    """Quota id -> accelerators of worker pools (or of anything with ``machineSpec`` and ``replicaCount``)."""
    found: Counter[str] = Counter()
    for pool in pools:
        for what, number in of_machine(pool.get("machineSpec", {}), int(pool.get("replicaCount", 1))).items():
            found[f"{use}{what}PerProjectPerRegion"] += number
    return found


def require(state: State, parent: str, wanted: Counter[str], used: Counter[str]) -> None:
    """Raises 429 where ``wanted`` beside ``used`` is more than is in force in ``parent`` (a project's location)."""
    _, project, _, region = parent.split("/")
    for quota_id, number in wanted.items():
        quota = quotas.find_quota(quotas.VERTEX, quota_id)
        if quota is None:  # Google has no quota of that accelerator for that use
            continue
        value = quotas.enforced(state, project, quota, {"region": region})
        if value is not None and number and used[quota_id] + number > value:
            raise quotas.exceeded(quota, project, value)
