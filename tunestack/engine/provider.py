"""The engine's side of ``pulumirpc.ResourceProvider``: one client for one configured provider instance."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import grpc
import grpc.aio
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tunestack.engine.errors import EngineError, EngineRefused, PluginError
from tunestack.engine.plugin import START_SECONDS, Plugin
from tunestack.engine.state import Resource
from tunestack.engine.urns import name_of, package_of, type_of
from tunestack.engine.values import (
    UNKNOWN,
    Properties,
    annotate_secrets,
    contains_unknowns,
    from_struct,
    to_struct,
    unwrap,
)

# The CLI's limit; states with embedded files exceed gRPC's default of 4 MiB.
CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
]
CANCEL_SECONDS: Final = 60.0  # twice what the CLI allows all providers together
_MOST: Final = 2**31 - 1
# By default gRPC ends a request CANCELLED that its server did not take up within 30 s, and refuses some once 1,000
# of them wait. A program registers hundreds of resources at once and takes neither for a reason to try again; on a
# busy machine, or one that sleeps, a process may well get no processor for as long.
SERVER_OPTIONS: Final = [
    *CHANNEL_OPTIONS,
    ("grpc.server_max_unrequested_time_in_server", _MOST),
    ("grpc.server.max_pending_requests", _MOST),
    ("grpc.server.max_pending_requests_hard_limit", _MOST),
]


@dataclass(frozen=True)
class CheckFailure:
    """One input that the provider finds wrong; `property` is empty when it is about all of them."""

    property: str
    reason: str


@dataclass(frozen=True)
class PropertyDiff:
    """`kind` is ``add``, ``delete`` or ``update``, with ``-replace`` where the change asks for a replacement."""

    kind: str
    input_diff: bool = False

    @property
    def replaces(self) -> bool:
        return self.kind.endswith("-replace")

    def to_replace(self) -> PropertyDiff:
        return self if self.replaces else replace(self, kind=f"{self.kind}-replace")

    def inverted(self) -> PropertyDiff:
        swapped = self.kind.replace("add", "\0").replace("delete", "add").replace("\0", "delete")
        return replace(self, kind=swapped)


_KINDS: Final = ("add", "add-replace", "delete", "delete-replace", "update", "update-replace")


@dataclass(frozen=True)
class Diff:
    """What a provider says about old against new. `changes`: ``unknown``, ``none`` or ``some``."""

    changes: str = "none"
    replace_keys: tuple[str, ...] = ()
    stable_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    detailed: dict[str, PropertyDiff] | None = None
    delete_before_replace: bool = False
    unavailable: str = ""  # why the provider could not be asked

    @property
    def replace(self) -> bool:
        return self.changes == "some" and bool(self.replace_keys)


@dataclass
class Outcome:
    """What Create, Update or Read left: `reasons` says that initialisation failed (a partial failure)."""

    id: str = ""
    outputs: Properties = field(default_factory=dict)
    inputs: Properties | None = None
    reasons: list[str] = field(default_factory=list)
    refresh_before_update: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.reasons)


class ProviderError(Exception):
    """A call failed. `settled` is False when nobody knows whether the provider did what it was asked."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code

    @property
    def settled(self) -> bool:
        return self.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def _initialization_failure(error: grpc.aio.AioRpcError) -> provider_pb2.ErrorResourceInitFailed | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                if detail.Is(provider_pb2.ErrorResourceInitFailed.DESCRIPTOR):
                    failure = provider_pb2.ErrorResourceInitFailed()
                    detail.Unpack(failure)
                    return failure
    return None


class Provider:
    """One provider instance: a plugin process with one configuration.

    `known` is False in a preview whose configuration holds unknowns: the plugin is not called then.
    """

    def __init__(self, plugin: Plugin, engine_address: str) -> None:
        self.plugin = plugin
        self._engine_address = engine_address
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{plugin.port}", options=CHANNEL_OPTIONS)
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._accept_secrets = False
        self._accept_references = False
        self._supports_preview = False
        self._handshaken = False
        self._configured: asyncio.Task[None] | None = None
        self.known = True
        self.version = ""

    async def open(self, program_directory: str) -> None:
        """Handshake (and Attach where the plugin was running before), then ask for its version.

        Raises:
            PluginError: it does not answer.
        """
        await self._connected()
        if self.plugin.child is None:
            await self._call(self._stub.Attach, plugin_pb2.PluginAttach(address=self._engine_address))
        request = provider_pb2.ProviderHandshakeRequest(
            engine_address=self._engine_address,
            configure_with_urn=True,
            supports_refresh_before_update=True,
            invoke_with_preview=True,
        )
        if self.plugin.source.command:
            location = self.plugin.source.command[-1]
            request.root_directory = request.program_directory = location
        try:
            answer = await self._call(self._stub.Handshake, request)
            self._handshaken = self._supports_preview = True
            self._accept_secrets, self._accept_references = answer.accept_secrets, answer.accept_resources
        except ProviderError as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise PluginError(f"plugin {self.plugin.source.name}: {error}") from error
        with contextlib.suppress(ProviderError):
            self.version = (await self._call(self._stub.GetPluginInfo, _empty())).version

    async def _connected(self) -> None:
        """Wait until the plugin listens: it may need a moment yet, and it may die before it does."""
        name, child = self.plugin.source.name, self.plugin.child
        ready: asyncio.Future[Any] = asyncio.ensure_future(self._channel.channel_ready())
        waited = {ready} if child is None else {ready, asyncio.ensure_future(child.wait())}
        try:
            await asyncio.wait(waited, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                code = child.returncode if child is not None else None
                what = "does not listen" if code is None else f"exited prematurely with code {code}"
                said = "".join(self.plugin.errors)
                raise PluginError(f"plugin {name} {what} (port {self.plugin.port})\n{said}".rstrip())
        finally:
            for future in waited:
                future.cancel()

    async def _call(self, method: Any, request: Any) -> Any:
        # Never with `wait_for_ready`: a plugin that has died will not be ready again, and the call would not end.
        try:
            return await method(request)
        except grpc.aio.AioRpcError as error:
            raise await self._failed(error) from error

    async def _failed(self, error: grpc.aio.AioRpcError) -> ProviderError:
        """The error in words: of a plugin that is gone, how it ended and what it said last."""
        code, message, child = error.code(), error.details() or error.code().name, self.plugin.child
        broken = self._channel.get_state() is not grpc.ChannelConnectivity.READY
        # A connection that is reset within a call is UNKNOWN to gRPC, in these words of its transport.
        lost = (code is grpc.StatusCode.UNAVAILABLE and broken) or message.startswith("Stream removed")
        if lost and child is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 1.0)
            if child.returncode is not None:
                said = "".join(self.plugin.errors)
                message = f"plugin {self.plugin.source.name} ended (exit status {child.returncode})\n{said}".rstrip()
        return ProviderError(message, code)

    async def _call_resource(self, method: Any, request: Any, inputs: Properties, preview: bool) -> Outcome:
        """Create, Update or Read: an answer, or the partial failure that came as an error."""
        try:
            answer = await method(request)
        except grpc.aio.AioRpcError as error:
            failure = _initialization_failure(error)
            if failure is None:
                raise await self._failed(error) from error
            return Outcome(
                failure.id,
                self._outputs(failure.properties, inputs, preview),
                from_struct(failure.inputs) if failure.HasField("inputs") else None,
                list(failure.reasons) or [error.details() or "initialization failed"],
                failure.refresh_before_update,
            )
        outputs = self._outputs(answer.properties, inputs, preview)
        new_inputs = None
        if isinstance(answer, provider_pb2.ReadResponse) and answer.HasField("inputs"):
            new_inputs = from_struct(answer.inputs)
        return Outcome(getattr(answer, "id", ""), outputs, new_inputs, [], bool(answer.refresh_before_update))

    def _outputs(self, struct: Any, inputs: Properties, preview: bool) -> Properties:
        outputs = from_struct(struct)
        if not preview and contains_unknowns(outputs):
            raise ProviderError("the provider returned unknown values", grpc.StatusCode.INTERNAL)
        return outputs if self._accept_secrets else annotate_secrets(outputs, inputs)

    def _struct(self, properties: Properties, elide: bool = False) -> Any:
        return to_struct(
            properties,
            keep_secrets=self._accept_secrets,
            keep_references=self._accept_references,
            elide=elide,
        )

    # -- the provider's own configuration --

    async def check_config(
        self, urn: str, olds: Properties, news: Properties
    ) -> tuple[Properties, list[CheckFailure]]:
        request = provider_pb2.CheckRequest(
            urn=urn, name=name_of(urn), type=type_of(urn), olds=to_struct(olds), news=to_struct(news)
        )
        try:
            answer = await self._call(self._stub.CheckConfig, request)
        except ProviderError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                return news, []
            raise
        failures = [CheckFailure(failure.property, failure.reason) for failure in answer.failures]
        return (from_struct(answer.inputs) if answer.HasField("inputs") else news), failures

    async def diff_config(self, old: Resource, news: Properties, ignore_changes: Iterable[str]) -> Diff:
        request = provider_pb2.DiffRequest(
            urn=old.urn,
            name=name_of(old.urn),
            type=old.type,
            old_inputs=to_struct(without_internal(old.inputs)),
            olds=to_struct(without_internal(old.outputs)),
            news=to_struct(news),
            ignoreChanges=list(ignore_changes),
        )
        try:
            return _diff(await self._call(self._stub.DiffConfig, request))
        except ProviderError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                return Diff("unknown")
            raise

    def configure(self, urn: str, identifier: str, inputs: Properties) -> None:
        """Start configuring; every other call waits for it. With unknown inputs the plugin is left alone."""
        if self._configured is not None:
            return
        inputs = without_internal(inputs)
        if any(contains_unknowns(value) for key, value in inputs.items() if key != "version"):
            self.known = False
            self._configured = asyncio.create_task(_nothing())
            return
        package = package_of(type_of(urn))
        variables = {}
        for key, value in inputs.items():
            if key != "version":
                plain = unwrap(value)
                text = plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"))
                variables[f"{package}:config:{key}"] = text
        request = provider_pb2.ConfigureRequest(
            urn=urn,
            name=name_of(urn),
            type=type_of(urn),
            id=identifier,
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            variables=variables,
            args=to_struct(inputs),
        )
        self._configured = asyncio.create_task(self._configure(request))

    async def _configure(self, request: Any) -> None:
        answer = await self._call(self._stub.Configure, request)
        if not self._handshaken:
            self._accept_secrets, self._accept_references = answer.acceptSecrets, answer.acceptResources
            self._supports_preview = answer.supportsPreview

    async def ready(self) -> None:
        """Wait for the configuration.

        Raises:
            ProviderError: the provider refused it.
        """
        if self._configured is None:
            raise EngineError(f"provider {self.plugin.source.name} was used before it was configured")
        await asyncio.shield(self._configured)

    # -- resources --

    async def check(
        self, urn: str, olds: Properties, news: Properties, seed: bytes
    ) -> tuple[Properties, list[CheckFailure]]:
        await self.ready()
        if not self.known:
            return news, []
        request = provider_pb2.CheckRequest(
            urn=urn,
            name=name_of(urn),
            type=type_of(urn),
            olds=self._struct(olds),
            news=self._struct(news),
            randomSeed=seed,
        )
        answer = await self._call(self._stub.Check, request)
        inputs = from_struct(answer.inputs)
        failures = [CheckFailure(failure.property, failure.reason) for failure in answer.failures]
        return (inputs if self._accept_secrets else annotate_secrets(inputs, news)), failures

    async def diff(
        self, old: Resource, inputs: Properties, outputs: Properties, news: Properties, ignore: Iterable[str]
    ) -> Diff:
        """Diff of `old` with the given inputs and outputs against `news`."""
        await self.ready()
        if not self.known:
            return Diff(
                "some",
                unavailable="The provider for this resource has inputs that are not known during preview.\n"
                "This preview may not correctly represent the changes that will be applied during an update.",
            )
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=old.urn,
            name=name_of(old.urn),
            type=old.type,
            old_inputs=self._struct(inputs, elide=True),
            olds=self._struct(outputs, elide=True),
            news=self._struct(news, elide=True),
            ignoreChanges=list(ignore),
        )
        return _diff(await self._call(self._stub.Diff, request))

    async def create(self, new: Resource, preview: bool, status_address: str) -> Outcome:
        await self.ready()
        if preview and not self.known:
            return Outcome()
        if preview and not self._supports_preview:
            return Outcome(outputs=dict(new.inputs))
        request = provider_pb2.CreateRequest(
            urn=new.urn,
            name=name_of(new.urn),
            type=new.type,
            properties=self._struct(new.inputs),
            timeout=new.timeout("create"),
            preview=preview,
            resource_status_address=status_address,
            resource_status_token=str(uuid.uuid4()),
        )
        outcome = await self._call_resource(self._stub.Create, request, new.inputs, preview)
        if not outcome.id and not preview:
            raise ProviderError(
                f"plugin returned empty resource.ID from create '{new.urn}'", grpc.StatusCode.INTERNAL
            )
        return outcome

    async def update(
        self, old: Resource, new: Resource, preview: bool, ignore: Iterable[str], status_address: str
    ) -> Outcome:
        await self.ready()
        if preview and not self.known:
            return Outcome(old.id)
        if preview and not self._supports_preview:
            return Outcome(old.id, dict(new.inputs))
        request = provider_pb2.UpdateRequest(
            id=old.id,
            urn=new.urn,
            name=name_of(new.urn),
            type=new.type,
            olds=self._struct(old.outputs, elide=True),
            old_inputs=self._struct(old.inputs, elide=True),
            news=self._struct(new.inputs),
            timeout=new.timeout("update"),
            preview=preview,
            ignoreChanges=list(ignore),
            resource_status_address=status_address,
            resource_status_token=str(uuid.uuid4()),
        )
        return await self._call_resource(self._stub.Update, request, new.inputs, preview)

    async def read(
        self,
        resource: Resource,
        identifier: str,
        inputs: Properties | None,
        outputs: Properties,
        status_address: str,
    ) -> Outcome:
        """Read by id; `inputs` is None for an import, where only the id is known."""
        await self.ready()
        if not self.known:
            return Outcome(identifier)
        request = provider_pb2.ReadRequest(
            id=identifier,
            urn=resource.urn,
            name=name_of(resource.urn),
            type=resource.type,
            properties=self._struct(outputs, elide=True),
            timeout=resource.timeout("read"),
            resource_status_address=status_address,
            resource_status_token=str(uuid.uuid4()),
        )
        if inputs is not None:
            request.inputs.CopyFrom(self._struct(inputs, elide=True))
        return await self._call_resource(self._stub.Read, request, inputs or {}, False)

    async def delete(self, old: Resource, status_address: str) -> None:
        await self.ready()
        request = provider_pb2.DeleteRequest(
            id=old.id,
            urn=old.urn,
            name=name_of(old.urn),
            type=old.type,
            properties=self._struct(old.outputs, elide=True),
            old_inputs=self._struct(old.inputs, elide=True),
            timeout=old.timeout("delete"),
            resource_status_address=status_address,
            resource_status_token=str(uuid.uuid4()),
        )
        await self._call(self._stub.Delete, request)

    async def invoke(
        self, token: str, arguments: Properties, preview: bool
    ) -> tuple[Properties | None, list[CheckFailure]]:
        """Call a function; None stands for a result that is not known in this preview."""
        await self.ready()
        if not self.known or contains_unknowns(arguments):
            return None, []
        request = provider_pb2.InvokeRequest(tok=token, args=self._struct(arguments), preview=preview)
        answer = await self._call(self._stub.Invoke, request)
        failures = [CheckFailure(failure.property, failure.reason) for failure in answer.failures]
        return from_struct(getattr(answer, "return")), failures

    # -- the end --

    async def cancel(self) -> None:
        """Ask the provider to wind up what it is doing; harmless at any time, and more than once."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._stub.Cancel(_empty(), timeout=CANCEL_SECONDS)

    async def close(self) -> None:
        if self._configured is not None:
            self._configured.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProviderError):
                await self._configured
        await self._channel.close(None)
        await self.plugin.end()


def without_internal(inputs: Properties) -> Properties:
    """Provider inputs without the engine's own key, which plugins never see."""
    return {key: value for key, value in inputs.items() if key != "__internal"}


def _diff(answer: Any) -> Diff:
    detailed = None
    if answer.hasDetailedDiff or answer.detailedDiff:
        detailed = {
            key: PropertyDiff(_KINDS[difference.kind], difference.inputDiff)
            for key, difference in answer.detailedDiff.items()
        }
    return Diff(
        ("unknown", "none", "some")[answer.changes],
        tuple(answer.replaces),
        tuple(answer.stables),
        tuple(answer.diffs),
        detailed,
        answer.deleteBeforeReplace,
    )


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


async def _nothing() -> None:
    return None


Registrar = Callable[[str, str, str], Awaitable[str]]

__all__ = [
    "UNKNOWN",
    "CheckFailure",
    "Diff",
    "EngineRefused",
    "Outcome",
    "PropertyDiff",
    "Provider",
    "ProviderError",
]
