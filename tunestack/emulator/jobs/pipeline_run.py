"""A pipeline job's run: what it has beside every job's is a template, parameters and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.templates import Template, find_template
from tunestack.emulator.services.vertex import with_etag

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]


class PipelineRun(Run):
    """``template`` is None where the emulator does not play it."""

    state_prefix = "PIPELINE_STATE_"

    def __init__(self, state: State, name: str) -> None:
        super().__init__(state, name)
        self.template: Template | None = find_template(self.row.get("templateUri", ""))

    @property
    def model_parent(self) -> str:
        """Where the tuned model is registered: the ``location`` parameter says, not where the job runs."""
        return f"{'/'.join(self.parent.split('/')[:2])}/locations/{self.parameters['location']}"

    @property
    def parameters(self) -> Json:
        values: Json = self.row.get("runtimeConfig", {}).get("parameterValues", {})
        return self.template.with_defaults(values) if self.template else values

    @property
    def output_uri(self) -> str:
        """Where the job's artifacts go: ``gs://…/<pipeline job id>``."""
        return f"{self.row['runtimeConfig']['gcsOutputDirectory'].rstrip('/')}/{self.identifier}"

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
                if state not in ("CANCELLING", "NOT_TRIGGERED"):
                    detail["execution"]["state"] = execution_state.get(state, "FAILED")
                detail["execution"]["updateTime"] = now
            detail.update(fields)
            if metadata:
                detail["execution"]["metadata"] = {**detail["execution"].get("metadata", {}), **metadata}
            if metadata or "state" in fields:
                self.changed_execution(detail["execution"])
        self.state.rows.put(self.name, {**row, "updateTime": now})

    def changed_execution(self, execution: Json) -> None:
        """The metadata store has what the detail has."""
        name = execution["name"]
        if (row := self.state.rows.find(name)) is not None:
            self.state.rows.put(
                name,
                with_etag(
                    {
                        **row,
                        "state": execution["state"],
                        "metadata": execution["metadata"],
                        "updateTime": self.state.now(),
                    }
                ),
            )

    def task(self, name: str) -> Json:
        return next(detail for detail in self.row["jobDetail"]["taskDetails"] if detail["taskName"] == name)
