"""A create call whose answer was lost, for a job that the server names: looked for until sure, sent on no guess."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tunestack.provider.job_submission import (
    GOOGLE_LOOK_UP,
    AnswerLost,
    LookUp,
    Submission,
    look_until_sure,
    spec_hash_of_placeholder,
    submit,
)
from tunestack.provider.resource import Call
from tunestack.vertex.errors import NotSent, PermissionDenied, ServiceFault
from tunestack.vertex.timing import Timing
from tunestack.vertex.tuning_job import TUNING_JOBS

SUBMISSION = Submission(TUNING_JOBS, "acme", "us-central1", "0" * 32, {})
JOB = {"name": f"{TUNING_JOBS.parent('acme', 'us-central1')}/tuningJobs/7"}
LOST = ServiceFault(0, "UNAVAILABLE", "no answer")


class Silent:
    async def status(self, message: str) -> None: ...
    async def info(self, message: str) -> None: ...
    async def warning(self, message: str) -> None: ...


class World:
    """``arrives``: seconds after its sending at which a lost request makes its job; None: never."""

    def __init__(self, *, arrives: float | None, lost: int = 1) -> None:
        self.now = 1000.0
        self.arrives = arrives
        self.lost = lost
        self.sent: list[float] = []
        self.lists: list[float] = []
        self.list_faults: list[Exception] = []
        self.cancelled = asyncio.Event()
        self.cancel_at = float("inf")

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.cancel_at:
            self.cancelled.set()
        await asyncio.sleep(0)

    @property
    def session(self) -> Any:
        async def pause(seconds: float, cancelled: asyncio.Event) -> None:
            await self.sleep(seconds)

        timing = Timing(lambda: self.now, self.sleep, lambda: self.now, lambda: 0.5)
        configuration = SimpleNamespace(local=False)
        return SimpleNamespace(vertex=self, timing=timing, configuration=configuration, pause=pause)

    @property
    def call(self) -> Call:
        return Call("urn", "r", Silent(), self.cancelled)

    async def create_job(self, *_: Any, **__: Any) -> Mapping[str, Any]:
        self.sent.append(self.now)
        if len(self.sent) <= self.lost:
            raise LOST
        return JOB

    async def find(self) -> Mapping[str, Any] | None:
        self.lists.append(self.now)
        if self.list_faults:
            raise self.list_faults.pop(0)
        there = self.arrives is not None and self.sent and self.now >= self.sent[0] + self.arrives
        return JOB if there else None

    async def submit(self, **options: Any) -> Mapping[str, Any]:
        return await submit(self.session, self.call, SUBMISSION, self.find, left=False, **options)


@pytest.mark.parametrize("arrives", [0.0, 5.0, 119.0])
async def test_a_request_that_arrives_late_is_found_and_not_sent_again(arrives: float) -> None:
    world = World(arrives=arrives)
    assert await world.submit() == JOB
    assert len(world.sent) == 1


async def test_one_that_takes_longer_than_any_request_is_known_to_take_is_sent_again() -> None:
    """The limit that docs/state-machine.md names: nothing that a server could be asked tells of such a request."""
    world = World(arrives=GOOGLE_LOOK_UP.arrival + GOOGLE_LOOK_UP.clean * GOOGLE_LOOK_UP.ceiling + 60.0)
    await world.submit()
    assert len(world.sent) == 2


async def test_nothing_is_sent_again_before_enough_empty_lists_after_the_last_possible_arrival() -> None:
    world = World(arrives=None)
    assert await world.submit() == JOB
    first, second = world.sent
    late = [moment for moment in world.lists if moment >= first + GOOGLE_LOOK_UP.arrival]
    assert len(late) == GOOGLE_LOOK_UP.clean
    assert second >= first + GOOGLE_LOOK_UP.arrival
    assert len(world.lists) < 30


async def test_the_rule_is_a_parameter() -> None:
    world = World(arrives=None)
    await world.submit(look_up=LookUp(arrival=10.0, clean=1, first=1.0, ceiling=2.0))
    assert 10.0 <= world.sent[1] - world.sent[0] < 15.0


async def test_a_list_that_failed_says_nothing() -> None:
    world = World(arrives=None)
    world.now += GOOGLE_LOOK_UP.arrival
    lost_at = world.now - GOOGLE_LOOK_UP.arrival
    world.list_faults = [LOST] * 3
    found = await look_until_sure(world.session, world.call, SUBMISSION, world.find)
    assert found is None
    assert len([moment for moment in world.lists if moment >= lost_at]) > 3 + GOOGLE_LOOK_UP.clean


@pytest.mark.parametrize("faults", [[LOST] * 99, [PermissionDenied(403, "PERMISSION_DENIED", "no")]])
async def test_where_nobody_can_say_the_answer_is_lost_and_nothing_is_sent(faults: list[Exception]) -> None:
    world = World(arrives=None)
    world.list_faults = faults
    with pytest.raises(AnswerLost) as caught:
        await world.submit()
    assert len(world.sent) == 1
    assert spec_hash_of_placeholder(caught.value.submission.name) == "0" * 32


async def test_interrupted_while_looking_the_answer_is_lost() -> None:
    world = World(arrives=None)
    world.cancel_at = world.now + 20
    with pytest.raises(AnswerLost):
        await world.submit()
    assert len(world.sent) == 1


async def test_a_request_that_never_left_is_an_error_of_the_network_alone() -> None:
    world = World(arrives=None)

    async def refuse(*_: Any, **__: Any) -> Mapping[str, Any]:
        raise NotSent(0, "UNAVAILABLE", "connection refused")

    world.create_job = refuse  # type: ignore[method-assign]
    with pytest.raises(NotSent):
        await world.submit()
    assert world.lists == []


async def test_a_service_that_never_answers_is_given_up_with_nothing_left_behind() -> None:
    world = World(arrives=None, lost=99)
    with pytest.raises(ServiceFault):
        await world.submit()
    assert len(world.sent) == 6
    assert world.lists[-1] > world.sent[-1] + GOOGLE_LOOK_UP.arrival


def test_only_a_placeholder_carries_a_spec_hash() -> None:
    assert spec_hash_of_placeholder(str(JOB["name"])) is None
    assert spec_hash_of_placeholder(SUBMISSION.name) == "0" * 32
