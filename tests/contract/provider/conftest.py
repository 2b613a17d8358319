"""A Vertex AI that answers by script, and a provider that is spoken to as the engine does."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import h11
import pytest
from google.protobuf import empty_pb2
from grpc_status import rpc_status
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from tunestack.provider.registry import RESOURCES, connect
from tunestack.provider.service import ProviderServicer
from tunestack.provider.values import Properties, decode, encode
from tunestack.vertex.timing import Timing

PROJECT, LOCATION = "acme", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"


JOBS = ("pipelineJobs", "tuningJobs", "customJobs")


class DropAnswer(Exception):
    """Close the connection without an answer."""


Fault = Callable[[str, str, bool], Any]


class Faults(list[Fault]):
    """Faults that a test scripts. One has fired when it gave a status, raised, or took itself out of the list."""

    def __init__(self) -> None:
        super().__init__()
        self.unfired: list[Fault] = []

    def append(self, fault: Fault) -> None:
        super().append(fault)
        self.unfired.append(fault)

    def remove(self, fault: Fault) -> None:
        super().remove(fault)
        self._fires(fault)

    def ask(self, fault: Fault, method: str, path: str, carried_out: bool) -> Any:
        try:
            instead = fault(method, path, carried_out)
        except BaseException:
            self._fires(fault)
            raise
        if instead is not None:
            self._fires(fault)
        return instead

    def _fires(self, fault: Fault) -> None:
        if fault in self.unfired:
            self.unfired.remove(fault)


@dataclass
class ScriptedVertex:
    """Jobs that go through ``states``, one a look; ``fault(method, path)`` may raise or give a status instead."""

    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    error: dict[str, Any] | None = None
    tune: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    replies: Callable[[str, str], str] = lambda name, text: text
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    looked: Callable[[int], None] = lambda count: None
    looks: int = 0
    endpoint: str = ""
    drop: Exception = field(default_factory=lambda: DropAnswer())

    @property
    def submissions(self) -> int:
        return len(self.jobs)

    def add_job(
        self, id_: str, state: str, spec_hash: str, created: str, segment: str = "pipelineJobs", **more: Any
    ) -> dict[str, Any]:
        name = f"{PARENT}/{segment}/{id_}"
        job = {
            "name": name,
            "displayName": "d",
            "labels": {"tunestack-spec-hash": spec_hash},
            "createTime": created,
            "states": [state],
            **more,
        }
        self.jobs[name] = job
        if state == "SUCCEEDED":
            self._finish(job)
        return job

    def _finish(self, job: dict[str, Any]) -> None:
        id_ = job["name"].rsplit("/", 1)[1]
        model, endpoint = f"{PARENT}/models/m-{id_}", f"{PARENT}/endpoints/e-{id_}"
        if "finished" not in job and "/customJobs/" not in job["name"]:
            job["finished"] = True
            self.models[model] = {"name": model}
            self.endpoints[endpoint] = {
                "name": endpoint,
                "deployedModels": [{"id": "1", "model": f"{model}@1"}],
            }

    def _view(self, job: dict[str, Any], advance: bool) -> dict[str, Any]:
        state = job["states"][0]
        if advance and len(job["states"]) > 1:
            job["states"].pop(0)
            state = job["states"][0]
        view = {key: value for key, value in job.items() if key not in ("states", "finished")}
        view["state"] = f"{'PIPELINE' if '/pipelineJobs/' in job['name'] else 'JOB'}_STATE_{state}"
        if state == "SUCCEEDED":
            self._finish(job)
            view |= {"startTime": "2026-01-01T00:00:10Z", "endTime": "2026-01-01T00:01:10.5Z"}
        if "/pipelineJobs/" in job["name"]:
            view["jobDetail"] = {"taskDetails": self._tasks(job, state)}
        if "/tuningJobs/" in job["name"]:
            view |= self._tuned(job, state)
        if state == "FAILED" and self.error:
            view["error"] = self.error
        return view

    def _tasks(self, job: dict[str, Any], state: str) -> list[dict[str, Any]]:
        id_ = job["name"].rsplit("/", 1)[1]
        tune = {"taskName": "tune", "state": state, "execution": {"metadata": dict(self.tune)}}
        tasks: list[dict[str, Any]] = [{"taskName": "validate-dataset", "state": "SUCCEEDED"}, tune]
        if state == "SUCCEEDED":
            results = {
                "upload-llm-model": {"output:model_resource_name": f"{PARENT}/models/m-{id_}@1"},
                "deploy-llm-model": {"output:endpoint_resource_name": f"{PARENT}/endpoints/e-{id_}"},
            }
            tasks += [
                {"taskName": name, "state": "SUCCEEDED", "execution": {"metadata": metadata}}
                for name, metadata in results.items()
            ]
        return tasks

    def _tuned(self, job: dict[str, Any], state: str) -> dict[str, Any]:
        id_ = job["name"].rsplit("/", 1)[1]
        told: dict[str, Any] = {
            "tuningJobState": "TUNING_JOB_STATE_TUNING",
            "tuningJobMetadata": {"completedStepCount": str(self.tune.get("step", 0))},
            "tuningDataStats": {"supervisedTuningDataStats": {"tuningStepCount": "90"}},
        }
        if state == "SUCCEEDED":
            endpoint = f"{PARENT}/endpoints/e-{id_}"
            told["tunedModel"] = {
                "model": f"{PARENT}/models/m-{id_}@1",
                "endpoint": endpoint,
                "checkpoints": [{"checkpointId": "1", "epoch": "1", "step": "45", "endpoint": endpoint}],
            }
            told["experiment"] = f"{PARENT}/metadataStores/default/contexts/{id_}"
        return told

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        self.requests.append((method, path))
        name = path.removeprefix("/v1/").removeprefix("/v1beta1/")
        segment = name.rsplit("/", 1)[-1]
        if method == "POST" and segment in JOBS:
            if segment == "pipelineJobs":
                full = f"{name}/{query['pipelineJobId'][0]}"
            else:
                full = f"{name}/{len(self.jobs) + 1}"
            if full in self.jobs:
                return 409, _error(409, "ALREADY_EXISTS", "the job exists")
            job = json.loads(body)
            self.jobs[full] = {
                **job,
                "name": full,
                "createTime": f"2026-01-01T00:00:{len(self.jobs):02d}Z",
                "states": list(self.states),
            }
            return 200, self._view(self.jobs[full], advance=False)
        if method == "GET" and segment in JOBS:
            wanted = set(re.findall(r'"(\w+)"', query["filter"][0]))
            found = [
                job
                for key, job in self.jobs.items()
                if f"/{segment}/" in key and job["labels"].get("tunestack-spec-hash") in wanted
            ]
            return 200, {segment: [self._view(job, advance=False) for job in found]}
        if method == "DELETE" and "/tuningJobs/" in name:
            return 501, _error(501, "UNIMPLEMENTED", "tuning jobs have no delete")
        if method == "POST" and name.endswith(":cancel"):
            self.jobs[name.removesuffix(":cancel")]["states"] = ["CANCELLING", "CANCELLED"]
            return 200, {}
        if method == "POST" and name.endswith(":undeployModel"):
            self.endpoints[name.removesuffix(":undeployModel")]["deployedModels"] = []
            return 200, {"name": f"{PARENT}/operations/1", "done": False}
        if method == "GET" and name.endswith(":listVersions"):
            model = name.removesuffix(":listVersions")
            versions = [{"name": model, "versionId": version} for version in self.versions.get(model, ["1"])]
            return (
                (200, {"models": versions}) if model in self.models else (404, _error(404, "NOT_FOUND", name))
            )
        if method == "DELETE" and name.endswith(":deleteVersion"):
            model, _, version = name.removesuffix(":deleteVersion").partition("@")
            self.versions[model].remove(version)
            return 200, {"name": f"{PARENT}/operations/3", "done": True, "response": {}}
        if method == "POST" and name.endswith(":predict"):
            texts = [instance["content"] for instance in json.loads(body)["instances"]]
            return 200, {"predictions": [{"content": self.replies(name, text)} for text in texts]}
        if "/operations/" in name:
            return 200, {"name": name, "done": True, "response": {}}
        if path.startswith("/storage/v1/b/"):
            found_object = self.objects.get(_object(path))
            return (200, found_object) if found_object is not None else (404, _error(404, "NOT_FOUND", path))
        if path.startswith("/upload/storage/v1/b/"):
            bucket = path.split("/")[5]
            self.objects[f"gs://{bucket}/{query['name'][0]}"] = body
            return 200, {"name": query["name"][0]}
        for kind in (self.jobs, self.models, self.endpoints):
            key = name.partition("@")[0]
            if key in kind:
                if method == "DELETE":
                    del kind[key]
                    return 200, {"name": f"{PARENT}/operations/2", "done": True, "response": {}}
                if kind is self.jobs:
                    self.looks += 1
                    self.looked(self.looks)
                    return 200, self._view(kind[key], advance=True)
                return 200, kind[key]
        return 404, _error(404, "NOT_FOUND", f"{name} not found")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                request, body = await _receive(connection, reader)
                if request is None:
                    return
                target = urlsplit(request.target.decode())
                method, query = request.method.decode(), parse_qs(target.query)
                status, content = self._faulty(method, unquote(target.path), query, body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                head = h11.Response(status_code=status, headers=[("content-length", str(len(data)))])
                for event in (head, h11.Data(data=data), h11.EndOfMessage()):
                    writer.write(connection.send(event) or b"")
                await writer.drain()
                connection.start_next_cycle()
        except (DropAnswer, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    def _faulty(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        for fault in list(self.faults):
            instead = self.faults.ask(fault, method, path, False)
            if instead is not None:
                self.requests.append((method, path))
                return int(instead), _error(int(instead), "SCRIPTED", "a scripted fault")
        answer = self.answer(method, path, query, body)
        for fault in list(self.faults):
            self.faults.ask(fault, method, path, True)
        return answer


def _object(path: str) -> str:
    bucket, _, name = path.removeprefix("/storage/v1/b/").partition("/o/")
    return f"gs://{bucket}/{name}"


def _error(code: int, status: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message}}


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[Any, bytes]:
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:
            return None, b""


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1_767_225_600.0
        self.draws = itertools.cycle([number / 97 for number in range(97)])

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def timing(self) -> Timing:
        return Timing(lambda: self.now, self.sleep, lambda: self.now, lambda: next(self.draws))


class EngineRecorder(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []

    async def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.lines.append((request.message, request.ephemeral))
        return empty_pb2.Empty()


@dataclass
class PartialFailure:
    id: str
    outputs: Properties
    reasons: list[str]
    inputs: Properties


class Engine:
    """Calls one provider in the order of Pulumi's engine."""

    def __init__(self, stub: Any, recorder: EngineRecorder) -> None:
        self.stub = stub
        self.recorder = recorder

    def urn(self, type_: str, name: str) -> str:
        return f"urn:pulumi:test::tunestack::{type_}::{name}"

    async def configure(self, **args: Any) -> None:
        urn = self.urn("pulumi:providers:tunestack", "default")
        await self.stub.GetPluginInfo(empty_pb2.Empty())
        checked = await self.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=encode(args)))
        assert not checked.failures, checked.failures
        await self.stub.Configure(provider_pb2.ConfigureRequest(args=checked.inputs, acceptSecrets=True))

    async def check(self, type_: str, news: Properties, name: str = "r") -> tuple[Properties, dict[str, str]]:
        urn = self.urn(type_, name)
        answer = await self.stub.Check(
            provider_pb2.CheckRequest(urn=urn, type=type_, name=name, news=encode(news))
        )
        return decode(answer.inputs), {item.property: item.reason for item in answer.failures}

    async def diff(
        self,
        type_: str,
        id_: str,
        olds: Properties,
        old_inputs: Properties,
        news: Properties,
        name: str = "r",
    ) -> tuple[dict[str, str], bool]:
        answer = await self.stub.Diff(
            provider_pb2.DiffRequest(
                id=id_,
                urn=self.urn(type_, name),
                type=type_,
                olds=encode(olds),
                old_inputs=encode(old_inputs),
                news=encode(news),
            )
        )
        kinds = provider_pb2.PropertyDiff.Kind
        return {path: kinds.Name(item.kind) for path, item in answer.detailedDiff.items()}, bool(
            answer.replaces
        )

    async def create(
        self, type_: str, inputs: Properties, name: str = "r", *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, Properties]:
        request = provider_pb2.CreateRequest(
            urn=self.urn(type_, name),
            type=type_,
            name=name,
            properties=encode(inputs),
            preview=preview,
            timeout=timeout,
        )
        answer = await self.stub.Create(request)
        return answer.id, decode(answer.properties)

    async def update(
        self,
        type_: str,
        id_: str,
        olds: Properties,
        news: Properties,
        name: str = "r",
        *,
        preview: bool = False,
    ) -> Properties:
        request = provider_pb2.UpdateRequest(
            id=id_,
            urn=self.urn(type_, name),
            type=type_,
            olds=encode(olds),
            news=encode(news),
            preview=preview,
        )
        return decode((await self.stub.Update(request)).properties)

    async def read(
        self, type_: str, id_: str, outputs: Properties, inputs: Properties, name: str = "r"
    ) -> Any:
        request = provider_pb2.ReadRequest(id=id_, urn=self.urn(type_, name), type=type_)
        if outputs:
            request.properties.CopyFrom(encode(outputs))
        if inputs:
            request.inputs.CopyFrom(encode(inputs))
        answer = await self.stub.Read(request)
        return answer.id, decode(answer.properties), decode(answer.inputs)

    async def delete(
        self, type_: str, id_: str, outputs: Properties, inputs: Properties, name: str = "r"
    ) -> None:
        await self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=id_,
                urn=self.urn(type_, name),
                type=type_,
                properties=encode(outputs),
                old_inputs=encode(inputs),
            )
        )

    async def cancel(self) -> None:
        await self.stub.Cancel(empty_pb2.Empty())

    @property
    def lines(self) -> list[str]:
        return [message for message, _ in self.recorder.lines]

    @staticmethod
    def partial(error: grpc.aio.AioRpcError) -> PartialFailure:
        status = rpc_status.from_call(error)
        detail = provider_pb2.ErrorResourceInitFailed()
        assert status is not None, error
        assert status.details[0].Unpack(detail), error
        return PartialFailure(
            detail.id, decode(detail.properties), list(detail.reasons), decode(detail.inputs)
        )


@pytest.fixture
async def vertex() -> AsyncIterator[ScriptedVertex]:
    scripted = ScriptedVertex()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield scripted
    server.close()
    never = [f"{fault.__qualname__} ({fault.__code__.co_firstlineno})" for fault in scripted.faults.unfired]
    assert not never, f"faults that were scripted and never fired: {', '.join(never)}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def new_engine(clock: FakeClock) -> AsyncIterator[Callable[[], Any]]:
    """Starts a provider as a new engine process would: handshake, no configuration yet."""
    stops: list[Callable[[], Any]] = []

    async def start() -> Engine:
        recorder = EngineRecorder()
        log_server = grpc.aio.server()
        engine_pb2_grpc.add_EngineServicer_to_server(recorder, log_server)
        address = f"127.0.0.1:{log_server.add_insecure_port('127.0.0.1:0')}"
        await log_server.start()
        server = grpc.aio.server()
        servicer = ProviderServicer(RESOURCES, lambda configuration: connect(configuration, clock.timing()))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        await stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=address))

        async def stop() -> None:
            await channel.close()
            await server.stop(None)
            await servicer.close()
            await log_server.stop(None)

        stops.append(stop)
        return Engine(stub, recorder)

    yield start
    for stop in stops:
        await stop()


@pytest.fixture
async def engine(new_engine: Any, vertex: ScriptedVertex) -> Engine:
    started: Engine = await new_engine()
    await started.configure(project=PROJECT, endpoint=vertex.endpoint)
    return started
