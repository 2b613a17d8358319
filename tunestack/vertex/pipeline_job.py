"""What a PipelineJob answer of Vertex AI says: state, progress, results, the reason of a failure. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.job_state import StateRule, short_state, state_rule

UPLOAD_TASKS = ("upload-llm-model", "upload-model", "text-embedding-model-uploader")
"""Tasks whose execution names the tuned model, in the order in which Google's SDK looks for them."""

DEPLOY_TASKS = ("deploy-llm-model", "deploy-model")
TUNE_TASKS = ("tune", "large-language-model-tuner", "tune-large-model")


@dataclass(frozen=True)
class PipelineJob:
    """A reading view of the JSON of ``projects.locations.pipelineJobs``."""

    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Full resource name."""
        return str(self.json.get("name") or "")

    @property
    def state(self) -> str:
        """State without its prefix: ``RUNNING``."""
        return short_state(str(self.json.get("state") or "")) or "UNSPECIFIED"

    @property
    def rule(self) -> StateRule:
        """The row of the state table."""
        return state_rule(self.state)

    @property
    def labels(self) -> Mapping[str, str]:
        """The job's labels."""
        return self.json.get("labels") or {}

    @property
    def spec_hash(self) -> str:
        """The spec hash it was submitted with; empty for a job of someone else."""
        return self.labels.get(SPEC_HASH_LABEL, "")

    @property
    def created(self) -> str:
        """RFC 3339 moment of submission, which also sorts."""
        return str(self.json.get("createTime") or "")

    @property
    def error_code(self) -> int | None:
        """``google.rpc.Code`` of the failure: the failed task's own before the job's, which often only repeats."""
        for error in self._errors():
            code = error.get("code")
            if isinstance(code, int | float | str) and str(code).isdigit():
                return int(code)
        return None

    @property
    def error_message(self) -> str:
        """What failed, in Google's words; the task's own message where there is one."""
        messages = [str(error.get("message") or "").strip() for error in self._errors()]
        return next((message for message in messages if message), "")

    def _errors(self) -> list[Mapping[str, Any]]:
        found = [
            {**error, "message": f"{task.get('taskName')}: {error.get('message')}"}
            for task in self.tasks
            if isinstance(error := task.get("error"), Mapping) and error.get("message")
        ]
        error = self.json.get("error")
        return [*found, error] if isinstance(error, Mapping) else list(found)

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
    def endpoint(self) -> str:
        """Full name of the endpoint that serves it, once it is deployed."""
        return str(self._metadata(DEPLOY_TASKS).get("output:endpoint_resource_name") or "")

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
            ours: number
            for ours, theirs in names.items()
            if (number := _number(metadata.get(theirs))) is not None
        }

    @property
    def duration_seconds(self) -> float | None:
        """From the start of the run to its end; None before that."""
        start, end = self.json.get("startTime"), self.json.get("endTime")
        if not start or not end:
            return None
        return max(0.0, (_moment(str(end)) - _moment(str(start))).total_seconds())

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
    step, steps = _number(metadata.get("step")), _number(metadata.get("steps"))
    phase = str(metadata.get("phase") or "")
    parts = []
    if step is not None and steps:
        parts += [f"tune {100 * step / steps:.0f} %", f"step {step:.0f}/{steps:.0f}"]
    else:
        parts.append(f"tune {phase}".strip())
    if phase and phase not in ("training", "done") and len(parts) > 1:
        parts.append(phase)
    if (loss := _number(metadata.get("loss"))) is not None:
        parts.append(f"loss {loss:.2f}")
    if (eval_loss := _number(metadata.get("eval_loss"))) is not None:
        parts.append(f"eval {eval_loss:.2f}")
    if (eta := _number(metadata.get("eta_seconds"))) is not None:
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


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)  # int64 travel as strings in Google's JSON
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
