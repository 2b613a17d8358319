"""The rules of a custom job that no property decides alone. Pure; what is unknown yet breaks no rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunestack.provider.property_rules import exactly_one, given, missing, value_at
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import Properties

Problems = Iterator[PropertyProblem]


def custom_job_problems(inputs: Properties) -> list[PropertyProblem]:
    """Every broken rule; ``inputs`` in the clear, with unknown values in them."""
    pools = value_at(inputs, "jobSpec.workerPoolSpecs")
    problems = [*_scheduling(inputs), *_access(inputs), *_region(inputs)]
    for index, pool in enumerate(pools if isinstance(pools, list) else ()):
        at = f"jobSpec.workerPoolSpecs[{index}]"
        # Only a pool after the first may be left empty, to keep the place of the roles (chief, workers, …).
        if isinstance(pool, Mapping) and (pool or index == 0):
            problems += [
                PropertyProblem(f"{at}.{problem.property}".rstrip("."), problem.reason)
                for problem in _pool(pool)
            ]
    return problems


def _pool(pool: Mapping[str, Any]) -> Problems:
    yield from exactly_one(pool, "", "containerSpec", "pythonPackageSpec")
    if missing(pool, "machineSpec.machineType"):
        yield PropertyProblem("machineSpec.machineType", "is required")
    kind, count = "machineSpec.acceleratorType", "machineSpec.acceleratorCount"
    if given(pool, kind) and missing(pool, count):
        yield PropertyProblem(count, "is required with acceleratorType")
    if given(pool, count) and missing(pool, kind):
        yield PropertyProblem(kind, "is required with acceleratorCount")
    affinity = value_at(pool, "machineSpec.reservationAffinity")
    if value_at(affinity, "reservationAffinityType") == "SPECIFIC_RESERVATION":
        for key in ("key", "values"):
            if missing(affinity, key):
                yield PropertyProblem(
                    f"machineSpec.reservationAffinity.{key}", "is required with SPECIFIC_RESERVATION"
                )


def _scheduling(inputs: Properties) -> Problems:
    at = "jobSpec.scheduling"
    strategy = value_at(inputs, f"{at}.strategy")
    if given(inputs, f"{at}.maxWaitDuration") and (strategy is None or strategy in ("STANDARD", "SPOT")):
        yield PropertyProblem(f"{at}.maxWaitDuration", "is for strategy FLEX_START")


def _access(inputs: Properties) -> Problems:
    """TensorBoard reads ``AIP_TENSORBOARD_LOG_DIR`` as the job's account (google-cloud-aiplatform, ``CustomJob``)."""
    spec = "jobSpec"
    if given(inputs, f"{spec}.tensorboard"):
        for needed in ("serviceAccount", "baseOutputDirectory"):
            if missing(inputs, f"{spec}.{needed}"):
                yield PropertyProblem(f"{spec}.{needed}", "is required with tensorboard")


def _region(inputs: Properties) -> Problems:
    location = inputs.get("location")
    for path in ("jobSpec.tensorboard", "encryptionSpec.kmsKeyName"):
        name = value_at(inputs, path)
        if isinstance(name, str) and isinstance(location, str) and f"/locations/{location}/" not in name:
            yield PropertyProblem(path, f"must lie in {location}, where the job runs")
