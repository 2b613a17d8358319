"""What a PipelineJob answer of Vertex AI says: state, progress, results, the reason of a failure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tunestack.vertex.job import Job, JobCollection, number
from tunestack.vertex.job_state import short_state

PIPELINE_JOBS = JobCollection(
    "pipelineJobs",
    "pipeline job",
    id_parameter="pipelineJobId",
    told="jobDetail/taskDetails(taskName,state,error,execution/metadata)",
)

UPLOAD_TASKS = ("upload-llm-model", "upload-model", "text-embedding-model-uploader")
"""Tasks whose execution names the tuned model, in the order in which Google's SDK looks for them."""

DEPLOY_TASKS = ("deploy-llm-model", "deploy-model")
TUNE_TASKS = ("tune", "large-language-model-tuner", "tune-large-model")


@dataclass(frozen=True)
class PipelineJob(Job):
    """A reading view of the JSON of ``projects.locations.pipelineJobs``."""

    collection: ClassVar[JobCollection] = PIPELINE_JOBS

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """The failed tasks' own errors before the job's, which often only repeats that they failed."""
        tasks = [
            {**error, "message": f"{task.get('taskName')}: {error.get('message')}"}
            for task in self.tasks
            if isinstance(error := task.get("error"), Mapping) and error.get("message")
        ]
        return [*tasks, *super().errors]

    @property
    def tasks(self) -> list[Mapping[str, Any]]:
        """``jobDetail.taskDetails``."""
        details = (self.json.get("jobDetail") or {}).get("taskDetails") or []
        return [task for task in details if isinstance(task, Mapping)]

    def _metadata(self, names: tuple[str, ...]) -> Mapping[str, Any]:
        by_name = {str(task.get("taskName")): task for task in self.tasks}
        for name in names:
            metadata = (by_name.get(name, {}).get("execution") or {}).get("metadata")
            if isinstance(metadata, Mapping):
                return metadata
        return {}

    @property
    def model(self) -> str:
        """Full name of the tuned model, once it is uploaded."""
        return str(self._metadata(UPLOAD_TASKS).get("output:model_resource_name") or "")

    @property
    def endpoints(self) -> Sequence[str]:
        """The endpoint that serves it, once it is deployed."""
        name = self._metadata(DEPLOY_TASKS).get("output:endpoint_resource_name")
        return (str(name),) if name else ()

    @property
    def tuning(self) -> dict[str, float]:
        """What the tuning task measured: steps, bestStep, bestEvalLoss, seconds; absent what it did not say."""
        metadata = self._metadata(TUNE_TASKS)
        names = {
            "steps": "steps",
            "bestStep": "best_step",
            "bestEvalLoss": "best_eval_loss",
            "seconds": "seconds",
        }
        return {
            ours: value
            for ours, theirs in names.items()
            if (value := number(metadata.get(theirs))) is not None
        }

    @property
    def progress(self) -> str:
        """One short line for the resource's row; the share done comes first, so that a display can draw a bar."""
        live = [task for task in self.tasks if state_of_task(task) in ("RUNNING", "PENDING")]
        task = next((task for task in live if state_of_task(task) == "RUNNING"), live[0] if live else None)
        if task is None or self.state != "RUNNING":
            return self.state.lower()
        name = str(task.get("taskName"))
        metadata = (task.get("execution") or {}).get("metadata")
        if name in TUNE_TASKS and isinstance(metadata, Mapping):
            return _tuning_line(metadata)
        return name.replace("-", " ")


def state_of_task(task: Mapping[str, Any]) -> str:
    """``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, … of one entry of ``taskDetails``."""
    return short_state(str(task.get("state") or ""))


def _tuning_line(metadata: Mapping[str, Any]) -> str:
    step, steps = number(metadata.get("step")), number(metadata.get("steps"))
    phase = str(metadata.get("phase") or "")
    parts = []
    if step is not None and steps:
        parts += [f"tune {100 * step / steps:.0f} %", f"step {step:.0f}/{steps:.0f}"]
    else:
        parts.append(f"tune {phase}".strip())
    if phase and phase not in ("training", "done") and len(parts) > 1:
        parts.append(phase)
    if (loss := number(metadata.get("loss"))) is not None:
        parts.append(f"loss {loss:.2f}")
    if (eval_loss := number(metadata.get("eval_loss"))) is not None:
        parts.append(f"eval {eval_loss:.2f}")
    if (eta := number(metadata.get("eta_seconds"))) is not None:
        parts.append(f"ETA {duration(eta)}")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """``58 s``, ``12 min``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
