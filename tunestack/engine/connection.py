"""The connection to one plugin: its handshake, the calls over it, and their errors in words."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import empty_pb2

from tunestack.engine.answers import ProviderError
from tunestack.engine.channels import CHANNEL_OPTIONS
from tunestack.engine.errors import PluginError
from tunestack.engine.plugin import START_SECONDS, Plugin
from tunestack.engine.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc

CANCEL_SECONDS: Final = 60.0  # twice what the CLI allows all providers together


class Connection:
    """One plugin process, spoken to. What it takes is known after the handshake, or is told with the configuration."""

    def __init__(self, plugin: Plugin, engine_address: str) -> None:
        self.plugin = plugin
        self._engine_address = engine_address
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{plugin.port}", options=CHANNEL_OPTIONS)
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.accept_secrets = False
        self.accept_references = False
        self.supports_preview = False
        self.handshaken = False

    async def open(self) -> None:
        """Handshake (and Attach where the plugin was running before), then ask what it is, all in the CLI's order.

        Raises:
            PluginError: it does not answer.
        """
        await self._connected()
        if self.plugin.child is None:
            await self.call(self.stub.Attach, plugin_pb2.PluginAttach(address=self._engine_address))
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
            answer = await self.call(self.stub.Handshake, request)
            self.handshaken = self.supports_preview = True
            self.accept_secrets, self.accept_references = answer.accept_secrets, answer.accept_resources
        except ProviderError as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise PluginError(f"plugin {self.plugin.source.name}: {error}") from error
        with contextlib.suppress(ProviderError):
            await self.call(self.stub.GetPluginInfo, empty_pb2.Empty())

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

    async def call(self, method: Any, request: Any) -> Any:
        """The answer.

        Raises:
            ProviderError: the call failed.
        """
        # Never with `wait_for_ready`: a plugin that has died will not be ready again, and the call would not end.
        try:
            return await method(request)
        except grpc.aio.AioRpcError as error:
            raise await self.failed(error) from error

    async def failed(self, error: grpc.aio.AioRpcError) -> ProviderError:
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

    async def cancel(self) -> None:
        """Ask the plugin to wind up what it is doing; harmless at any time, and more than once."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self.stub.Cancel(empty_pb2.Empty(), timeout=CANCEL_SECONDS)

    async def close(self) -> None:
        await self._channel.close(None)
        await self.plugin.end()
