"""Two provider resources of one program are two processes: what they tell each other so that nothing is paid twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2_grpc

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.provider.process_locks import LockFile, Shared
from tunestack.provider.values import Properties

from .conftest import Engine, EngineRecorder

PLUGIN = Path(__file__).resolve().parents[3] / "tunestack" / "provider" / "plugin"
KIND = "tunestack:vertex:TuningJob"
SPEC: dict[str, Any] = {
    "location": "us-central1",
    "baseModel": "gemini-2.5-flash",
    "supervisedTuningSpec": {"trainingDatasetUri": "gs://acme-jobs/rows.jsonl"},
}
LIST, CREATE = (f"aiplatform.projects.locations.tuningJobs.{verb}" for verb in ("list", "create"))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    options = EmulatorOptions(data=tmp_path_factory.mktemp("two-processes"), port=0)
    with httpx.Client(base_url=process.start(options).url, timeout=60) as http:
        yield http
    process.stop(options.data)


class Update:
    """An engine's operation: one address for its log, and a process for each provider resource."""

    def __init__(self, address: str, recorder: EngineRecorder, endpoint: str, temporary: Path) -> None:
        self.address, self.recorder, self.endpoint, self.temporary = address, recorder, endpoint, temporary
        self.processes: list[asyncio.subprocess.Process] = []
        self.channels: list[grpc.aio.Channel] = []

    async def provider(self, project: str) -> Engine:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", str(PLUGIN), self.address),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )
        self.processes.append(started)
        assert started.stdout is not None
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{int(await started.stdout.readline())}")
        self.channels.append(channel)
        engine = Engine(provider_pb2_grpc.ResourceProviderStub(channel), self.recorder)
        await engine.configure(project=project, endpoint=self.endpoint, accessToken="local")
        return engine


@asynccontextmanager
async def update(emulator: httpx.Client, temporary: Path) -> AsyncIterator[Update]:
    recorder, server = EngineRecorder(), grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(recorder, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    running = Update(address, recorder, str(emulator.base_url).rstrip("/"), temporary)
    try:
        yield running
    finally:
        for channel in running.channels:
            await channel.close()
        for started in running.processes:
            with contextlib.suppress(ProcessLookupError):
                started.kill()
            await started.wait()
        await server.stop(None)


async def created(engine: Engine, name: str, **changes: Any) -> tuple[str, Properties]:
    """Check, then Create, as of a new resource."""
    inputs, problems = await engine.check(KIND, {**SPEC, **changes}, name)
    assert not problems
    return await engine.create(KIND, inputs, name)


async def refused(work: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await work
    return caught.value


def fault(emulator: httpx.Client, method: str, **what: Any) -> None:
    emulator.post("/_local/faults", json={"method": method, **what}).raise_for_status()


def submitted(emulator: httpx.Client, project: str) -> int:
    jobs = emulator.get(f"/v1/projects/{project}/locations/us-central1/tuningJobs").json()
    return len(jobs.get("tuningJobs", []))


def ends(emulator: httpx.Client, state: str, times: int) -> None:
    emulator.delete("/_local/outcomes").raise_for_status()
    body = {"kind": "tuningJobs", "state": state, "times": times}
    emulator.post("/_local/outcomes", json=body).raise_for_status()


async def met(emulator: httpx.Client) -> None:
    """Wait until a request meets the last fault that was set."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if emulator.get("/_local/faults").json()["faults"][-1]["fired"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no request met the fault")


async def test_one_spec_created_in_two_processes_at_once_is_one_job(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    async with update(emulator, tmp_path) as running:
        one, other = await running.provider("at-once"), await running.provider("at-once")
        ends(emulator, "SUCCEEDED", 2)
        fault(emulator, CREATE, times=2, delayMs=500)
        (first, _), (second, _) = await asyncio.gather(created(one, "a"), created(other, "b"))
        assert first == second
        assert submitted(emulator, "at-once") == 1
        await met(emulator)


async def test_a_process_that_is_killed_while_it_looks_leaves_its_turn_to_the_other(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    async with update(emulator, tmp_path) as running:
        one, other = await running.provider("killed"), await running.provider("killed")
        ends(emulator, "SUCCEEDED", 1)
        fault(emulator, LIST, times=1, delayMs=60_000)
        lost = asyncio.ensure_future(refused(created(one, "a")))
        await met(emulator)
        waiting = asyncio.ensure_future(created(other, "b"))
        while not any("another process" in line for line in other.lines):
            await asyncio.sleep(0.05)
        running.processes[0].send_signal(signal.SIGKILL)
        _, outputs = await waiting
        await lost
        assert outputs["adopted"] is False
        assert submitted(emulator, "killed") == 1


async def test_a_create_that_arrives_after_its_sender_was_killed_is_waited_for_and_adopted(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    ends(emulator, "SUCCEEDED", 2)
    async with update(emulator, tmp_path) as first, update(emulator, tmp_path) as second:
        engine, later = await first.provider("late"), await second.provider("late")
        fault(emulator, CREATE, times=1, delayMs=1500)
        lost = asyncio.ensure_future(refused(created(engine, "a")))
        await met(emulator)
        first.processes[0].send_signal(signal.SIGKILL)
        await lost
        _, outputs = await created(later, "a")
        assert outputs["state"] == "SUCCEEDED"
        # Looked until sure; or it was there by the first list, where this machine is slow.
        assert any("by its label" in line or "adopted" in line for line in later.lines)
    assert submitted(emulator, "late") == 1


async def test_one_retry_that_two_processes_are_asked_for_is_one_submission(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    ends(emulator, "FAILED", 3)
    async with update(emulator, tmp_path) as running:
        await refused(created(await running.provider("again"), "a"))
    async with update(emulator, tmp_path) as running:
        one, other = await running.provider("again"), await running.provider("again")
        first = Engine.partial(await refused(created(one, "a", retryFailed=True)))
        second = Engine.partial(await refused(created(other, "b", retryFailed=True)))
        assert first.id == second.id
        assert submitted(emulator, "again") == 2
    async with update(emulator, tmp_path) as running:  # another update is another time of asking
        await refused(created(await running.provider("again"), "a", retryFailed=True))
        assert submitted(emulator, "again") == 3


async def test_what_a_resource_of_another_process_took_over_is_not_deleted_with_the_old_one(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    ends(emulator, "SUCCEEDED", 1)
    async with update(emulator, tmp_path) as running:
        id_, old = await created(await running.provider("moved"), "a", deletionPolicy="DELETE")
    inputs = {key: value for key, value in old.items() if key in {*SPEC, "project", "deletionPolicy"}}
    async with update(emulator, tmp_path) as running:
        one, other = await running.provider("moved"), await running.provider("moved")
        assert (await created(other, "b", deletionPolicy="DELETE"))[0] == id_
        await one.delete(KIND, id_, old, inputs, "a")
        assert any("taken it over" in line for line in one.lines)
        emulator.get(f"/v1/{old['model'].partition('@')[0]}").raise_for_status()
    async with update(emulator, tmp_path) as running:  # and then nobody holds it any more
        await (await running.provider("moved")).delete(KIND, id_, old, inputs, "b")
        assert emulator.get(f"/v1/{old['model'].partition('@')[0]}").status_code == 404


async def test_an_interrupt_ends_the_wait_for_the_other_process_with_nothing_submitted(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    async with update(emulator, tmp_path) as running:
        one, other = await running.provider("stopped"), await running.provider("stopped")
        fault(emulator, LIST, times=1, delayMs=60_000)
        lost = asyncio.ensure_future(refused(created(one, "a")))
        await met(emulator)
        waiting = asyncio.ensure_future(refused(created(other, "b")))
        while not any("another process" in line for line in other.lines):
            await asyncio.sleep(0.05)
        await other.cancel()
        assert (await waiting).code() is grpc.StatusCode.ABORTED
        running.processes[0].kill()
        await lost
        assert submitted(emulator, "stopped") == 0


async def test_without_a_file_to_lock_a_create_goes_on_and_says_what_is_not_covered(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / f"tunestack-{os.getuid()}").write_text("no folder")
    ends(emulator, "SUCCEEDED", 1)
    async with update(emulator, tmp_path) as running:
        engine = await running.provider("no-file")
        await created(engine, "a")
        assert any("no file can be locked" in line for line in engine.lines)


def test_a_lock_is_its_names_alone_and_a_process_does_not_take_its_own_twice(tmp_path: Path) -> None:
    locks = LockFile(tmp_path / "locks")
    names = [f"name {number}" for number in range(1000)]
    assert all(locks.take(name) for name in names)
    assert not any(locks.take(name) for name in names)
    locks.release(names[0])
    assert [name for name in names if not locks.taken(name)] == names[:1]


def test_a_folder_that_others_could_write_in_or_point_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    for name in ("open", "link"):
        with pytest.raises(PermissionError, match="of this user alone"):
            Shared(tmp_path / name)
    Shared(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
