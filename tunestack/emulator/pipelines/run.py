"""One pipeline job while it runs: its row, its private notes, and the words to change them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.pipelines.templates import Template

if TYPE_CHECKING:
    from tunestack.emulator.pipelines.training import Training
    from tunestack.emulator.state import State

Json = dict[str, Any]


class Run:
    """Reads and writes through to the database, so that nothing is known only here."""

    def __init__(self, state: State, name: str, template: Template) -> None:
        self.state = state
        self.name = name
        self.template = template
        self.training: Training | None = None

    @property
    def row(self) -> Json:
        return self.state.rows.get(self.name)

    @property
    def notes(self) -> Json:
        """What only the emulator knows of the job: drawn ids, starts, scripted outcome."""
        found = self.state.database.one("SELECT body FROM job WHERE name = ?", self.name)
        return orjson.loads(found[0]) if found else {}

    def note(self, **changes: Any) -> Json:
        notes = {**self.notes, **changes}
        self.state.database.execute("UPDATE job SET body = ? WHERE name = ?", orjson.dumps(notes), self.name)
        return notes

    @property
    def folder(self) -> Path:
        return self.state.runner.folder(self.name)

    @property
    def identifier(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def parent(self) -> str:
        return self.name.rpartition("/pipelineJobs/")[0]

    @property
    def model_parent(self) -> str:
        """Where the tuned model is registered: the ``location`` parameter says, not where the job runs."""
        return f"{'/'.join(self.parent.split('/')[:2])}/locations/{self.parameters['location']}"

    @property
    def parameters(self) -> Json:
        return self.template.with_defaults(self.row.get("runtimeConfig", {}).get("parameterValues", {}))

    @property
    def output_uri(self) -> str:
        """Where the job's artifacts go: ``gs://…/<pipeline job id>``."""
        return f"{self.row['runtimeConfig']['gcsOutputDirectory'].rstrip('/')}/{self.identifier}"

    def change(self, **fields: Any) -> None:
        self.state.rows.put(self.name, {**self.row, **fields, "updateTime": self.state.now()})

    def change_task(self, task: str, *, metadata: Json | None = None, **fields: Any) -> None:
        """Change a task's detail; ``metadata`` is merged into its execution's."""
        row = self.row
        now = self.state.now()
        for detail in row["jobDetail"]["taskDetails"]:
            if detail["taskName"] != task:
                continue
            state = fields.get("state")
            if state and state != detail["state"]:
                entry = {"state": state, "updateTime": now}
                if "error" in fields:
                    entry["error"] = fields["error"]
                detail["pipelineTaskStatus"].append(entry)
                execution_state = {"RUNNING": "RUNNING", "SUCCEEDED": "COMPLETE", "CANCELLED": "CANCELLED"}
                if state != "CANCELLING":
                    detail["execution"]["state"] = execution_state.get(state, "FAILED")
                detail["execution"]["updateTime"] = now
            detail.update(fields)
            if metadata:
                detail["execution"]["metadata"] = {**detail["execution"].get("metadata", {}), **metadata}
        self.state.rows.put(self.name, {**row, "updateTime": now})

    def task(self, name: str) -> Json:
        return next(detail for detail in self.row["jobDetail"]["taskDetails"] if detail["taskName"] == name)
