"""What a TuningJob answer of Vertex AI says: state, progress, the tuned model and its checkpoints. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tunestack.vertex.job import Job, JobCollection, number

TUNING_JOBS = JobCollection(
    "tuningJobs",
    "tuning job",
    version="v1beta1",
    deletable=False,
    told="tunedModel,experiment,tuningDataStats,tuningJobState,tuningJobMetadata",
)
"""Read by v1beta1, which alone tells the phase and the steps done and knows every spec; there is no delete."""


@dataclass(frozen=True)
class TuningJob(Job):
    """A reading view of the JSON of ``projects.locations.tuningJobs``."""

    collection: ClassVar[JobCollection] = TUNING_JOBS

    @property
    def tuned_model(self) -> Mapping[str, Any]:
        """``tunedModel``; empty before it is there."""
        return self.json.get("tunedModel") or {}

    @property
    def model(self) -> str:
        """Full name of the tuned model's version, ``…/models/M@V``."""
        return str(self.tuned_model.get("model") or "")

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """``checkpointId``, ``epoch``, ``step``, ``endpoint`` of each; absent what it does not say."""
        found = [item for item in self.tuned_model.get("checkpoints") or [] if isinstance(item, Mapping)]
        return [
            {
                key: int(whole)
                if key in ("epoch", "step") and (whole := number(value)) is not None
                else value
                for key, value in item.items()
                if key in ("checkpointId", "epoch", "step", "endpoint")
            }
            for item in found
        ]

    @property
    def endpoints(self) -> Sequence[str]:
        """The tuned model's endpoint, then those of its intermediate checkpoints."""
        names = [self.tuned_model.get("endpoint"), *(item.get("endpoint") for item in self.checkpoints)]
        return list(dict.fromkeys(str(name) for name in names if name))

    @property
    def experiment(self) -> str:
        """The experiment that holds its metrics."""
        return str(self.json.get("experiment") or "")

    @property
    def data_statistics(self) -> Mapping[str, Any]:
        """``tuningDataStats`` of whichever method it is."""
        statistics = self.json.get("tuningDataStats") or {}
        return next((value for value in statistics.values() if isinstance(value, Mapping)), {})

    @property
    def progress(self) -> str:
        """Phase, and steps done of all where both are known."""
        if self.state != "RUNNING":
            return super().progress
        phase = str(self.json.get("tuningJobState") or "").removeprefix("TUNING_JOB_STATE_")
        metadata = self.json.get("tuningJobMetadata") or {}
        step, steps = (
            number(metadata.get("completedStepCount")),
            number(self.data_statistics.get("tuningStepCount")),
        )
        parts = ["tune"]
        if step is not None and steps:
            parts = [f"tune {100 * step / steps:.0f} %", f"step {step:.0f}/{steps:.0f}"]
        elif step is not None:
            parts = ["tune", f"step {step:.0f}"]
        if phase not in ("", "UNSPECIFIED", "TUNING"):
            parts.append(phase.lower().replace("_", " "))
        if (epoch := number(metadata.get("completedEpochCount"))) is not None:
            parts.append(f"epoch {epoch:.0f}")
        return " · ".join(parts)
