"""One at a time looks for the job of a spec and submits it: also of several provider processes.

Two resources of one spec, created at once, would each find nothing to adopt and both submit. Where both have one
provider resource they are of one process; explicit provider resources are a process each, and so are two stacks that
are updated at once. Between processes the turn is a lock (``process_locks``): it covers what one user runs on one
machine. Between machines, or users, the id of a pipeline job makes the second create a conflict; tuning and custom
jobs are named by the server, and nothing keeps two machines from submitting one spec in the same second.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tunestack.provider.following import DEFAULT_DEADLINE
from tunestack.provider.process_locks import LockFile, Marks, lock_file
from tunestack.provider.resource import Call, Refused, Session
from tunestack.vertex.timing import backoff

NO_LOCKS = (
    f"no file can be locked in {tempfile.gettempdir()}: another process that creates a job of the same spec in the "
    "same second would submit it too; set TMPDIR to a folder where files can be locked"
)


@dataclass(frozen=True)
class Turn:
    """The right to look for a spec's job and to submit it."""

    marks: Marks
    name: tuple[str, ...]

    @property
    def submitted(self) -> bool:
        """Whether this update has submitted the spec already, for another resource: a retry is then no longer due."""
        return self.name in self.marks

    def note_submitted(self) -> None:
        """Tells whoever has the next turn in this update."""
        self.marks.set(*self.name)


class SubmissionTurns:
    """The turns of one kind of job; a session has those of one update."""

    def __init__(self, session: Session, collection: str, file: LockFile | None = None) -> None:
        self._session = session
        self._collection = collection
        self._file = file or lock_file()
        self._ours: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._warned = False

    @asynccontextmanager
    async def of(self, call: Call, project: str, location: str, spec_hash: str) -> AsyncIterator[Turn]:
        """The turn for one spec. Raises ``Refused`` where the call is stopped, or over, while it waits."""
        spec = (project, location, self._collection, spec_hash)
        turn = Turn(self._session.marks, ("submitted", *spec))
        name = "\n".join((self._session.configuration.endpoint or "", *spec))
        async with self._ours[name]:
            if self._file is None:
                await self._warn(call)
                yield turn
                return
            await self._wait(call, self._file, name)
            try:
                yield turn
            finally:
                self._file.release(name)

    async def _warn(self, call: Call) -> None:
        if not self._warned:
            self._warned = True
            await call.log.warning(NO_LOCKS)

    async def _wait(self, call: Call, file: LockFile, name: str) -> None:
        timing = self._session.timing
        end = timing.monotonic() + (call.deadline or DEFAULT_DEADLINE)
        attempt = 0
        while not file.take(name):
            if call.cancelled.is_set():
                raise Refused("ABORTED", "stopped before anything was submitted")
            if timing.monotonic() >= end:
                raise Refused(
                    "ABORTED",
                    "nothing was submitted: another process has been submitting the same spec all along",
                )
            await call.log.status("another process submits the same spec, waiting for what comes of it")
            await self._session.pause(backoff(attempt, timing, first=0.05, ceiling=1.0), call.cancelled)
            attempt += 1
