"""A small engine: it makes the calls that Pulumi makes of a provider, in its order, and keeps the state."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tunestack.emulator.gcp_provider import configuration, values
from tunestack.emulator.gcp_provider.servicer import GcpProvider

OPERATIONS = {0: "add", 1: "add-replace", 2: "delete", 3: "delete-replace", 4: "update", 5: "update-replace"}


class CheckFailed(Exception):
    """Check found something wrong with the inputs."""


@dataclass
class Resource:
    """A resource as it lies in the engine's state."""

    type: str
    name: str
    id: str
    inputs: Any
    outputs: Any

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::tests::{self.type}::{self.name}"

    def __getitem__(self, key: str) -> Any:
        return values.read(self.outputs).values.get(key)

    @property
    def secrets(self) -> frozenset[str]:
        return values.read(self.outputs).secrets


@dataclass
class Engine:
    """Drives one provider over gRPC."""

    stub: Any
    #: Makes the automatic names of this engine its own, as a stack's name does.
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    state: dict[str, Resource] = field(default_factory=dict)

    async def configure(self, settings: dict[str, Any]) -> None:
        await self.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
        checked = await self.stub.CheckConfig(provider_pb2.CheckRequest(news=values.write(settings)))
        if checked.failures:
            raise CheckFailed("; ".join(f"{f.property}: {f.reason}" for f in checked.failures))
        answer = await self.stub.Configure(
            provider_pb2.ConfigureRequest(args=checked.inputs, acceptSecrets=True, acceptResources=True)
        )
        assert answer.acceptSecrets
        assert answer.supportsPreview

    async def check(self, type_: str, name: str, inputs: dict[str, Any], secretly: Any = ()) -> Any:
        urn = f"urn:pulumi:test::tests::{type_}::{name}"
        old = self.state.get(name)
        response = await self.stub.Check(
            provider_pb2.CheckRequest(
                urn=urn,
                name=name,
                type=type_,
                olds=old.inputs if old else values.write({}),
                news=values.write(inputs, secretly),
                randomSeed=hashlib.sha256(self.seed + urn.encode()).digest(),
            )
        )
        if response.failures:
            raise CheckFailed("; ".join(f"{f.property}: {f.reason}" for f in response.failures))
        return response.inputs

    async def diff(self, name: str, inputs: Any) -> dict[str, str]:
        """The detailed diff between the state and ``inputs``; the answer must agree with itself."""
        old = self.state[name]
        response = await self.stub.Diff(
            provider_pb2.DiffRequest(
                id=old.id,
                urn=old.urn,
                type=old.type,
                name=name,
                olds=old.outputs,
                old_inputs=old.inputs,
                news=inputs,
            )
        )
        found = {path: OPERATIONS[change.kind] for path, change in response.detailedDiff.items()}
        assert (response.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(found)
        assert bool(response.replaces) == any(kind.endswith("replace") for kind in found.values())
        self.delete_first = response.deleteBeforeReplace
        return found

    async def preview(self, type_: str, name: str, /, **inputs: Any) -> dict[str, Any]:
        checked = await self.check(type_, name, inputs)
        urn = f"urn:pulumi:test::tests::{type_}::{name}"
        old = self.state.get(name)
        if old is None:
            response = await self.stub.Create(
                provider_pb2.CreateRequest(urn=urn, name=name, type=type_, properties=checked, preview=True)
            )
        else:
            response = await self.stub.Update(
                provider_pb2.UpdateRequest(
                    id=old.id, urn=urn, name=name, type=type_, olds=old.outputs, news=checked, preview=True
                )
            )
        return values.read(response.properties).values

    async def up(self, type_: str, name: str, /, *, secretly: Any = (), **inputs: Any) -> str:
        """Check, then Create, Update, replace or nothing; what it was: create, update, replace or same."""
        checked = await self.check(type_, name, inputs, secretly)
        old = self.state.get(name)
        if old is not None:
            difference = await self.diff(name, checked)
            if not difference:
                old.inputs = checked
                return "same"
            if not any(kind.endswith("replace") for kind in difference.values()):
                response = await self.stub.Update(
                    provider_pb2.UpdateRequest(
                        id=old.id,
                        urn=old.urn,
                        name=name,
                        type=type_,
                        olds=old.outputs,
                        old_inputs=old.inputs,
                        news=checked,
                    )
                )
                old.inputs, old.outputs = checked, response.properties
                return "update"
            if self.delete_first:
                await self.delete(name)
            else:
                self.state.pop(name)
        created = await self.create(type_, name, checked)
        if old is not None and not self.delete_first:
            await self._delete(old)
        self.state[name] = created
        return "create" if old is None else "replace"

    async def create(self, type_: str, name: str, checked: Any) -> Resource:
        urn = f"urn:pulumi:test::tests::{type_}::{name}"
        request = provider_pb2.CreateRequest(urn=urn, name=name, type=type_, properties=checked)
        response = await self.stub.Create(request)
        return Resource(type_, name, response.id, checked, response.properties)

    async def refresh(self, name: str) -> dict[str, str] | None:
        """Read, then the diff from what was read to the stored inputs; None where the resource is gone."""
        old = self.state[name]
        response = await self.stub.Read(
            provider_pb2.ReadRequest(
                id=old.id, urn=old.urn, name=name, type=old.type, properties=old.outputs, inputs=old.inputs
            )
        )
        if not response.id:
            del self.state[name]
            return None
        assert response.id == old.id
        assert response.inputs == old.inputs
        old.outputs = response.properties
        return await self.diff(name, old.inputs)

    async def invoke(self, token: str, **arguments: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=token, args=values.write(arguments))
        response = await self.stub.Invoke(request)
        return values.read(getattr(response, "return")).values

    async def import_(self, type_: str, name: str, identity: str) -> Resource | None:
        urn = f"urn:pulumi:test::tests::{type_}::{name}"
        response = await self.stub.Read(provider_pb2.ReadRequest(id=identity, urn=urn, name=name, type=type_))
        if not response.id:
            return None
        resource = Resource(type_, name, response.id, response.inputs, response.properties)
        self.state[name] = resource
        return resource

    async def delete(self, name: str) -> None:
        await self._delete(self.state.pop(name))

    async def _delete(self, old: Resource) -> None:
        await self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=old.id, urn=old.urn, name=old.name, type=old.type, properties=old.outputs
            )
        )


@contextlib.asynccontextmanager
async def engine_with_plugin() -> AsyncIterator[Engine]:
    """An engine and a stand-in of its own, with real gRPC between them."""
    server = grpc.aio.server()
    provider = GcpProvider({})
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Engine(provider_pb2_grpc.ResourceProviderStub(channel))
    await server.stop(None)
    await provider.close()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real emulator process with an empty data folder."""
    from tunestack.emulator import process
    from tunestack.emulator.options import EmulatorOptions

    data = tmp_path_factory.mktemp("emulator")
    running = process.start(EmulatorOptions(data=data, port=0))
    yield running.url
    process.stop(data)


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"project-{secrets.token_hex(4)}"


@pytest.fixture
def settings(emulator: str, project: str) -> dict[str, Any]:
    """The provider's configuration, as infra/providers.py makes it."""
    return {
        "project": project,
        "region": "us-central1",
        "accessToken": "local",
        "storageCustomEndpoint": f"{emulator}/storage/v1/",
        "vertexAiCustomEndpoint": f"{emulator}/v1beta1/",
        "resourceManagerCustomEndpoint": f"{emulator}/v1/",
        "iamBetaCustomEndpoint": f"{emulator}/v1/",
        "iamCustomEndpoint": f"{emulator}/",
        "serviceUsageCustomEndpoint": f"{emulator}/v1beta1/",
        "cloudQuotasCustomEndpoint": f"{emulator}/v1/",
        "artifactRegistryCustomEndpoint": f"{emulator}/v1/",
        "bigQueryCustomEndpoint": f"{emulator}/bigquery/v2/",
        "billingBudgetsCustomEndpoint": f"{emulator}/v1/",
        "kmsCustomEndpoint": f"{emulator}/v1/",
        "secretManagerCustomEndpoint": f"{emulator}/v1/",
        "loggingCustomEndpoint": f"{emulator}/v2/",
        "monitoringCustomEndpoint": f"{emulator}/",
        "pubsubCustomEndpoint": f"{emulator}/v1/",
        "version": configuration.plugin_version(),
    }


@pytest.fixture
async def bare_engine() -> AsyncIterator[Engine]:
    """An engine whose provider is not configured yet."""
    async with engine_with_plugin() as engine:
        yield engine


@pytest.fixture
async def engine(bare_engine: Engine, settings: dict[str, Any]) -> Engine:
    """An engine whose provider is configured for the emulator."""
    await bare_engine.configure(settings)
    return bare_engine


@pytest.fixture
async def another_engine(settings: dict[str, Any]) -> AsyncIterator[Engine]:
    """A second engine with a plugin of its own, configured alike."""
    async with engine_with_plugin() as engine:
        await engine.configure(settings)
        yield engine


@pytest.fixture
async def google(emulator: str) -> AsyncIterator[httpx.AsyncClient]:
    """Someone else with access to the project: plain requests, behind Pulumi's back."""
    async with httpx.AsyncClient(base_url=emulator, trust_env=False) as client:
        yield client
