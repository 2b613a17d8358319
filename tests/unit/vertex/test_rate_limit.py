"""A rate limit that one request meets: the others to the same address wait, are let through, or are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tunestack.vertex.credentials import StaticToken
from tunestack.vertex.errors import NotSent, ResourceExhausted
from tunestack.vertex.timing import Timing
from tunestack.vertex.transport import ATTEMPTS, CONNECTIONS, Transport

HOST = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
JOBS, OTHERS = f"{HOST}/tuningJobs", f"{HOST}/customJobs"


@dataclass
class World:
    """A server and a clock that goes on only where everybody sleeps."""

    answer: Callable[[World, str], httpx.Response] = lambda world, url: httpx.Response(200, json={})
    now: float = 0.0
    requests: list[tuple[float, str]] = field(default_factory=list)
    sleepers: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)
    flying: int = 0
    most_flying: int = 0

    async def sleep(self, seconds: float) -> None:
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, wakes))
        await wakes

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((self.now, str(request.url)))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(0)
        self.flying -= 1
        return self.answer(self, str(request.url))

    async def settle(self) -> None:
        """Everything that can go on without time does."""
        before = -1
        while before != len(self.requests):
            before = len(self.requests)
            for _ in range(2000):
                await asyncio.sleep(0)

    async def end(self, *work: Awaitable[Any]) -> list[Any]:
        """What each of them came to."""
        tasks = [asyncio.ensure_future(item) for item in work]
        while True:
            await self.settle()
            if all(task.done() for task in tasks):
                return await asyncio.gather(*tasks, return_exceptions=True)
            self.sleepers = [sleeper for sleeper in self.sleepers if not sleeper[1].done()]
            moment, wakes = min(self.sleepers, key=lambda sleeper: sleeper[0])
            self.now = max(self.now, moment)
            wakes.set_result(None)

    def sent(self, url: str, since: float, until: float) -> int:
        return sum(url == where and since < when < until for when, where in self.requests)


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
async def transport(world: World) -> AsyncIterator[Transport]:
    timing = Timing(lambda: world.now, world.sleep, lambda: world.now, lambda: 1.0)
    http = httpx.AsyncClient(transport=httpx.MockTransport(world.handle))
    async with Transport(StaticToken("t"), timing=timing, http=http) as transport:
        yield transport


def refusal(*, seconds: int | None = None, reason: str = "") -> httpx.Response:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down", "details": details}
    headers = {} if seconds is None else {"retry-after": str(seconds)}
    return httpx.Response(429, json={"error": error}, headers=headers)


def creates(transport: Transport, number: int, url: str = JOBS, **options: Any) -> list[Any]:
    return [transport.request("POST", url, repeatable=False, json={}, **options) for _ in range(number)]


async def test_as_many_requests_are_under_way_as_there_are_sockets(
    world: World, transport: Transport
) -> None:
    await world.end(*creates(transport, 500))
    assert world.most_flying == CONNECTIONS
    assert len(world.requests) == 500


async def test_a_create_that_is_to_wait_holds_the_others_back(world: World, transport: Transport) -> None:
    world.answer = lambda world, url: (
        refusal(seconds=60) if url == JOBS and world.now < 60 else httpx.Response(200, json={})
    )
    answers = await world.end(*creates(transport, 300), *creates(transport, 5, OTHERS))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(when == 0 and url == JOBS for when, url in world.requests) == CONNECTIONS
    assert world.sent(JOBS, 0, 60) == 0
    assert [when for when, url in world.requests if url == OTHERS] == [0.0] * 5
    assert len(world.requests) == 300 + 5 + CONNECTIONS


async def test_after_the_wait_one_goes_ahead_of_the_others(world: World, transport: Transport) -> None:
    moments = iter(range(1000))
    world.answer = lambda world, url: (
        refusal(seconds=60) if next(moments) < CONNECTIONS + 2 else httpx.Response(200, json={})
    )
    await world.end(*creates(transport, 100))
    at = Counter(when for when, _ in world.requests)
    assert at == {0.0: CONNECTIONS, 60.0: 1, 120.0: 1, 180.0: 100}


@pytest.mark.parametrize("reason", ["", "RATE_LIMIT_EXCEEDED"])
async def test_who_waits_behind_a_limit_that_does_not_end_is_told_and_nothing_is_sent(
    world: World, transport: Transport, reason: str
) -> None:
    world.answer = lambda world, url: refusal(seconds=None if reason else 30, reason=reason)
    answers = await world.end(*creates(transport, 400))
    assert {type(answer) for answer in answers} == {ResourceExhausted}
    assert len({id(answer) for answer in answers}) == 400
    assert len(world.requests) == CONNECTIONS + ATTEMPTS - 1
    world.answer = lambda world, url: httpx.Response(200, json={})
    (later,) = await world.end(*creates(transport, 1))
    assert later.status_code == 200


async def test_a_quota_of_what_one_request_asked_for_holds_nobody_back(
    world: World, transport: Transport
) -> None:
    first = [True]

    def answer(world: World, url: str) -> httpx.Response:
        return refusal(reason="QUOTA_EXCEEDED") if first and first.pop() else httpx.Response(200, json={})

    world.answer = answer
    answers = await world.end(*creates(transport, 50))
    assert {item.status_code for item in answers} == {200}
    assert sum(when == 0 for when, _ in world.requests) == 50


async def test_a_request_that_is_stopped_while_it_is_held_back_is_never_sent(
    world: World, transport: Transport
) -> None:
    world.answer = lambda world, url: refusal(seconds=60)
    stopped = asyncio.Event()
    tasks = [asyncio.ensure_future(item) for item in creates(transport, 60, stopped=stopped)]
    await world.settle()
    late = asyncio.ensure_future(creates(transport, 1, stopped=stopped)[0])
    await world.settle()
    sent = len(world.requests)
    stopped.set()
    ends = await asyncio.wait_for(asyncio.gather(*tasks, late, return_exceptions=True), 5)
    assert Counter(type(end) for end in ends) == {ResourceExhausted: CONNECTIONS, NotSent: 61 - CONNECTIONS}
    assert (len(world.requests), world.now) == (sent, 0.0)


async def test_what_is_sent_once_only_waits_for_nobody(world: World, transport: Transport) -> None:
    world.answer = lambda world, url: refusal(seconds=60)
    held = asyncio.ensure_future(creates(transport, 1)[0])
    await world.settle()
    (alone,) = await world.end(*creates(transport, 1, attempts=1))
    assert (type(alone), world.now) == (ResourceExhausted, 0.0)
    held.cancel()
