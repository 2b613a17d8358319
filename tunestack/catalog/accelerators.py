"""Which accelerators tune in which region, on what machine, with what batch size and under which quotas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tunestack.catalog.source import Source

_PIPELINE_SOURCE = Source(
    "google-cloud-pipeline-components 2.22.0, function_based.resolve_machine_spec", date(2026, 11, 22)
)
_BATCH_SOURCE = Source(
    "Sascha Heyer, 'Generative AI - How to Fine Tune LLMs' (2023); Google's SDK docstring confirms 8 only",
    date(2026, 11, 22),
    verified=False,
)


@dataclass(frozen=True)
class Accelerator:
    """One way to tune in one region.

    ``count`` is what Vertex counts: GPUs, or *cores* of a TPU pod. ``batch_size`` is in examples a step; the
    tuning pipelines fix it and take no parameter for it. ``quota`` is the name of the quota in Google's console.
    """

    kind: str
    region: str
    machine_type: str
    accelerator_type: str
    count: int
    batch_size: int
    quota: str
    description: str
    data_residency: str
    machine_source: Source
    batch_size_source: Source


ACCELERATORS: tuple[Accelerator, ...] = (
    Accelerator(
        kind="GPU",
        region="us-central1",
        machine_type="a2-ultragpu-8g",
        accelerator_type="NVIDIA_A100_80GB",
        count=8,
        batch_size=8,
        quota="Restricted image training Nvidia A100 80GB GPUs per region",
        description="8 × A100 80 GB",
        data_residency="US",
        machine_source=_PIPELINE_SOURCE,
        batch_size_source=_BATCH_SOURCE,
    ),
    Accelerator(
        kind="TPU",
        region="europe-west4",
        machine_type="cloud-tpu",
        accelerator_type="TPU_V3",
        count=64,
        batch_size=24,
        quota="Restricted image training TPU V3 pod cores per region",
        description="64 cores of a TPU v3 pod",
        data_residency="EU",
        machine_source=_PIPELINE_SOURCE,
        batch_size_source=_BATCH_SOURCE,
    ),
)


def accelerator_in(region: str) -> Accelerator | None:
    """Return the accelerator that tuning pipelines use in ``region``; None where they do not run."""
    return next((row for row in ACCELERATORS if row.region == region), None)
