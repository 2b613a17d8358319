"""The provider process: serves on a free port of loopback, says which on standard output, and nothing else there."""

from __future__ import annotations

import asyncio
import os
import sys

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tunestack.provider.registry import RESOURCES, connect
from tunestack.provider.service import ProviderServicer

LARGEST_MESSAGE = 400 * 1024 * 1024
"""Bytes; the limit that Pulumi's own plugins set (``pulumi.provider.server``)."""

FOREVER = 2**31 - 1
"""The most that gRPC takes for a number of seconds or requests."""

SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # gRPC ends a request CANCELLED that nobody took up within 30 s, and refuses some of more than 1,000 of them
    # (core/server/server.cc). The engine sends hundreds at once, takes neither for a reason to try again, and keeps
    # such a create as pending for ever; where this process got no processor meanwhile, they can wait longer than that.
    ("grpc.server_max_unrequested_time_in_server", FOREVER),
    ("grpc.server.max_pending_requests", FOREVER),
    ("grpc.server.max_pending_requests_hard_limit", FOREVER),
]

ORPHAN_CHECK = 1.0


async def serve(engine_address: str | None, engine_process: int) -> None:
    """Serves until the process is ended, or until the engine that started it (its parent process) is gone."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    servicer = ProviderServicer(RESOURCES, connect, engine_address=engine_address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    if engine_address is None:
        await server.wait_for_termination()
    else:
        # A killed engine cannot end us, and standard input is closed from the start under the Pulumi CLI:
        # a change of the parent is the one sign that is always there.
        while os.getppid() == engine_process:
            await asyncio.sleep(ORPHAN_CHECK)
    await server.stop(grace=None)
    await servicer.close()


def main(engine_process: int) -> None:
    """``argv[1]``: the engine's address; absent when it attaches later."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    try:
        asyncio.run(serve(arguments[0] if arguments else None, engine_process))
    except KeyboardInterrupt:
        sys.exit(0)
