"""What a job's trainer prints and how far it got, as entries of Cloud Logging.

As Vertex AI writes them (cloud.google.com/vertex-ai/docs/training/monitor-debug-interactive-shell and
googleapis/python-aiplatform#629): resource type ``ml_job`` with the job's id and ``task_name``, the log called
after the task, a line in ``jsonPayload.message``. How far each file was read is kept with the job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.jobs.run import Run
from tunestack.emulator.services.cloud_logging_entries import write_entries

Json = dict[str, Any]

_TASK = "workerpool0-0"
_SERVICE = "service"
_AT_ONCE = 1 << 20  # bytes of a file


def forward(run: Run, folder: Path) -> None:
    """Write what is new since the last time."""
    read = dict(run.notes.get("logged", {}))
    entries: list[Json] = []
    for file in ("trainer.log", "output/progress.jsonl"):
        text, end = _new_lines(folder / file, read.get(file, 0))
        read[file] = end
        entries += [_entry(run, _TASK, _payload(line)) for line in text.splitlines() if line.strip()]
    if entries:
        with run.state.database.transaction():
            write_entries(run.state, entries)
            run.note(logged=read)


def say(run: Run, message: str, severity: str = "INFO") -> None:
    """A line of the service's own about the job."""
    with run.state.database.transaction():
        write_entries(run.state, [{**_entry(run, _SERVICE, {"message": message}), "severity": severity}])


def _new_lines(path: Path, start: int) -> tuple[str, int]:
    """The whole lines after byte ``start``, and where they end."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(_AT_ONCE)
    except FileNotFoundError:
        return "", start
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace"), start + len(whole)


def _payload(line: str) -> Json:
    """A line that is a JSON object gives its fields, as Vertex AI's agent gives them, beside the message."""
    try:
        body = orjson.loads(line)
    except orjson.JSONDecodeError:
        body = None
    fields = body if isinstance(body, dict) else {}
    return {**fields, "message": str(fields.get("message", line)), "levelname": "INFO"}


def _entry(run: Run, task: str, payload: Json) -> Json:
    project = run.state.projects.id(run.name.split("/")[1])
    return {
        "logName": f"projects/{project}/logs/{task}",
        "resource": {
            "type": "ml_job",
            "labels": {"project_id": project, "job_id": run.identifier, "task_name": task},
        },
        "labels": {"ml.googleapis.com/job_id/log_area": "root"},
        "severity": "INFO",
        "jsonPayload": payload,
    }
