"""Cloud Storage: ``POST /batch/storage/v1``, up to 100 requests in one (multipart/mixed of application/http).

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tunestack.emulator.call import Incoming, Reply
from tunestack.emulator.errors import invalid

_AT_MOST = 100


async def answer_batch(
    incoming: Incoming, answer: Callable[[Incoming], Awaitable[tuple[Reply, Any]]]
) -> Reply:
    """Each part answered in turn by ``answer``, the replies in the same order."""
    parts = _parts(incoming.headers.get("content-type", ""), await incoming.body())
    if len(parts) > _AT_MOST:
        raise invalid(f"The batch request holds {len(parts)} calls, more than the limit of {_AT_MOST}.")
    boundary = f"batch_{uuid.uuid4().hex}"
    lines: list[bytes] = []
    for headers, data in parts:
        reply, _ = await answer(_request(incoming, data))
        body = orjson.dumps(reply.body) if isinstance(reply.body, dict) else b""
        identifier = headers.get("content-id", "").strip("<>")
        content_type = "Content-Type: application/json; charset=UTF-8\r\n" if body else ""
        lines.append(
            (
                f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-{identifier}>\r\n\r\n"
                f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n"
                f"{content_type}Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
            + b"\r\n"
        )
    lines.append(f"--{boundary}--\r\n".encode())
    return Reply(b"".join(lines), 200, {"content-type": f"multipart/mixed; boundary={boundary}"})


def _parts(content_type: str, data: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers and body of each part. The standard e-mail parser, as clients write batches with its generator,
    bare line feeds and all; the bodies are text."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + data)
    if not message.is_multipart():
        raise invalid("Failed to parse batch request: it is not multipart/mixed")
    parts = []
    for part in message.get_payload():
        if isinstance(part, Message):
            headers = {name.lower(): str(value) for name, value in part.items()}
            payload = part.get_payload(decode=True)
            parts.append((headers, payload if isinstance(payload, bytes) else b""))
    return parts


def _request(outer: Incoming, data: bytes) -> Incoming:
    head, _, body = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *rest = head.decode().split("\n")
    try:
        verb, target, _ = first.split(" ", 2)
    except ValueError:
        raise invalid(f"Failed to parse batch request: {first!r}") from None
    # A part names the whole address or only its path.
    path = "/" + target.split("://", 1)[-1].partition("/")[2] if "://" in target else target
    raw_path, _, query = path.partition("?")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in rest)
        if name.strip()
    }
    if "authorization" in outer.headers:
        headers.setdefault("authorization", outer.headers["authorization"])

    async def stream() -> AsyncIterator[bytes]:
        yield body.strip(b"\n")

    return Incoming(verb, raw_path, parse_qsl(query, keep_blank_values=True), headers, stream, outer.base_url)
