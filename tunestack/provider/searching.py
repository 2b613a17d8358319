"""One list for many who look for jobs: hundreds of creates at once each ask which jobs of their spec there are.

Who asks while a list is under way is asked for along in the next one: what anyone is told was listed after he asked.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, TypeVar

from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.client import VertexClient
from tunestack.vertex.errors import GoogleError, InvalidArgument
from tunestack.vertex.job import Job
from tunestack.vertex.rate_limit import copied

JobT = TypeVar("JobT", bound=Job)

TOGETHER = 50
"""Most spec hashes in one list: so many make an address of 4 kB, half of what common proxies take."""


def label_filter(hashes: Iterable[str]) -> str:
    """The AIP-160 filter of the jobs with one of these spec hashes.

    All three kinds take equality of a label in a list's filter, and OR (discovery, ``filter`` of ``pipelineJobs.list``
    and ``customJobs.list``; of ``tuningJobs.list`` it says only "the standard list filter").
    """
    return " OR ".join(f'labels.{SPEC_HASH_LABEL}="{hash_}"' for hash_ in sorted(hashes))


class JobSearch(Generic[JobT]):
    """Looks for jobs of one kind in one project and location. A task runs while someone waits for an answer."""

    def __init__(self, vertex: VertexClient, view: type[JobT], project: str, location: str) -> None:
        self._vertex = vertex
        self._view = view
        self._project = project
        self._location = location
        self._asked: defaultdict[str, list[asyncio.Future[list[JobT]]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._together = TOGETHER

    async def jobs(self, spec_hash: str) -> list[JobT]:
        """Every job with a spec hash, as a list that was asked for after this call shows it. Raises ``GoogleError``."""
        answer: asyncio.Future[list[JobT]] = asyncio.get_running_loop().create_future()
        self._asked[spec_hash].append(answer)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        return await answer

    async def _run(self) -> None:
        await asyncio.sleep(0)  # for those who ask in the same moment
        while self._asked:
            asked, self._asked = self._asked, defaultdict(list)
            hashes = sorted(
                hash_ for hash_, answers in asked.items() if not all(answer.done() for answer in answers)
            )
            rounds = [
                hashes[start : start + self._together] for start in range(0, len(hashes), self._together)
            ]
            await asyncio.gather(
                *(self._answer({hash_: asked[hash_] for hash_ in together}) for together in rounds)
            )

    async def _answer(self, asked: dict[str, list[asyncio.Future[list[JobT]]]]) -> None:
        try:
            found = await self._listed(asked.keys())
        except InvalidArgument as error:
            if len(asked) == 1:
                _fail(asked.values(), error)
                return
            self._together = 1  # a server without OR in its filters
            await asyncio.gather(*(self._answer({hash_: answers}) for hash_, answers in asked.items()))
        except GoogleError as error:
            _fail(asked.values(), error)
        except Exception as error:  # whoever waits must hear of it, also of an error of ours
            _fail(asked.values(), error)
        else:
            for hash_, answers in asked.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(found[hash_])

    async def _listed(self, hashes: Collection[str]) -> dict[str, list[JobT]]:
        """By spec hash. The label is looked at again: a server that ignores the filter shows everybody's jobs."""
        found: dict[str, list[JobT]] = {hash_: [] for hash_ in hashes}
        collection = self._view.collection
        jobs = self._vertex.list_jobs(
            collection, self._project, self._location, label_filter(hashes), fields=collection.fields
        )
        async for json in jobs:
            job = self._view(json)
            if job.spec_hash in found:
                found[job.spec_hash].append(job)
        return found


def _fail(waiting: Iterable[Sequence[asyncio.Future[list[JobT]]]], error: Exception) -> None:
    for answers in waiting:
        for answer in answers:
            if not answer.done():
                answer.set_exception(copied(error) if isinstance(error, GoogleError) else error)


class JobSearches:
    """The searches of one provider process."""

    def __init__(self, vertex: VertexClient) -> None:
        self._vertex = vertex
        self._searches: dict[tuple[object, ...], JobSearch[Job]] = {}

    def of(self, view: type[JobT], project: str, location: str) -> JobSearch[JobT]:
        """The search for one kind of job in one place."""
        key = (view, project, location)
        search = self._searches.get(key)
        if search is None:
            search = JobSearch(self._vertex, view, project, location)
            self._searches[key] = search
        return search  # type: ignore[return-value]
