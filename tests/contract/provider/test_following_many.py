"""Many jobs waited for at once: one loop looks at all of them, each waiter sees its own job."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tunestack.provider.configuration import Configuration
from tunestack.provider.following import DeadlinePassed, Interrupted, follow
from tunestack.provider.registry import connect
from tunestack.provider.resource import Call, Session
from tunestack.provider.watching import AT_ONCE, TOGETHER, label_filter
from tunestack.vertex.client import VertexClient
from tunestack.vertex.errors import NotFound
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.timing import Timing
from tunestack.vertex.transport import Transport
from tunestack.vertex.tuning_job import TuningJob

PARENT = "projects/acme/locations/us-central1"
ENDPOINT = "https://us-central1-aiplatform.googleapis.com"


class Clock:
    """Time goes on only where every task sleeps: to the moment at which the first of them wakes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, wakes))
        await wakes

    def advance(self) -> None:
        self._sleepers = [(moment, wakes) for moment, wakes in self._sleepers if not wakes.done()]
        if self._sleepers:
            moment, wakes = min(self._sleepers, key=lambda sleeper: sleeper[0])
            self.now = max(self.now, moment)
            wakes.set_result(None)

    async def run_until(self, *tasks: asyncio.Future[Any]) -> None:
        while True:
            for _ in range(40):  # everything that can go on without time does
                await asyncio.sleep(0)
            if all(task.done() for task in tasks):
                return
            self.advance()

    def timing(self) -> Timing:
        return Timing(lambda: self.now, self.sleep, lambda: self.now, lambda: 0.5)


@dataclass
class Google:
    """Jobs by id that know their state by the clock, behind a real HTTP client."""

    clock: Clock
    states: dict[str, Callable[[float], str]] = field(default_factory=dict)
    requests: list[tuple[float, str]] = field(default_factory=list)
    fault: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
    hidden: set[str] = field(default_factory=set)
    knows_filters: bool = True
    flying: int = 0
    most_flying: int = 0

    def job(self, id_: str, kind: str = "pipelineJobs") -> dict[str, Any]:
        state = f"PIPELINE_STATE_{self.states[id_](self.clock.now)}"
        return {"name": f"{PARENT}/{kind}/{id_}", "state": state, "labels": {"tunestack-spec-hash": id_}}

    async def answer(self, request: httpx.Request) -> httpx.Response:
        kind = next(part for part in request.url.path.split("/") if part in ("pipelineJobs", "tuningJobs"))
        lists = request.url.path.endswith(f"/{kind}")
        self.requests.append((self.clock.now, "list" if lists else request.url.path.rsplit("/", 1)[1]))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(0)
        self.flying -= 1
        if (instead := self.fault(request)) is not None:
            return instead
        if not lists:
            id_ = request.url.path.rsplit("/", 1)[1]
            if id_ not in self.states:
                return httpx.Response(404, json={"error": {"status": "NOT_FOUND", "message": id_}})
            return httpx.Response(200, json=self.job(id_, kind))
        wanted = re.findall(r'labels\.tunestack-spec-hash="([^"]+)"', request.url.params["filter"])
        ids = wanted if self.knows_filters else list(self.states)
        shown = [id_ for id_ in ids if id_ in self.states and id_ not in self.hidden]
        start, size = int(request.url.params.get("pageToken", 0)), int(request.url.params["pageSize"])
        page: dict[str, Any] = {kind: [self.job(id_, kind) for id_ in shown[start : start + size]]}
        if start + size < len(shown):
            page["nextPageToken"] = str(start + size)
        return httpx.Response(200, json=page)

    @property
    def kinds_of_request(self) -> Counter[str]:
        return Counter("list" if what == "list" else "get" for _, what in self.requests)


class Row:
    def __init__(self) -> None:
        self.lasting: list[str] = []
        self.passing: list[str] = []

    async def status(self, message: str) -> None:
        self.passing.append(message)

    async def info(self, message: str) -> None:
        self.lasting.append(message)

    warning = info


@dataclass
class Process:
    """One provider process that waits for jobs."""

    clock: Clock
    google: Google
    session: Session
    cancelled: asyncio.Event
    rows: dict[str, Row] = field(default_factory=dict)

    def follow(
        self, id_: str, *, view: type[Any] = PipelineJob, deadline: float | None = None
    ) -> asyncio.Task[Any]:
        row = self.rows.setdefault(id_, Row())
        call = Call(f"urn::{id_}", id_, row, self.cancelled, deadline)
        job = view(self.google.job(id_, view.collection.segment))
        return asyncio.ensure_future(follow(self.session, call, job, show=True, seen=lambda newer: None))


@pytest.fixture
async def process() -> Any:
    clock = Clock()
    google = Google(clock)
    tokens = SimpleNamespace(token=_token)
    http = httpx.AsyncClient(transport=httpx.MockTransport(google.answer))
    transport = Transport(tokens, timing=clock.timing(), http=http)
    vertex = VertexClient(transport, endpoint=ENDPOINT, timing=clock.timing())
    session = dataclasses.replace(connect(Configuration(), clock.timing()), vertex=vertex)
    yield Process(clock, google, session, asyncio.Event())
    await transport.close()


async def _token(*, renew: bool = False) -> str:
    return "token"


def ends(after: float, state: str = "SUCCEEDED", *, from_: float = 1000.0) -> Callable[[float], str]:
    return lambda now: state if now >= from_ + after else "RUNNING"


async def test_hundreds_of_jobs_cost_a_list_for_every_fifty_and_no_look_each(process: Process) -> None:
    for number in range(500):
        process.google.states[f"j{number}"] = ends(
            300 + number % 60, "FAILED" if number % 7 == 0 else "SUCCEEDED"
        )
    tasks = [process.follow(id_) for id_ in process.google.states]
    before = len(asyncio.all_tasks())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) - before <= 5
    await process.clock.run_until(*tasks)
    for number, task in enumerate(tasks):
        assert task.result().name.endswith(f"/j{number}")
        assert task.result().state == ("FAILED" if number % 7 == 0 else "SUCCEEDED")
    count = process.google.kinds_of_request
    assert count["get"] <= 20
    assert count["list"] <= 500 / TOGETHER * 45
    assert process.google.most_flying <= AT_ONCE


async def test_each_waiter_has_its_own_lines_and_its_own_deadline(process: Process) -> None:
    process.google.states = {"short": ends(40), "long": ends(400, "FAILED"), "endless": lambda now: "PENDING"}
    short, long = process.follow("short"), process.follow("long")
    endless = process.follow("endless", deadline=120)
    await process.clock.run_until(endless)
    assert process.clock.now == pytest.approx(1120, abs=1)
    with pytest.raises(DeadlinePassed):
        endless.result()
    assert short.result().state == "SUCCEEDED"
    assert not long.done()
    await process.clock.run_until(long)
    assert process.rows["short"].lasting[0] == "RUNNING short"
    assert process.rows["short"].lasting[-1] == "SUCCEEDED short"
    assert process.rows["long"].lasting[-1] == "FAILED long"
    assert 7 <= sum(line == "running" for line in process.rows["long"].lasting) <= 13


async def test_an_interrupt_lets_all_of_them_go_at_once(process: Process) -> None:
    process.google.states = {f"j{number}": lambda now: "RUNNING" for number in range(60)}
    tasks = [process.follow(id_) for id_ in process.google.states]
    for _ in range(30):
        await asyncio.sleep(0)
        process.clock.advance()
    moment = process.clock.now
    process.cancelled.set()
    done, _ = await asyncio.wait(tasks, timeout=5)
    assert len(done) == 60
    assert {type(task.exception()) for task in tasks} == {Interrupted}
    assert process.clock.now == moment


async def test_a_server_that_wants_to_be_left_alone_is_left_alone_for_all_jobs(process: Process) -> None:
    process.google.states = {f"j{number}": ends(200) for number in range(120)}
    quiet: list[float] = []

    def fault(request: httpx.Request) -> httpx.Response | None:
        if process.clock.now >= 1030 and not quiet:
            quiet.append(process.clock.now)
            error = {"error": {"status": "RESOURCE_EXHAUSTED", "message": "slow down"}}
            return httpx.Response(429, json=error, headers={"retry-after": "60"})
        return None

    process.google.fault = fault
    tasks = [process.follow(id_) for id_ in process.google.states]
    await process.clock.run_until(*tasks)
    assert {task.result().state for task in tasks} == {"SUCCEEDED"}
    assert not [moment for moment, _ in process.google.requests if quiet[0] < moment < quiet[0] + 60]
    for row in process.rows.values():
        assert any(
            "no answer, still trying · RESOURCE_EXHAUSTED" in line for line in row.lasting + row.passing
        )


async def test_a_deadline_counts_also_while_the_server_wants_to_be_left_alone(process: Process) -> None:
    process.google.states = {"a": lambda now: "RUNNING", "b": lambda now: "RUNNING"}
    process.google.fault = lambda request: httpx.Response(429, headers={"retry-after": "600"})
    task = process.follow("a", deadline=100)
    other = process.follow("b", deadline=2000)
    await process.clock.run_until(task)
    assert process.clock.now == pytest.approx(1100, abs=1)
    assert isinstance(task.exception(), DeadlinePassed)
    assert len(process.google.requests) == 1
    assert any("still trying · HTTP 429" in line for line in process.rows["a"].lasting)
    process.cancelled.set()
    await asyncio.wait([other])


async def test_a_job_that_no_list_shows_is_got_by_its_name(process: Process) -> None:
    process.google.states = {"shown": ends(60), "late": ends(60), "gone": lambda now: "RUNNING"}
    process.google.hidden = {"late"}
    tasks = {id_: process.follow(id_) for id_ in process.google.states}
    del process.google.states["gone"]
    await process.clock.run_until(*tasks.values())
    assert tasks["late"].result().state == tasks["shown"].result().state == "SUCCEEDED"
    assert isinstance(tasks["gone"].exception(), NotFound)
    got = {what for _, what in process.google.requests} - {"list"}
    assert got == {"late", "gone"}


@pytest.mark.parametrize("refusal", ["ignored", "refused", "forbidden"])
async def test_where_a_list_is_no_use_each_job_is_got_by_its_name(process: Process, refusal: str) -> None:
    strangers = {f"stranger{number}": ends(0) for number in range(300)}
    ours = {f"j{number}": ends(50) for number in range(20)}
    process.google.states = {**strangers, **ours}
    process.google.knows_filters = refusal != "ignored"
    if refusal != "ignored":
        status = 400 if refusal == "refused" else 403
        process.google.fault = lambda request: (
            httpx.Response(status, json={"error": {"status": "NO", "message": "no"}})
            if "filter" in request.url.params
            else None
        )
    tasks = [process.follow(id_) for id_ in ours]
    await process.clock.run_until(*tasks)
    assert {task.result().state for task in tasks} == {"SUCCEEDED"}
    assert process.google.kinds_of_request["list"] == 1


async def test_one_job_alone_is_never_listed(process: Process) -> None:
    process.google.states = {"alone": ends(100)}
    task = process.follow("alone")
    await process.clock.run_until(task)
    assert set(process.google.kinds_of_request) == {"get"}


async def test_kinds_are_looked_at_apart_and_two_waiters_may_want_one_job(process: Process) -> None:
    process.google.states = {"a": ends(30), "b": ends(30)}
    tasks = [process.follow("a"), process.follow("a"), process.follow("b", view=TuningJob)]
    await process.clock.run_until(*tasks)
    assert [type(task.result()) for task in tasks] == [PipelineJob, PipelineJob, TuningJob]


async def test_a_job_that_comes_later_is_looked_at_at_its_own_pace(process: Process) -> None:
    process.google.states = {"old": ends(500)}
    old = process.follow("old")
    while process.clock.now < 1200:
        for _ in range(40):
            await asyncio.sleep(0)
        process.clock.advance()
    process.google.states["young"] = ends(204)
    began = process.clock.now
    young = process.follow("young")
    await process.clock.run_until(young)
    assert process.clock.now - began <= 6
    await process.clock.run_until(old)


async def test_an_error_of_ours_reaches_whoever_waits(process: Process) -> None:
    process.google.states = {"a": ends(30), "b": ends(30)}
    process.google.fault = lambda request: httpx.Response(200, json={"pipelineJobs": ["no job"]})
    tasks = [process.follow(id_) for id_ in ("a", "b")]
    await process.clock.run_until(*tasks)
    assert all(task.exception() is not None for task in tasks)


def test_the_address_of_a_full_list_is_short_enough_for_any_proxy() -> None:
    filter_ = label_filter(f"{number:032x}" for number in range(TOGETHER))
    assert len(str(httpx.URL(ENDPOINT, params={"filter": filter_}))) < 8000
