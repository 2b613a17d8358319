"""The provider and the embedded engine at scale.

500 tuning jobs in flight in one provider process, against the emulator with scripted ends; the preview of 1,000
tuning jobs against the same program with bare resources, on the same engine and on the Pulumi CLI where it is on PATH;
200 resources created, left and previewed by both.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import httpx
import psutil
from measured import median
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tunestack import engine
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.engine import EngineOptions, Operation
from tunestack.provider.values import decode, encode

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "tunestack" / "provider" / "plugin"
TOY = ROOT / "tests" / "contract" / "engine" / "provider"
JOBS, RUN_SECONDS = 500, 30
PREVIEWED, GOAL_PREVIEW = 1000, 1.2
RESOURCES = 200
ROUNDS = 7
PASSPHRASE = "bench"  # noqa: S105
KIND = "tunestack:vertex:TuningJob"

_BARE = """
import pulumi

class TuningJob(pulumi.CustomResource):
    def __init__(self, name, location, base_model, supervised_tuning_spec):
        inputs = {"location": location, "baseModel": base_model, "supervisedTuningSpec": supervised_tuning_spec}
        super().__init__("toy:index:Thing", name, {**dict.fromkeys(OUTPUTS), **inputs})
"""
BARE = "OUTPUTS = ()" + _BARE
# What the SDK does for a resource is mostly for its properties, whose they are: these are as many as a tuning job has.
AS_WIDE = (
    """
from tunestack.provider import TuningJob as Typed
from tunestack.provider.declaring import OutputOf

OUTPUTS = [output.wire_name for output in vars(Typed).values() if isinstance(output, OutputOf)]
"""
    + _BARE
)
TYPED = """
import pulumi
from tunestack.provider import Provider, TuningJob as Typed

provider = Provider("tuning", project="bench", endpoint="http://127.0.0.1:1", access_token="local")

def TuningJob(name, **inputs):
    return Typed(name, **inputs, opts=pulumi.ResourceOptions(provider=provider))
"""
PROGRAM = """
for number in range({count}):
    TuningJob(
        f"job-{{number}}",
        location="us-central1",
        base_model="gemini-2.5-flash",
        supervised_tuning_spec={{
            "trainingDatasetUri": f"gs://bench/{{number}}.jsonl", "hyperParameters": {{"epochCount": 3}}
        }},
    )
"""


def main() -> None:
    print(f"processors: {os.cpu_count()}, load before: {os.getloadavg()[0]:.1f}\n", flush=True)
    asyncio.run(in_flight())
    previews()
    create_and_preview()


# Jobs in flight


async def in_flight() -> None:
    with tempfile.TemporaryDirectory(prefix="tunestack-bench-") as folder:
        options = EmulatorOptions(data=Path(folder) / "data", port=0)
        running = process.start(options)
        plugin = await asyncio.create_subprocess_exec(sys.executable, str(PLUGIN), stdout=subprocess.PIPE)
        try:
            await _in_flight(running.url, plugin)
        finally:
            if plugin.returncode is None:
                plugin.terminate()
            await plugin.wait()
            process.stop(options.data)


async def _in_flight(url: str, plugin: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        script = {"kind": "tuningJobs", "times": JOBS, "state": "SUCCEEDED", "afterSeconds": RUN_SECONDS}
        (await http.post("/_local/outcomes", json=script)).raise_for_status()
        assert plugin.stdout is not None
        port = int(await plugin.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            configuration = encode({"project": "bench", "endpoint": url, "accessToken": "local"})
            await stub.Configure(provider_pb2.ConfigureRequest(args=configuration, acceptSecrets=True))
            peaks = {"sockets": 0, "megabytes": 0.0, "threads": 0}
            watched = asyncio.ensure_future(_watch(psutil.Process(plugin.pid), peaks))
            started = time.monotonic()
            states = await asyncio.gather(*(_created(stub, number) for number in range(JOBS)))
            wall = time.monotonic() - started
            watched.cancel()
        verbs: Counter[str] = Counter()
        since = 0
        while page := (await http.get("/_local/requests", params={"since": since})).json()["requests"]:
            verbs.update(_verb(request) for request in page if "tuningJobs" in request["path"])
            since = page[-1]["sequence"]
    if set(states) != {"SUCCEEDED"}:
        sys.exit(f"not every job succeeded: {Counter(states)}")
    asked = ", ".join(f"{count} {verb}" for verb, count in sorted(verbs.items()))
    print(f"| {JOBS} tuning jobs of {RUN_SECONDS} s in flight in one provider process | |\n|---|---|")
    print(f"| wall, from the first create to the last answer | {wall:.1f} s |")
    print(f"| peak memory of the provider | {peaks['megabytes']:.0f} MB |")
    print(f"| most sockets to the emulator | {peaks['sockets']} |")
    print(f"| most threads | {peaks['threads']} |")
    print(f"| requests | {sum(verbs.values())}: {asked} |\n", flush=True)


async def _created(stub: Any, number: int) -> str:
    urn = f"urn:pulumi:bench::bench::{KIND}::job-{number}"
    inputs = {
        "location": "us-central1",
        "baseModel": "gemini-2.5-flash",
        "supervisedTuningSpec": {"trainingDatasetUri": f"gs://bench/{number}.jsonl"},
    }
    checked = await stub.Check(provider_pb2.CheckRequest(urn=urn, type=KIND, news=encode(inputs)))
    created = await stub.Create(provider_pb2.CreateRequest(urn=urn, type=KIND, properties=checked.inputs))
    return str(decode(created.properties)["state"])


async def _watch(plugin: psutil.Process, peaks: dict[str, Any]) -> None:
    while True:
        to_emulator = [item for item in plugin.net_connections("tcp") if item.status == "ESTABLISHED"]
        # One of them is the bench's own gRPC connection.
        peaks["sockets"] = max(peaks["sockets"], len(to_emulator) - 1)
        peaks["megabytes"] = max(peaks["megabytes"], plugin.memory_info().rss / 2**20)
        peaks["threads"] = max(peaks["threads"], plugin.num_threads())
        await asyncio.sleep(0.1)


def _verb(request: dict[str, Any]) -> str:
    if request["verb"] == "POST":
        return "create"
    return "list" if request["path"].endswith("/tuningJobs") else "get"


# Engines


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and seconds of processor time of this process and its children, which are its own."""

    wall: float
    processor: float

    @classmethod
    def so_far(cls) -> Cost:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(time.monotonic(), sum(usage.ru_utime + usage.ru_stime for usage in used))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.processor - other.processor)

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.processor:.1f})"

    @staticmethod
    def median(costs: Sequence[Cost]) -> Cost:
        return Cost(median([cost.wall for cost in costs]), median([cost.processor for cost in costs]))


class Stack:
    """A project in a folder of its own, run by either engine."""

    def __init__(self, folder: Path, program: str) -> None:
        (folder / "infra").mkdir(parents=True)
        for name in ("state", "home", "toy"):
            (folder / name).mkdir()
        self.folder = folder
        (folder / "infra" / "__main__.py").write_text(program)
        plugins = [{"name": "toy", "path": str(TOY)}, {"name": "tunestack", "path": str(PLUGIN)}]
        runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
        project = {"name": "bench", "main": "infra", "runtime": runtime, "plugins": {"providers": plugins}}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        configuration = {"config": {"bench:endpoint": "http://127.0.0.1:1"}}
        (folder / "Pulumi.dev.yaml").write_text(json.dumps(configuration))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        self.environment = {**inherited, "TOY_HOME": str(folder / "toy")}

    def embedded(self, operation: str) -> Cost:
        """What an operation of the embedded engine costs, in a process that has loaded it."""
        options = EngineOptions(
            self.folder,
            "dev",
            self.folder / "state",
            self.folder / "home",
            PASSPHRASE,
            environment=self.environment,
        )
        before = Cost.so_far()
        result = asyncio.run(engine.run(Operation(operation), options))
        if result.exit_code:
            sys.exit(f"{operation} ended with {result.exit_code}: {result.diagnostics}")
        return Cost.so_far() - before

    def cli(self, *words: str) -> Cost:
        """What an operation of the Pulumi CLI costs as a whole process."""
        environment = {
            **self.environment,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        before = Cost.so_far()
        done = subprocess.run(
            ["pulumi", *words, "--stack", "dev", "--non-interactive"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"pulumi {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return Cost.so_far() - before


def previews() -> None:
    """Preview of the same program with three kinds of resources, in turns; ``Stack`` folders of their own."""
    program = PROGRAM.format(count=PREVIEWED)
    kinds = {
        "bare resources of a provider that does nothing": BARE,
        "the same with as many properties as a tuning job": AS_WIDE,
        "tuning jobs": TYPED,
    }
    with tempfile.TemporaryDirectory(prefix="tunestack-bench-") as folder:
        stacks = [Stack(Path(folder) / str(n), head + program) for n, head in enumerate(kinds.values())]
        rounds = [[stack.embedded("preview") for stack in stacks] for _ in range(ROUNDS)]
        columns = {f"embedded engine, median of {ROUNDS}": rounds}
        if shutil.which("pulumi") is not None:
            for stack in stacks:
                stack.cli("stack", "init")
            columns["Pulumi CLI, once"] = [[stack.cli("preview") for stack in stacks]]
    title = f"preview of {PREVIEWED:,} resources, seconds (of processor time)"
    print(f"| {title} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for row, kind in enumerate(kinds):
        costs = [str(Cost.median([costs[row] for costs in rounds])) for rounds in columns.values()]
        print(f"| {kind} | {' | '.join(costs)} |")
    for row, against in ((0, f"bare (goal ≤ {GOAL_PREVIEW})"), (1, "as wide")):
        times = [_times([(costs[2], costs[row]) for costs in rounds]) for rounds in columns.values()]
        print(f"| tuning jobs against {against} | {' | '.join(times)} |")
    _say_whether_the_cli_is_there(columns)


def _times(pairs: Sequence[tuple[Cost, Cost]]) -> str:
    """How many times the second cost the first is, by the clock and by the processor: the median over the rounds."""
    wall = [cost.wall / base.wall for cost, base in pairs]
    processor = [cost.processor / base.processor for cost, base in pairs]
    spread = f", rounds {min(wall):.2f} to {max(wall):.2f}" if len(pairs) > 1 else ""
    return f"{median(wall):.2f} × ({median(processor):.2f} ×){spread}"


def _say_whether_the_cli_is_there(columns: Sized) -> None:
    if len(columns) == 1:
        print("\nThe Pulumi CLI is not on PATH: nothing to compare with.")
    print(flush=True)


def create_and_preview() -> None:
    program = BARE + PROGRAM.format(count=RESOURCES)
    rows: dict[str, list[str]] = {"create": [], "an up that changes nothing": [], "preview": []}
    columns = ["embedded engine"]
    with tempfile.TemporaryDirectory(prefix="tunestack-bench-") as folder:
        stack = Stack(Path(folder) / "embedded", program)
        for row, operation in zip(rows, ("up", "up", "preview"), strict=True):
            rows[row].append(str(stack.embedded(operation)))
        if shutil.which("pulumi") is not None:
            columns.append("Pulumi CLI")
            stack = Stack(Path(folder) / "cli", program)
            stack.cli("stack", "init")
            up = ("up", "--yes", "--skip-preview")
            for row, words in zip(rows, (up, up, ("preview",)), strict=True):
                rows[row].append(str(stack.cli(*words)))
    print(
        f"| {RESOURCES} resources, seconds (of processor time) | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    )
    for row, seconds in rows.items():
        print(f"| {row} | {' | '.join(seconds)} |")
    _say_whether_the_cli_is_there(columns)


if __name__ == "__main__":
    main()
