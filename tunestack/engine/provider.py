"""The engine's side of ``pulumirpc.ResourceProvider``: one client for one configured provider instance."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from tunestack.engine.answers import (
    CheckFailure,
    Diff,
    Outcome,
    ProviderError,
    diff_of,
    initialization_failure,
)
from tunestack.engine.connection import Connection
from tunestack.engine.errors import EngineError
from tunestack.engine.plugin import Plugin
from tunestack.engine.protocol import provider_pb2
from tunestack.engine.state import Resource
from tunestack.engine.urns import name_of, package_of, type_of
from tunestack.engine.values import (
    Properties,
    annotate_secrets,
    contains_unknowns,
    from_struct,
    to_struct,
    unwrap,
)


class Provider:
    """One provider instance: a plugin process with one configuration.

    `known` is False in a preview whose configuration holds unknowns: the plugin is not called then.
    """

    def __init__(self, plugin: Plugin, engine_address: str) -> None:
        self._connection = Connection(plugin, engine_address)
        self._configured: asyncio.Task[None] | None = None
        self.known = True

    async def open(self) -> None:
        """See `Connection.open`."""
        await self._connection.open()

    # -- the provider's own configuration --

    async def check_config(
        self, urn: str, olds: Properties, news: Properties
    ) -> tuple[Properties, list[CheckFailure]]:
        request = provider_pb2.CheckRequest(
            urn=urn, name=name_of(urn), type=type_of(urn), olds=to_struct(olds), news=to_struct(news)
        )
        try:
            answer = await self._connection.call(self._connection.stub.CheckConfig, request)
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
            return diff_of(await self._connection.call(self._connection.stub.DiffConfig, request))
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
        answer = await self._connection.call(self._connection.stub.Configure, request)
        if not self._connection.handshaken:
            self._connection.accept_secrets, self._connection.accept_references = (
                answer.acceptSecrets,
                answer.acceptResources,
            )
            self._connection.supports_preview = answer.supportsPreview

    async def ready(self) -> None:
        """Wait for the configuration.

        Raises:
            ProviderError: the provider refused it.
        """
        if self._configured is None:
            raise EngineError(
                f"provider {self._connection.plugin.source.name} was used before it was configured"
            )
        if not self._configured.done():
            await asyncio.shield(self._configured)
        self._configured.result()

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
        answer = await self._connection.call(self._connection.stub.Check, request)
        inputs = from_struct(answer.inputs)
        failures = [CheckFailure(failure.property, failure.reason) for failure in answer.failures]
        return (inputs if self._connection.accept_secrets else annotate_secrets(inputs, news)), failures

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
        return diff_of(await self._connection.call(self._connection.stub.Diff, request))

    async def create(self, new: Resource, preview: bool, status_address: str) -> Outcome:
        await self.ready()
        if preview and not self.known:
            return Outcome()
        if preview and not self._connection.supports_preview:
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
        outcome = await self._call_resource(self._connection.stub.Create, request, new.inputs, preview)
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
        if preview and not self._connection.supports_preview:
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
        return await self._call_resource(self._connection.stub.Update, request, new.inputs, preview)

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
        return await self._call_resource(self._connection.stub.Read, request, inputs or {}, False)

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
        await self._connection.call(self._connection.stub.Delete, request)

    async def invoke(
        self, token: str, arguments: Properties, preview: bool
    ) -> tuple[Properties | None, list[CheckFailure]]:
        """Call a function; None stands for a result that is not known in this preview."""
        await self.ready()
        if not self.known or contains_unknowns(arguments):
            return None, []
        request = provider_pb2.InvokeRequest(tok=token, args=self._struct(arguments), preview=preview)
        answer = await self._connection.call(self._connection.stub.Invoke, request)
        failures = [CheckFailure(failure.property, failure.reason) for failure in answer.failures]
        return from_struct(getattr(answer, "return")), failures

    # -- what they share --

    async def _call_resource(self, method: Any, request: Any, inputs: Properties, preview: bool) -> Outcome:
        """Create, Update or Read: an answer, or the partial failure that came as an error."""
        try:
            answer = await method(request)
        except grpc.aio.AioRpcError as error:
            failure = initialization_failure(error)
            if failure is None:
                raise await self._connection.failed(error) from error
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
        return outputs if self._connection.accept_secrets else annotate_secrets(outputs, inputs)

    def _struct(self, properties: Properties, elide: bool = False) -> Any:
        return to_struct(
            properties,
            keep_secrets=self._connection.accept_secrets,
            keep_references=self._connection.accept_references,
            elide=elide,
        )

    # -- the end --

    async def cancel(self) -> None:
        """See `Connection.cancel`."""
        await self._connection.cancel()

    async def close(self) -> None:
        """End the plugin, whatever it is doing."""
        if self._configured is not None:
            self._configured.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProviderError):
                await self._configured
        await self._connection.close()


def without_internal(inputs: Properties) -> Properties:
    """Provider inputs without the engine's own key, which plugins never see."""
    return {key: value for key, value in inputs.items() if key != "__internal"}


async def _nothing() -> None:
    return None
