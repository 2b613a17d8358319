"""Lines on a resource's row, through the engine's own log service."""

from __future__ import annotations

from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """The engine that started or attached us. A line that cannot be written is dropped: it must fail no job."""

    def __init__(self, address: str | None) -> None:
        self.address = address or ""
        self._channel = grpc.aio.insecure_channel(address) if address else None
        self._stub: Any = engine_pb2_grpc.EngineStub(self._channel) if self._channel else None

    async def write(self, urn: str, message: str, *, severity: str = "INFO", ephemeral: bool = False) -> None:
        """Never with severity ERROR: the engine would print a failure and yet count a success."""
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity), message=message, urn=urn, ephemeral=ephemeral
        )
        try:
            await self._stub.Log(request, timeout=10.0)
        except grpc.aio.AioRpcError:
            return

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()


class EngineRow:
    """The row of one resource."""

    def __init__(self, engine: EngineLog, urn: str) -> None:
        self._engine = engine
        self._urn = urn

    async def status(self, message: str) -> None:
        """A line that the next one replaces (the Info column)."""
        await self._engine.write(self._urn, message, ephemeral=True)

    async def info(self, message: str) -> None:
        """A line that stays among the diagnostics."""
        await self._engine.write(self._urn, message)

    async def warning(self, message: str) -> None:
        """A warning that stays among the diagnostics."""
        await self._engine.write(self._urn, message, severity="WARNING")
