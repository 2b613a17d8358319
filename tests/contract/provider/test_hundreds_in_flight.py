"""Five hundred jobs waited for at once by one ``up``, and processes that get no processor while hundreds call them."""

from __future__ import annotations

import asyncio
import json
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
import psutil
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tunestack import engine
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.engine import EngineOptions, Operation
from tunestack.provider.values import encode

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = ROOT / "tunestack" / "provider" / "plugin"
TUNING_JOB = "tunestack:vertex:TuningJob"
JOBS = 500
MOST_SOCKETS = 24
MOST_MEGABYTES = 200
UNREQUESTED_SECONDS = 30.0  # after so long gRPC's server, by default, ends a request that nobody took up

PROGRAM = """
import pulumi
from tunestack.provider import Provider, TuningJob

options = pulumi.ResourceOptions(
    provider=Provider("tuning", project="p1", endpoint=pulumi.Config().require("endpoint"), access_token="local")
)
for number in range({jobs}):
    TuningJob(
        f"job-{{number}}",
        location="us-central1",
        base_model="gemini-2.5-flash",
        supervised_tuning_spec={{"trainingDatasetUri": f"gs://acme-jobs/{{number}}.jsonl"}},
        opts=options,
    )
"""


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[httpx.Client]:
    options = EmulatorOptions(data=tmp_path / "data", port=0)
    with httpx.Client(base_url=process.start(options).url, timeout=60) as http:
        yield http
    process.stop(options.data)


def project(folder: Path, program: str, endpoint: str) -> EngineOptions:
    """A project with the tunestack provider; everything in it may run at once."""
    (folder / "infra").mkdir(parents=True)
    (folder / "infra" / "__main__.py").write_text(program)
    described = {
        "name": "many",
        "main": "infra",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}},
        "plugins": {"providers": [{"name": "tunestack", "path": str(PLUGIN)}]},
    }
    (folder / "Pulumi.yaml").write_text(json.dumps(described))
    (folder / "Pulumi.dev.yaml").write_text(json.dumps({"config": {"many:endpoint": endpoint}}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    return EngineOptions(
        folder, "dev", folder / "state", folder / "home", "passphrase", JOBS, environment=environment
    )


async def lists_asked(emulator: httpx.Client, count: int) -> tuple[list[dict[str, Any]], float]:
    """The next requests for tuning jobs, ``count`` or more, and the seconds in which they came."""
    since = emulator.get("/_local/requests").json()["requests"][-1]["sequence"]
    began = time.monotonic()
    asked: list[dict[str, Any]] = []
    while len(asked) < count:
        await asyncio.sleep(0.2)
        answer = emulator.get("/_local/requests", params={"since": since}).json()
        asked = [request for request in answer["requests"] if "/tuningJobs" in request["path"]]
    return asked, time.monotonic() - began


def provider_process() -> psutil.Process:
    """The provider that the engine in this process has started."""
    children = psutil.Process().children()
    return next(child for child in children if str(PLUGIN) in child.cmdline())


async def test_five_hundred_jobs_in_flight_cost_few_sockets_little_memory_and_a_list_for_every_fifty(
    emulator: httpx.Client, tmp_path: Path
) -> None:
    held = {"kind": "tuningJobs", "times": JOBS, "state": "RUNNING"}
    emulator.post("/_local/outcomes", json=held).raise_for_status()
    options = project(tmp_path / "many", PROGRAM.format(jobs=JOBS), str(emulator.base_url).rstrip("/"))
    up = asyncio.ensure_future(engine.run(Operation.UP, options))

    def submitted() -> int:
        return len(emulator.get("/_local/submissions").json()["submissions"])

    while not up.done() and submitted() < JOBS:
        await asyncio.sleep(0.2)
    assert not up.done(), up.result().diagnostics
    live = [job for job in emulator.get("/_local/jobs").json()["jobs"] if job["state"].endswith("RUNNING")]
    assert len(live) == JOBS
    provider = provider_process()
    asked, seconds = await lists_asked(emulator, 3 * JOBS // 50)
    assert len(asked) <= 2 * max(1.0, seconds) * JOBS / 50  # each job is looked at about once a second
    for request in asked:
        assert request["path"].endswith("/tuningJobs")  # not one is asked for by its name
        assert "fields" in request["query"]
    connections = [item for item in provider.net_connections("tcp") if item.raddr]
    to_emulator = [item for item in connections if item.raddr.port == emulator.base_url.port]
    assert len(to_emulator) <= MOST_SOCKETS
    assert provider.memory_info().rss / 2**20 <= MOST_MEGABYTES
    emulator.post("/_local/jobs", json={"kind": "tuningJobs", "state": "SUCCEEDED"}).raise_for_status()
    result = await up
    assert result.exit_code == 0, result.diagnostics
    assert submitted() == JOBS
    state = engine.export_stack(options)["deployment"]
    states = [item["outputs"]["state"] for item in state["resources"] if item["type"] == TUNING_JOB]
    assert states == ["SUCCEEDED"] * JOBS
    assert not state.get("pending_operations")


@asynccontextmanager
async def plugin(folder: Path) -> AsyncIterator[tuple[Any, int]]:
    """The stub and the process id of a provider plugin, started as the engine does."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-u", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        port = int(await started.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel), started.pid
    finally:
        started.kill()
        await started.wait()


async def test_calls_wait_for_a_provider_that_gets_no_processor_for_longer_than_grpc_would_let_them() -> None:
    news = encode(
        {
            "location": "us-central1",
            "baseModel": "gemini-2.5-flash",
            "supervisedTuningSpec": {"trainingDatasetUri": "gs://acme-jobs/rows.jsonl"},
        }
    )
    urn = f"urn:pulumi:dev::many::{TUNING_JOB}::job"

    async def answered(stub: Any) -> int:
        request = provider_pb2.CheckRequest(urn=urn, type=TUNING_JOB, news=news)
        answers = await asyncio.gather(*(stub.Check(request) for _ in range(JOBS)))
        return len(answers)

    async with plugin(PLUGIN) as (stub, pid):
        configuration = encode({"project": "p1", "endpoint": "http://127.0.0.1:1", "accessToken": "local"})
        await stub.Configure(provider_pb2.ConfigureRequest(args=configuration, acceptSecrets=True))
        os.kill(pid, signal.SIGSTOP)
        calls = asyncio.ensure_future(answered(stub))
        done, _ = await asyncio.wait([calls], timeout=UNREQUESTED_SECONDS + 1)
        assert not done
        os.kill(pid, signal.SIGCONT)
        assert await calls == JOBS
