"""The plugin process: serve on a free port of loopback, say the port on stdout, leave with the engine."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

#: gRPC's C core writes about every connection that goes away.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

#: How often the plugin looks whether the engine that started it is still there.
PARENT_SECONDS = 1.0


def protocol_without_the_sdk() -> None:
    """Make ``pulumi.runtime.proto`` importable alone: the SDK above it takes a third of this process's start."""
    found = importlib.util.find_spec("pulumi")
    folders = [Path(path) for path in (found and found.submodule_search_locations) or ()]
    for name, part in (
        ("pulumi", ""),
        ("pulumi.runtime", "runtime"),
        ("pulumi.runtime.proto", "runtime/proto"),
    ):
        package = ModuleType(name)
        package.__path__ = [str(folder / part) for folder in folders]
        sys.modules.setdefault(name, package)


async def serve() -> None:
    """Serve until told to stop, or until the engine is gone without having said so."""
    import grpc.aio
    from pulumi.runtime.proto import provider_pb2_grpc

    from tunestack.emulator.gcp_provider.servicer import GcpProvider

    parent = os.getppid()
    most = 2**31 - 1
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # Requests that wait for their turn: not ended after 30 s, and as many as there are.
        ("grpc.server_max_unrequested_time_in_server", most),
        ("grpc.server.max_pending_requests", most),
        ("grpc.server.max_pending_requests_hard_limit", most),
    ]
    server = grpc.aio.server(options=unlimited)
    provider = GcpProvider()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)  # what the engine waits for; nothing else may follow on stdout

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    while not stopped.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), PARENT_SECONDS)
    await server.stop(grace=1.0)
    await provider.close()


if __name__ == "__main__":
    protocol_without_the_sdk()
    asyncio.run(serve())
