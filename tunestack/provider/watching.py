"""One loop for many jobs: those of one kind, project and location that this process waits for are looked at together.

A loop asks for the jobs that are due, and for others along with them, in one list by their spec hashes; a job that
the list does not show is got by its name. What a fault, or a server that wants to be left alone, means for one of
them, it means for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from tunestack.provider.searching import TOGETHER, label_filter
from tunestack.vertex.client import VertexClient, location_of, resource_id
from tunestack.vertex.errors import GoogleError, ResourceExhausted, ServiceFault
from tunestack.vertex.job import Job
from tunestack.vertex.timing import Timing, backoff

T = TypeVar("T")
JobT = TypeVar("JobT", bound=Job)

LONGEST_LIST = 10 * TOGETHER
"""Most jobs read of one list: a spec hash that was submitted again has several, and a page is one at most."""

AT_ONCE = 8
"""Most jobs got by name at the same time."""

FIRST_QUIET, LONGEST_QUIET = 0.5, 20.0
"""Seconds without a look after the first fault, and after many."""

AT_THE_MOMENT = 0.001
"""Seconds by which a clock may be short of the moment that it was asked to sleep until."""


class Interrupted(Exception):
    """The operation was cancelled (^C) while it waited."""


async def unless_cancelled(work: Awaitable[T], cancelled: asyncio.Event) -> T:
    """The result of ``work``, which is given up where the operation is cancelled meanwhile. Raises ``Interrupted``."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Interrupted
    finally:
        for pending in (task, stop):
            pending.cancel()


@dataclass(eq=False)
class _Waiter(Generic[JobT]):
    """Someone who wants to see ``job`` at the moment ``due``."""

    job: JobT
    due: float
    view: asyncio.Future[JobT]

    def see(self, view: JobT) -> None:
        if not self.view.done():
            self.view.set_result(view)

    def fail(self, error: BaseException) -> None:
        if not self.view.done():
            self.view.set_exception(error)


class JobWatch(Generic[JobT]):
    """The loop for jobs of one kind in one project and location. It runs while someone waits: one task, few requests.

    ``cancelled`` ends it for everyone at once.
    """

    def __init__(
        self,
        vertex: VertexClient,
        timing: Timing,
        cancelled: asyncio.Event,
        view: type[JobT],
        project: str,
        location: str,
    ) -> None:
        self._vertex = vertex
        self._timing = timing
        self._cancelled = cancelled
        self._view = view
        self._project = project
        self._location = location
        self._waiters: set[_Waiter[JobT]] = set()
        self._task: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()
        self._wakes = 0.0
        self._lists = True
        self._faults = 0
        self._fault: GoogleError | None = None
        self._quiet_until = 0.0

    async def look(self, job: JobT, due: float) -> JobT:
        """The job as it is at ``due`` (of the monotonic clock), or sooner where others are looked at sooner.

        Raises ``Interrupted``, and ``GoogleError``: of its own job, or of a fault that concerns all.
        """
        view: asyncio.Future[JobT] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(job, due, view)
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        elif due < self._wakes:
            self._sooner.set()
        try:
            return await view
        finally:
            self._waiters.discard(waiter)

    async def _run(self) -> None:
        try:
            while self._unanswered():  # one may have come while the rounds before it ended
                await unless_cancelled(self._rounds(), self._cancelled)
        except Exception as error:  # whoever waits must hear of it, also of an error of ours
            for waiter in self._waiters:
                waiter.fail(error)

    async def _rounds(self) -> None:
        while waiting := self._unanswered():
            now = self._timing.monotonic()
            due = waiting[0].due
            if due - now > AT_THE_MOMENT:
                await self._sleep_until(due)
            elif self._fault is not None and now < self._quiet_until:
                for waiter in waiting:
                    if waiter.due - now <= AT_THE_MOMENT:
                        waiter.fail(self._fault)
                await asyncio.sleep(0)
            else:
                await self._ask(waiting[:TOGETHER])

    def _unanswered(self) -> list[_Waiter[JobT]]:
        """Who waits, the first that is due first."""
        return sorted(
            (waiter for waiter in self._waiters if not waiter.view.done()), key=lambda waiter: waiter.due
        )

    async def _sleep_until(self, moment: float) -> None:
        self._wakes = moment
        self._sooner.clear()
        sleep = asyncio.ensure_future(self._timing.sleep(moment - self._timing.monotonic()))
        sooner = asyncio.ensure_future(self._sooner.wait())
        try:
            await asyncio.wait((sleep, sooner), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wakes = 0.0
            for task in (sleep, sooner):
                task.cancel()

    async def _ask(self, batch: Sequence[_Waiter[JobT]]) -> None:
        try:
            unseen = await self._listed(batch) if self._lists and len(batch) > 1 else batch
            for start in range(0, len(unseen), AT_ONCE):
                await asyncio.gather(*(self._got(waiter) for waiter in unseen[start : start + AT_ONCE]))
        except (ServiceFault, ResourceExhausted) as fault:
            pause = backoff(self._faults, self._timing, first=FIRST_QUIET, ceiling=LONGEST_QUIET)
            self._faults += 1
            self._fault = fault
            self._quiet_until = self._timing.monotonic() + max(pause, fault.retry_after or 0.0)
            for waiter in batch:
                waiter.fail(fault)
        else:
            self._faults, self._fault = 0, None

    async def _listed(self, batch: Sequence[_Waiter[JobT]]) -> list[_Waiter[JobT]]:
        """Shows what one list shows; gives those that it does not. Raises ``ServiceFault``, ``ResourceExhausted``."""
        hashes = {waiter.job.spec_hash for waiter in batch} - {""}
        shown: dict[str, JobT] = {}
        read = 0
        found = self._vertex.list_jobs(
            self._view.collection,
            self._project,
            self._location,
            label_filter(hashes),
            page_size=2 * TOGETHER,
            attempts=1,
            fields=self._view.collection.fields,
        )
        try:
            async with aclosing(found):
                async for json in found:
                    job, read = self._view(json), read + 1
                    if job.spec_hash not in hashes or read > LONGEST_LIST:
                        self._lists = (
                            False  # this server does not know the filter: its lists are everybody's jobs
                        )
                        break
                    shown[resource_id(job.name)] = job
        except (ServiceFault, ResourceExhausted):
            raise
        except GoogleError:
            self._lists = False  # no right to list, or no such filter here: each by its name
        unseen = []
        for waiter in batch:
            view = shown.get(resource_id(waiter.job.name))
            if view is None:
                unseen.append(waiter)
            else:
                waiter.see(view)
        return unseen

    async def _got(self, waiter: _Waiter[JobT]) -> None:
        try:
            json = await self._vertex.get_job(self._view.collection, waiter.job.name, attempts=1)
        except (ServiceFault, ResourceExhausted):
            raise
        except GoogleError as error:
            waiter.fail(error)
        else:
            waiter.see(self._view(json))


class JobWatches:
    """The loops of one provider process."""

    def __init__(self, vertex: VertexClient, timing: Timing) -> None:
        self._vertex = vertex
        self._timing = timing
        self._watches: dict[tuple[object, ...], JobWatch[Job]] = {}

    def of(self, job: JobT, cancelled: asyncio.Event) -> JobWatch[JobT]:
        """The loop that looks at ``job``."""
        project, location = job.name.split("/")[1], location_of(job.name)
        key = (type(job), project, location, cancelled)
        watch = self._watches.get(key)
        if watch is None:
            watch = JobWatch(self._vertex, self._timing, cancelled, type(job), project, location)
            self._watches[key] = watch
        return watch  # type: ignore[return-value]
