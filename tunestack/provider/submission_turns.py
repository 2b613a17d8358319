"""One at a time looks for the job of a spec and submits it: also of several provider processes.

Two resources of one spec, created at once, would each find nothing to adopt and both submit. Where both have one
provider resource they are of one process; explicit provider resources are a process each, and so are two stacks that
are updated at once. Between processes the turn is a lock (``process_locks``), and a create that is under way is noted:
who comes after a process that was killed there looks until sure. This covers what one user runs on one machine.
Between machines, or users, the id of a pipeline job makes the second create a conflict; tuning and custom jobs are
named by the server, and nothing keeps two machines from submitting one spec in the same second.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tunestack.provider.following import DEFAULT_DEADLINE
from tunestack.provider.process_locks import LockFile, Notes, shared
from tunestack.provider.resource import Call, Refused, Session
from tunestack.vertex.timing import backoff

NO_LOCKS = (
    f"no file can be locked in {tempfile.gettempdir()}: another process that creates a job of the same spec in the "
    "same second would submit it too; set TMPDIR to a folder where files can be locked"
)


@dataclass(frozen=True)
class Turn:
    """The right to look for a spec's job and to submit it."""

    session: Session
    name: tuple[str, ...]
    notes: Notes | None = None

    @property
    def submitted(self) -> bool:
        """Whether this update has submitted the spec already, for another resource: a retry is then no longer due."""
        return ("submitted", *self.name) in self.session.marks

    def note_submitted(self) -> None:
        """Tells whoever has the next turn in this update."""
        self.session.marks.set("submitted", *self.name)

    def may_arrive(self, within: float) -> bool:
        """Whether a create of someone else, whose end is not known, left less than ``within`` seconds ago."""
        note = self.notes.read("\n".join(self.name)) if self.notes is not None else None
        if note is None:
            return False
        try:
            age = self.session.timing.wall() - float(note)
        except ValueError:
            return True
        return age < within

    def leaves(self) -> None:
        """Notes that a create leaves now. A note that cannot be written is one that nobody reads."""
        if self.notes is not None:
            with suppress(OSError):
                self.notes.write("\n".join(self.name), str(self.session.timing.wall()))

    def settled(self) -> None:
        """It is known what came of the create."""
        if self.notes is not None:
            with suppress(OSError):
                self.notes.remove("\n".join(self.name))


class SubmissionTurns:
    """The turns of one kind of job; a session has those of one update."""

    def __init__(self, session: Session, collection: str) -> None:
        self._session = session
        self._collection = collection
        self._ours: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._warned = False

    @asynccontextmanager
    async def of(self, call: Call, project: str, location: str, spec_hash: str) -> AsyncIterator[Turn]:
        """The turn for one spec. Raises ``Refused`` where the call is stopped, or over, while it waits."""
        host = self._session.configuration.endpoint or ""
        name = (host, project, location, self._collection, spec_hash)
        lock = "\n".join(name)
        there = shared()
        async with self._ours[lock]:
            if there is None:
                await self._warn(call)
                yield Turn(self._session, name)
                return
            await self._wait(call, there.locks, lock)
            try:
                yield Turn(self._session, name, there.notes)
            finally:
                there.locks.release(lock)

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
