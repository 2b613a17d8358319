"""The plugin process: serve on a free port of loopback, say the port on stdout, leave with the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

#: gRPC's C core writes about every connection that goes away.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

#: How often the plugin looks whether the engine that started it is still there.
PARENT_SECONDS = 1.0


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
    asyncio.run(serve())
