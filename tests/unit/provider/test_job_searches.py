"""One list for many who look for jobs, and nobody is told what was listed before he asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.provider.searching import TOGETHER, JobSearch, JobSearches
from tunestack.vertex.errors import GoogleError, InvalidArgument, PermissionDenied
from tunestack.vertex.job import JobCollection
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.tuning_job import TuningJob


@dataclass
class Registry:
    """Jobs by name. A list shows those of the moment when it was asked for, ``slow`` turns of the loop later."""

    jobs: dict[str, str] = field(default_factory=dict)
    slow: int = 1
    lists: list[set[str]] = field(default_factory=list)
    refuses: GoogleError | None = None
    takes_or: bool = True
    filters: bool = True

    async def list_jobs(
        self, collection: JobCollection, project: str, location: str, filter_: str, **_: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        wanted = set(re.findall(r'"(\w+)"', filter_))
        self.lists.append(wanted)
        there = dict(self.jobs)
        for _turn in range(self.slow):
            await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        if len(wanted) > 1 and not self.takes_or:
            raise InvalidArgument(400, "INVALID_ARGUMENT", "no OR here")
        for name, hash_ in there.items():
            if hash_ in wanted or not self.filters:
                yield {"name": name, "labels": {"tunestack-spec-hash": hash_}}


def search(registry: Registry) -> JobSearch[TuningJob]:
    return JobSearch(registry, TuningJob, "p", "us-central1")  # type: ignore[arg-type]


def names(jobs: list[TuningJob]) -> list[str]:
    return sorted(job.name for job in jobs)


async def test_hundreds_who_ask_at_once_share_a_list_for_every_fifty() -> None:
    registry = Registry({f"job-{n}": f"h{n}" for n in range(500)})
    found = await asyncio.gather(*(one.jobs(f"h{n}") for one in [search(registry)] for n in range(500)))
    assert [names(jobs) for jobs in found] == [[f"job-{n}"] for n in range(500)]
    assert len(registry.lists) == 500 // TOGETHER


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.booleans()), max_size=12),
    st.integers(0, 4),
    st.booleans(),
)
def test_what_was_there_when_someone_asked_is_told_and_nothing_of_anybody_else(
    acts: list[tuple[int, int, bool]], slow: int, filters: bool
) -> None:
    """Jobs come and questions are asked, some turns of the loop apart."""
    registry = Registry(slow=slow, filters=filters)

    async def ask(one: JobSearch[TuningJob], hash_: str) -> None:
        before = {name for name, of in registry.jobs.items() if of == hash_}
        told = set(names(await one.jobs(hash_)))
        assert before <= told <= {name for name, of in registry.jobs.items() if of == hash_}

    async def play() -> None:
        one, asking = search(registry), []
        for number, (turns, hash_, comes) in enumerate(acts):
            if comes:
                registry.jobs[f"job-{number}"] = f"h{hash_}"
            else:
                asking.append(asyncio.ensure_future(ask(one, f"h{hash_}")))
            for _turn in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(*asking)

    asyncio.run(play())


async def test_a_server_without_or_is_asked_for_each_alone() -> None:
    registry = Registry({"job-0": "h0", "job-1": "h1"}, takes_or=False)
    one = search(registry)
    found = await asyncio.gather(one.jobs("h0"), one.jobs("h1"), one.jobs("h2"))
    assert [names(jobs) for jobs in found] == [["job-0"], ["job-1"], []]
    await asyncio.gather(one.jobs("h0"), one.jobs("h1"))
    assert [len(asked) for asked in registry.lists] == [3, 1, 1, 1, 1, 1]


async def test_a_refusal_reaches_each_who_asked_and_none_who_asks_later() -> None:
    registry = Registry({"job-0": "h0"}, refuses=PermissionDenied(403, "PERMISSION_DENIED", "no"))
    one = search(registry)
    ended = await asyncio.gather(one.jobs("h0"), one.jobs("h0"), one.jobs("h1"), return_exceptions=True)
    assert [type(end) for end in ended] == [PermissionDenied] * 3
    assert len({id(end) for end in ended}) == 3  # one exception raised twice would gather both tracebacks
    registry.refuses = None
    assert names(await one.jobs("h0")) == ["job-0"]


async def test_who_gives_up_takes_nobody_elses_answer_along() -> None:
    registry = Registry({"job-0": "h0"}, slow=5)
    one = search(registry)
    first, second = (asyncio.ensure_future(one.jobs("h0")) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert names(await second) == ["job-0"]
    with pytest.raises(asyncio.CancelledError):
        await first


def test_each_kind_and_place_has_a_search_of_its_own() -> None:
    searches = JobSearches(Registry())  # type: ignore[arg-type]
    one = searches.of(TuningJob, "p", "us-central1")
    assert searches.of(TuningJob, "p", "us-central1") is one
    places = [
        (PipelineJob, "p", "us-central1"),
        (TuningJob, "q", "us-central1"),
        (TuningJob, "p", "europe-west4"),
    ]
    assert all(searches.of(*place) is not one for place in places)  # type: ignore[arg-type]
