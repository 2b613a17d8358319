"""One job while it runs: its row, its private notes, and the words to change them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.bigquery.billing_export import note_usage
from tunestack.emulator.jobs.states import ENDED, LIVE, Ended, TaskCancelled, TaskFailed, short_state

if TYPE_CHECKING:
    from tunestack.emulator.jobs.training import Training
    from tunestack.emulator.state import State

Json = dict[str, Any]


# Who a job is that names nobody (cloud.google.com/vertex-ai/docs/general/custom-service-account).
_DEFAULT_ACCOUNTS = {
    "pipelineJobs": "{}-compute@developer.gserviceaccount.com",
    "customJobs": "service-{}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com",
    "tuningJobs": "service-{}@gcp-sa-vertex-tune.iam.gserviceaccount.com",
}
_OTHERS = "service-{}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def account_of(collection: str, row: Json, parent: str) -> str:
    """The e-mail address of the account that a job of ``collection`` in ``parent`` runs as."""
    given = row.get("serviceAccount") or row.get("jobSpec", {}).get("serviceAccount")
    return str(given or _DEFAULT_ACCOUNTS.get(collection, _OTHERS).format(parent.split("/")[1]))


class Run:
    """Reads and writes through to the database, so that nothing is known only here."""

    state_prefix = "JOB_STATE_"

    def __init__(self, state: State, name: str) -> None:
        self.state = state
        self.name = name
        self.training: Training | None = None
        self.moved = asyncio.Event()
        """Set when the script of this job was replaced while it runs."""

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
        """``projects/<number>/locations/<location>``."""
        return "/".join(self.name.split("/")[:4])

    @property
    def account(self) -> str:
        """Who the job is, where it reads and writes."""
        return account_of(self.name.split("/")[4], self.row, self.parent)

    @property
    def short_state(self) -> str:
        return short_state(self.row["state"])

    def change(self, *, state: str | None = None, **fields: Any) -> None:
        """Keep ``fields`` (None removes one) and, given, the short name of a new state."""
        row = {key: value for key, value in {**self.row, **fields}.items() if value is not None}
        if state:
            row["state"] = self.state_prefix + state
        with self.state.database.transaction():
            self.state.rows.put(self.name, {**row, "updateTime": self.state.now()})
            if state in ENDED:
                note_usage(self.state, row)

    async def script_start(self) -> None:
        """Suffer a script that holds the job before it runs."""
        while True:
            outcome = self.notes.get("outcome")
            if not outcome or outcome["state"] not in ("QUEUED", "PENDING"):
                return
            self.moved.clear()
            self.change(state=outcome["state"])
            await self.moved.wait()

    async def script(self, task: str = "tune") -> bool:
        """Suffer what is scripted for ``task`` before its work begins; True where the work is to be skipped.

        Waits as long as the script says, or for ever in a live state. Raises `TaskFailed`, `TaskCancelled` or
        `Ended`. False without a script, and for one that waits for a step.
        """
        while True:
            outcome = self.notes.get("outcome")
            if not outcome or outcome["task"] != task or outcome["afterStep"] is not None:
                return False
            self.moved.clear()
            if await self._moved_within(outcome["afterSeconds"]):
                continue
            if outcome["state"] in LIVE:
                self.change(state=outcome["state"])
                await self.moved.wait()
                continue
            if self.short_state != "RUNNING":
                self.change(state="RUNNING")
            self._suffer(outcome)
            return True

    def script_step(self, step: int) -> None:
        """Suffer a script that waits for a step of the training. Raises as `script` does."""
        outcome = self.notes.get("outcome")
        if outcome and outcome["task"] == "tune" and step >= (outcome["afterStep"] or 0):
            self._suffer(outcome)

    def _suffer(self, outcome: Json) -> None:
        if outcome["state"] == "CANCELLED":
            raise TaskCancelled
        if outcome["state"] == "FAILED":
            raise TaskFailed(outcome["status"], outcome["message"])
        if outcome["state"] == "EXPIRED":
            raise Ended("EXPIRED")

    async def _moved_within(self, seconds: float) -> bool:
        """Wait until ``seconds`` of running have passed; True where the script was replaced before."""
        started = datetime.fromisoformat(self.row["startTime"])
        return await self.state.clock.wait_until(started + timedelta(seconds=seconds), self.moved)
