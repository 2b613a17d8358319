"""No access token and no secret input in what the plugin says: its outputs, its log, its errors, its process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from blake3 import blake3
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

import tunestack.provider.plugin
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.provider.registry import RESOURCES
from tunestack.provider.values import SECRET, SIGNATURE_KEY, Secret, decode, encode

PLUGIN = Path(next(iter(tunestack.provider.plugin.__path__)))
TRAINER = Path(__file__).parents[1] / "emulator" / "trainer"
TOKEN = "ya29.planted-access-token-of-nobody"
HUSH = "hush-nobody-may-read-this"
PLACE = "projects/p1/locations/us-central1"
MODEL = f"{PLACE}/models/mine"
TUNE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"

ROWS = b'{"input_text":"a","output_text":"b","references":["b"]}\n'

INPUTS: dict[str, dict[str, Any]] = {
    "tunestack:vertex:PipelineJob": {
        "displayName": "d",
        "templateUri": TUNE,
        "parameterValues": {
            "project": "p1",
            "location": "us-central1",
            "model_display_name": Secret(HUSH),
            "dataset_uri": "gs://nowhere/rows.jsonl",
            "train_steps": 5,
        },
        "gcsOutputDirectory": "gs://nowhere/out",
        "wait": False,
    },
    "tunestack:vertex:TuningJob": {
        "baseModel": "gemini-2.5-flash",
        "description": Secret(HUSH),
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://nowhere/rows.jsonl"},
        "wait": False,
    },
    "tunestack:vertex:CustomJob": {
        "displayName": "d",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-4"},
                    "replicaCount": 1,
                    "containerSpec": {"imageUri": "image", "env": [{"name": "KEY", "value": Secret(HUSH)}]},
                }
            ]
        },
        "wait": False,
    },
    "tunestack:vertex:Evaluation": {
        "endpoint": Secret(f"{PLACE}/endpoints/{HUSH}"),
        "baseModel": "publishers/google/models/text-bison@001",
        "task": "generation",
        "heldOut": [{"name": "s", "uri": "gs://rows/rows.jsonl", "digest": blake3(ROWS).hexdigest()}],
        "gate": [],
        "maxOutputTokens": 8,
        "reportDirectory": "gs://nowhere/reports",
    },
    "tunestack:vertex:ModelVersion": {
        "sourceModel": Secret(f"{MODEL}-{HUSH}@1"),
        "aliases": ["prod"],
        "description": Secret(HUSH),
    },
    "tunestack:vertex:Deployment": {
        "model": Secret(f"{MODEL}-{HUSH}@1"),
        "displayName": Secret(HUSH),
        "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1},
    },
    "tunestack:quota:Grant": {
        "quotaId": "CustomModelTrainingL4GPUsPerProjectPerRegion",
        "dimensions": {"region": "us-central1"},
        "atLeast": 2,
        "request": True,
        "contactEmail": Secret(f"{HUSH}@acme.example"),
        "justification": Secret(f"because {HUSH}"),
    },
}
BAD: dict[str, dict[str, Any]] = {
    "tunestack:vertex:ModelVersion": {"sourceModel": Secret(f"{PLACE}/models/{HUSH}-gone@1")},
    "tunestack:vertex:Deployment": {"model": Secret(f"{PLACE}/models/{HUSH}-gone@1")},
    "tunestack:quota:Grant": {"quotaId": Secret(f"{HUSH}-quota")},
}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("secrets-emulator")
    (folder / "base-model").mkdir()
    options = EmulatorOptions(
        data=folder / "data", port=0, trainer=TRAINER, base_model=folder / "base-model", parallel_jobs=1
    )
    url = process.start(options).url
    model = {"modelId": f"mine-{HUSH}", "model": {"displayName": "mine"}}
    httpx.post(f"{url}/v1/{PLACE}/models:upload", json=model).raise_for_status()
    httpx.post(f"{url}/storage/v1/b", params={"project": "p1"}, json={"name": "rows"}).raise_for_status()
    there = {"uploadType": "media", "name": "rows.jsonl"}
    httpx.post(f"{url}/upload/storage/v1/b/rows/o", params=there, content=ROWS).raise_for_status()
    yield url
    process.stop(options.data)


class Plugin:
    """The plugin's own process, spoken to as the engine does; everything that it says is kept."""

    def __init__(self, stub: Any, recorder: Any, pid: int) -> None:
        self.stub = stub
        self.recorder = recorder
        self.pid = pid
        self.said: list[bytes] = []

    async def ask(self, method: str, request: Any) -> Any:
        try:
            answer = await getattr(self.stub, method)(request)
        except grpc.aio.AioRpcError as error:
            self.said.append(str(error.details()).encode())
            trailing = dict(error.trailing_metadata() or ())
            status = trailing.get("grpc-status-details-bin", b"")
            if not status:
                return None
            message = provider_pb2.ErrorResourceInitFailed()
            _unpack(status, message)
            self.said += [reason.encode() for reason in message.reasons]
            self.keep(message.properties, message.inputs)
            return message
        if method != "Configure":
            self.keep(*(value for field, value in answer.ListFields() if hasattr(value, "fields")))
        return answer

    def keep(self, *structs: Any) -> None:
        """All of the state that is not wrapped as a secret."""
        self.said += [repr(_shown(decode(struct))).encode() for struct in structs]


def _unpack(status: Any, message: Any) -> None:
    from google.rpc import status_pb2

    details = status_pb2.Status.FromString(status).details
    assert details[0].Unpack(message)


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return "•"
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


class Recorder(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        self.lines.append(request.message)
        return empty_pb2.Empty()


@pytest.fixture
async def plugin(emulator: str) -> AsyncIterator[Plugin]:
    recorder = Recorder()
    log = grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(recorder, log)
    address = f"127.0.0.1:{log.add_insecure_port('127.0.0.1:0')}"
    await log.start()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PLUGIN),
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    port = int(await child.stdout.readline())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        plugin = Plugin(provider_pb2_grpc.ResourceProviderStub(channel), recorder, child.pid)
        args = encode({"project": "p1", "endpoint": emulator, "accessToken": Secret(TOKEN)})
        checked = await plugin.stub.CheckConfig(provider_pb2.CheckRequest(urn="u", news=args))
        assert decode(checked.inputs)["accessToken"] == Secret(TOKEN)
        await plugin.ask("Configure", provider_pb2.ConfigureRequest(args=checked.inputs, acceptSecrets=True))
        yield plugin
        child.terminate()
        plugin.said += [await child.stdout.read(), await child.stderr.read()]
        await child.wait()
    await log.stop(None)
    assert_silent(plugin)


def assert_silent(plugin: Plugin) -> None:
    for text in [*plugin.said, *(line.encode() for line in plugin.recorder.lines)]:
        assert TOKEN.encode() not in text
        assert HUSH.encode() not in text, text


def test_every_resource_has_a_secret_planted() -> None:
    assert INPUTS.keys() == {cls.token for cls in RESOURCES}
    assert SIGNATURE_KEY != SECRET


async def test_neither_token_nor_secret_is_said_by_a_whole_life(plugin: Plugin) -> None:
    for type_ in INPUTS:
        await whole_life(plugin, type_)
        assert_silent(plugin)
    for file in ("cmdline", "environ"):
        assert TOKEN not in Path(f"/proc/{plugin.pid}/{file}").read_text(errors="replace")
    assert TOKEN not in os.environ.values()
    assert len(plugin.recorder.lines) > 5


async def whole_life(plugin: Plugin, type_: str) -> None:
    urn = f"urn:pulumi:s::tunestack::{type_}::r"
    common = {"urn": urn, "type": type_, "name": "r"}
    news = encode({"location": "us-central1", **INPUTS[type_]} if "quota" not in type_ else INPUTS[type_])
    checked = await plugin.ask("Check", provider_pb2.CheckRequest(**common, news=news))
    assert not checked.failures, checked.failures
    inputs = checked.inputs
    await plugin.ask("Create", provider_pb2.CreateRequest(**common, properties=inputs, preview=True))
    made = await plugin.ask("Create", provider_pb2.CreateRequest(**common, properties=inputs, timeout=5))
    if type_ == "tunestack:vertex:Evaluation":
        assert made is None  # there is no such endpoint: what is tested is the error
        assert b"[secret]" in plugin.said[-1]
        return
    assert made is not None, plugin.said
    outputs, id_ = made.properties, made.id
    if type_ == "tunestack:vertex:ModelVersion":
        assert isinstance(decode(outputs)["name"], Secret)
    state = {"id": id_, "olds": outputs, "old_inputs": inputs, "news": inputs}
    await plugin.ask("Diff", provider_pb2.DiffRequest(**common, **state))
    await plugin.ask("Read", provider_pb2.ReadRequest(**common, id=id_, properties=outputs, inputs=inputs))
    await plugin.ask("Update", provider_pb2.UpdateRequest(**common, **state, preview=True))
    await plugin.ask("Update", provider_pb2.UpdateRequest(**common, **state, timeout=5))
    ended = provider_pb2.DeleteRequest(**common, id=id_, properties=outputs, old_inputs=inputs, timeout=5)
    await plugin.ask("Delete", ended)


async def test_an_error_about_a_secret_does_not_say_it(plugin: Plugin) -> None:
    for type_ in BAD:
        await red(plugin, type_)


async def red(plugin: Plugin, type_: str) -> None:
    urn = f"urn:pulumi:s::tunestack::{type_}::r"
    given = {**INPUTS[type_], **BAD[type_], **({} if "quota" in type_ else {"location": "us-central1"})}
    request = provider_pb2.CheckRequest(urn=urn, type=type_, name="r", news=encode(given))
    checked = await plugin.ask("Check", request)
    assert not checked.failures
    request = provider_pb2.CreateRequest(urn=urn, type=type_, name="r", properties=checked.inputs)
    assert await plugin.ask("Create", request) is None
    assert b"[secret]" in plugin.said[-1]
