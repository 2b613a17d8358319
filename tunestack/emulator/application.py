"""The HTTP core: a request becomes a method of Google's, is checked, handled, checked again, and logged."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from tunestack.emulator import admin, partial_response, update_mask
from tunestack.emulator.access.enforcement import UNKNOWN
from tunestack.emulator.access.policy import ANONYMOUS
from tunestack.emulator.call import HANDLERS, PARTS, Call, FilePart, Incoming, Reply
from tunestack.emulator.documents import Match
from tunestack.emulator.environment import LOCAL_TOKEN, TOKEN_PREFIX
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.faults import Fault
from tunestack.emulator.schema import Walk, camel
from tunestack.emulator.services import customer_keys, register_services, storage_signed_urls
from tunestack.emulator.services.storage_batch import answer_batch
from tunestack.emulator.state import State

Json = dict[str, Any]

CLIENT_CLOSED_REQUEST = 499
"""As the logs of nginx and of Google's load balancers have it; HTTP itself has no number for it."""

log = logging.getLogger("tunestack.emulator")

# Query parameters that every Google API takes.
_COMMON = {
    "$alt",
    "$fields",
    "$prettyPrint",
    "$.xgafv",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "userIp",
}
_SIZES = ("pageSize", "maxResults")
# Services that take query parameters which their documents lack: Google's clients send some.
_LENIENT = ("bigquery", "storage")


class Application:
    """Answers requests over one `State`."""

    def __init__(self, state: State) -> None:
        register_services()
        self.state = state

    async def answer(self, incoming: Incoming) -> tuple[Reply, Fault | None]:
        """The reply to a request, never an exception; the fault that fired, if one did."""
        started = time.perf_counter()
        principal = principal_of(incoming.headers, self.state.access.local)
        method_id = ""
        service = ""
        fault: Fault | None = None
        message = ""
        try:
            if incoming.raw_path.startswith("/_local/") or incoming.raw_path in ("/", "/token"):
                return await admin.answer(self.state, incoming), None
            if incoming.raw_path == "/batch/storage/v1":
                method_id, service = "storage.batch", "storage"
                return await answer_batch(incoming, lambda part: self.answer(part)), None
            if storage_signed_urls.is_signed(incoming):
                method_id, service = storage_signed_urls.method_of(incoming), "storage"
                reply, principal = await storage_signed_urls.answer(self.state, incoming)
                return self._logged(incoming, reply, method_id, principal, started), None
            match = self._match(incoming)
            if match is None:
                raise not_found(f"no method of the APIs served here has {incoming.verb} {incoming.raw_path}")
            method_id, service = match.method.id, match.method.service
            fault = self.state.faults.fire(method_id)
            if fault:
                await asyncio.sleep(fault.delay_ms / 1000)
                error = fault.error()
                if error:
                    raise error
            reply = await self._call(match, incoming, principal)
        except ApiError as error:
            message = error.message
            # HTTP gives an answer that says "not modified" no body.
            reply = Reply(None if error.code == 304 else error.body(service), error.code)
        except ClientDisconnect:
            # Killed before its request was whole: nothing is carried out, and nobody reads the answer.
            message = "the client went away before its request was whole"
            reply = Reply(None, CLIENT_CLOSED_REQUEST)
        except Exception as error:
            # A defect of the emulator is answered as Google answers a defect of its own, and logged whole.
            log.exception("%s %s", incoming.verb, incoming.raw_path)
            message = f"{type(error).__name__}: {error}"
            reply = Reply(ApiError("INTERNAL", f"the emulator failed: {message}").body(service), 500)
        more: Json = {**({"message": message} if message else {}), **({"fault": True} if fault else {})}
        return self._logged(incoming, reply, method_id, principal, started, **more), fault

    def _logged(
        self,
        incoming: Incoming,
        reply: Reply,
        method_id: str,
        principal: str,
        started: float,
        **more: Any,
    ) -> Reply:
        """The reply, once it is in the request log."""
        entry = {
            "method": method_id,
            "verb": incoming.verb,
            "path": incoming.raw_path,
            "query": dict(incoming.query),
            "status": reply.status,
            "principal": principal,
            "milliseconds": round((time.perf_counter() - started) * 1000, 2),
            **more,
        }
        self.state.database.log_request(self.state.now(), entry)
        return reply

    def _match(self, incoming: Incoming) -> Match | None:
        match = self.state.documents.match(incoming.verb, incoming.raw_path)
        if match is None and incoming.verb in ("PUT", "DELETE") and incoming.parameter("upload_id"):
            # The parts of a resumable upload have no entry of their own in the documents.
            found = self.state.documents.match("POST", incoming.raw_path)
            return Match(found.method, found.parameters, "part") if found else None
        return match

    async def _call(self, match: Match, incoming: Incoming, principal: str) -> Reply:
        method = match.method
        handler = (PARTS if match.kind == "part" else HANDLERS).get(method.id)
        if handler is None:
            raise ApiError("UNIMPLEMENTED", f"{method.id} is not implemented by the tunestack emulator")
        unread = match.kind in ("upload", "part") or method.takes_any_body
        query, masks = self._apart(match, incoming.query)
        call = Call(
            state=self.state,
            method=method,
            incoming=incoming,
            path=match.parameters,
            query=typed_query(method.parameters or {}, query, strict=method.service not in _LENIENT),
            body={},
            kind=match.kind,
            principal=principal,
        )
        problem: ApiError | None = None
        if not unread:
            try:
                call.body = self._body(match, await incoming.body(), masks)
            except ApiError as error:
                problem = error
        # The address of an upload that was begun is its own authorisation, as at Google.
        if match.kind != "part":
            self.state.access.require(call)
        if problem:  # said only to who may call
            raise problem
        if call.query.get("updateMask") and method.request:
            documents = self.state.documents.schemas[method.document]
            call.query["updateMask"] = update_mask.checked(
                call.query["updateMask"], documents, method.request
            )
        customer_keys.check(call)
        if inspect.iscoroutinefunction(handler):
            answer = await handler(call)
        else:
            with self.state.database.transaction():
                answer = handler(call)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        if isinstance(reply.body, dict) and reply.status < 300:
            if method.id.endswith(".testIamPermissions"):
                reply.body["permissions"] = self.state.access.permitted(
                    call, reply.body.get("permissions", [])
                )
            if method.response and self.state.options.check_responses:
                reply.body = self._checked(match, reply.body)
            fields = incoming.parameter("fields") or incoming.parameter("$fields")
            if fields:
                tree = partial_response.parse(fields)
                if method.service == "storage" and method.response:
                    partial_response.check(
                        tree, self.state.documents.schemas[method.document], method.response
                    )
                reply.body = partial_response.select(reply.body, tree)
        return reply

    def _apart(self, match: Match, query: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], Json]:
        """The query, and what of it is the mask that the method has in its body (Pub/Sub).

        Google takes it there too: terraform-provider-google sends it so.
        """
        method = match.method
        schema = self.state.documents.schemas[method.document].get(str(method.request), {})
        masks = {
            key: text
            for key, text in query
            if schema.get("properties", {}).get(key, {}).get("format") == "google-fieldmask"
            and key not in (method.parameters or {})
        }
        return [(key, text) for key, text in query if key not in masks], masks

    def _body(self, match: Match, data: bytes, masks: Json) -> Json:
        method = match.method
        if not data or method.verb == "GET":
            return {}
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. The body is not an object.")
        body |= masks
        if method.request is None:
            return body
        walk = Walk(
            self.state.documents.schemas[method.document],
            request=True,
            partial=method.verb in ("PATCH", "PUT"),
        )
        canonical: Json = walk.message(method.request, body)
        # A field that the path binds is not in the body (google.api.http).
        violations = [found for found in walk.violations if found[0] not in match.parameters]
        if violations:
            raise invalid("\n".join(text for _, text in violations), violations)
        return canonical

    def _checked(self, match: Match, body: Json) -> Json:
        method = match.method
        documents = self.state.documents.schemas
        wider = documents.get("aiplatform.v1beta1") if method.document == "aiplatform.v1" else None
        walk = Walk(documents[method.document], request=False, wider=wider)
        checked: Json = walk.message(str(method.response), body)
        if walk.violations:
            raise RuntimeError(
                f"the answer of {method.id} is not as Google's schema has it: {walk.violations}"
            )
        return checked


def typed_query(parameters: Json, query: list[tuple[str, str]], *, strict: bool) -> Json:
    """Query parameters by their declared types. Raises 400 on a value or, if ``strict``, a name that is not."""
    result: Json = {}
    for key, text in query:
        name = key if key in parameters else camel(key)
        declared = parameters.get(name)
        if declared is None or declared.get("location") != "query":
            if strict and key not in _COMMON:
                raise invalid(
                    f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter.'
                )
            continue
        value: Any = text
        if declared["type"] == "integer" or declared.get("format") in ("int64", "uint64"):
            try:
                value = int(text)
            except ValueError:
                raise invalid(f"Invalid value '{text}' for parameter {name}: expected an integer") from None
            if name in _SIZES and value < 0:
                raise invalid(f"Invalid value '{text}' for parameter {name}: it is negative")
        elif declared["type"] == "boolean":
            value = text.lower() == "true"
        if declared.get("repeated"):
            result.setdefault(name, []).append(value)
        else:
            result[name] = value
    return result


def principal_of(headers: Any, local: str) -> str:
    """Who calls: the issuer of the bearer's JWT (or of the token that ``/token`` gave for one); ``local`` has its own.

    Signatures are not checked: whoever reaches loopback may be anyone, and is held to what that one may do.
    """
    _, _, token = headers.get("authorization", "").partition(" ")
    if token == LOCAL_TOKEN:
        return local
    if token.startswith(TOKEN_PREFIX):
        token = "." + token.removeprefix(TOKEN_PREFIX) + "."
    parts = token.split(".")
    if len(parts) != 3:
        return UNKNOWN if token else ANONYMOUS
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return UNKNOWN
    return str(claims.get("iss", UNKNOWN)) if isinstance(claims, dict) else UNKNOWN


def starlette_application(state: State) -> Starlette:
    """The ASGI application. Its lifespan takes up the jobs that an earlier process left and lets go at the end."""
    application = Application(state)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        state.runner.take_up()
        state.bigquery_jobs.take_up()
        state.background.start()
        door = _rpc_door(state)
        try:
            yield
        finally:
            if door is not None:
                door.stop(None)
            await state.background.stop()
            await state.runner.stop()
            await state.bigquery_jobs.stop()
            await state.worker.stop()
            state.close()

    async def everything(request: Request) -> Response:
        raw_path = (
            request.scope.get("raw_path", request.scope["path"].encode()).decode("latin-1").partition("?")[0]
        )
        incoming = Incoming(
            verb=request.method,
            raw_path=raw_path,
            query=parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers=request.headers,
            stream=request.stream,
            base_url=f"{request.url.scheme}://{request.headers.get('host', '127.0.0.1')}",
        )
        reply, fault = await application.answer(incoming)
        return to_response(reply, fault)

    app = Starlette(lifespan=lifespan)
    app.add_route("/{path:path}", everything, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
    return app


def _rpc_door(state: State) -> Any:
    """The gRPC server, where one is asked for."""
    if state.options.rpc_port is None:
        return None
    from tunestack.emulator.rpc import open_door

    server, state.rpc_port = open_door(f"http://127.0.0.1:{state.options.port}", state.options.rpc_port)
    return server


def to_response(reply: Reply, fault: Fault | None = None) -> Response:
    headers = dict(reply.headers)
    if isinstance(reply.body, dict):
        headers.setdefault("content-type", "application/json; charset=UTF-8")
        body: bytes | None = orjson.dumps(reply.body)
    else:
        body = reply.body if isinstance(reply.body, bytes) else b""
    if fault is not None and fault.truncate_after is not None:
        full = part_pieces(reply.body) if isinstance(reply.body, FilePart) else one_piece(body or b"")
        length = reply.body.length if isinstance(reply.body, FilePart) else len(body or b"")
        headers["content-length"] = str(max(length, fault.truncate_after + 1))
        return StreamingResponse(truncated(full, fault.truncate_after), reply.status, headers)
    if isinstance(reply.body, FilePart):
        headers["content-length"] = str(reply.body.length)
        return StreamingResponse(part_pieces(reply.body), reply.status, headers)
    return Response(body, reply.status, headers)


async def one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def part_pieces(part: FilePart, size: int = 1 << 20) -> AsyncIterator[bytes]:
    """The bytes of a file's part. Pieces are read in the loop: the file is local and a piece is small."""
    with part.path.open("rb") as file:
        file.seek(part.start)
        left = part.length
        while left > 0 and (piece := file.read(min(size, left))):
            left -= len(piece)
            yield piece


async def truncated(pieces: AsyncIterator[bytes], after: int) -> AsyncIterator[bytes]:
    """The first bytes, then the connection breaks."""
    left = after
    async for piece in pieces:
        if left <= 0:
            break
        yield piece[:left]
        left -= len(piece[:left])
    raise ConnectionAbortedError("injected fault: the answer is cut here")


__all__ = ["Application", "starlette_application"]
