"""Where the guard's proxy variables lead: the emulator refuses, and writes down who would have left this machine."""

from __future__ import annotations

import logging

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tunestack.emulator.access.policy import ANONYMOUS
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

log = logging.getLogger("tunestack.emulator")


def behind_a_door(application: ASGIApp, state: State) -> ASGIApp:
    """The application for what is asked of it, and 403 for what is asked of a proxy (``CONNECT``, whole addresses)."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["raw_path"].startswith(b"/"):
            refusal = _refused(state, scope["method"], scope["raw_path"].decode("latin-1"))
            await refusal(scope, receive, send)
        else:
            await application(scope, receive, send)

    return door


def _refused(state: State, verb: str, target: str) -> Response:
    message = f"{verb} {target} would leave this machine: the local stack's egress guard stopped it"
    log.warning("%s", message)
    entry = {"method": "egress", "verb": verb, "path": target, "query": {}, "status": 403}
    more = {"principal": ANONYMOUS, "milliseconds": 0.0, "message": message}
    state.database.log_request(state.now(), {**entry, **more})
    return Response(orjson.dumps(ApiError("PERMISSION_DENIED", message).body("")), 403)
