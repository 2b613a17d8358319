"""The server process: ``python -m tunestack.emulator '<options as JSON>'``. Loopback only."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace

from tunestack.emulator import egress
from tunestack.emulator.options import EmulatorOptions
from tunestack.emulator.process import check, lock
from tunestack.spec.errors import TunestackError


def serve(
    options: EmulatorOptions, on_ready: Callable[[EmulatorOptions], None] = lambda options: None
) -> None:
    """Serve in the foreground until a signal; ``on_ready`` is told the options with the real port.

    Raises `TunestackError` as `process.check` does.
    """
    egress.install()
    options = options.resolved()
    check(options)
    handle = lock(options.data)
    # The protocol is named, because asyncio switches Nagle's algorithm off only where it is: with it on, each
    # answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    options = replace(options, port=listener.getsockname()[1])
    on_ready(options)
    try:
        asyncio.run(_serve(options, listener))
    finally:
        os.close(handle)


async def _serve(options: EmulatorOptions, listener: socket.socket) -> None:
    import uvicorn

    from tunestack.emulator.application import starlette_application
    from tunestack.emulator.egress.door import behind_a_door
    from tunestack.emulator.environment import write_credentials
    from tunestack.emulator.state import State

    write_credentials(options)
    state = State(options)
    server = uvicorn.Server(
        uvicorn.Config(
            behind_a_door(starlette_application(state), state),
            http="h11",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=3,
        )
    )
    note = options.data / "emulator.json"
    aside = note.with_suffix(".aside")
    aside.write_text(
        json.dumps(
            {"pid": os.getpid(), "startedAt": state.started_at, "options": options.to_json()}, indent=2
        )
    )
    aside.replace(note)
    try:
        await server.serve(sockets=[listener])
    finally:
        note.unlink(missing_ok=True)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(EmulatorOptions.from_json(json.loads(sys.argv[1])))
    except TunestackError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
