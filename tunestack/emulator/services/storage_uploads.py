"""Cloud Storage: the three ways to upload an object: media, multipart, resumable (storage.v1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from python_multipart.multipart import MultipartParser, parse_options_header

from tunestack.emulator.call import Call, Incoming, Reply, continues, implements
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import Walk
from tunestack.emulator.services import resumable
from tunestack.emulator.services.storage import get_bucket, shown_object
from tunestack.emulator.services.storage_objects import forget_unused, store

Json = dict[str, Any]


@implements("storage.objects.insert")
async def insert(call: Call) -> Json | Reply:
    incoming = call.incoming
    get_bucket(call.state, call.path["bucket"])
    style = incoming.parameter("uploadType")
    if call.kind != "upload":
        raise invalid("Upload requests must go to /upload/storage/v1/b/BUCKET/o with uploadType set.")
    if style == "resumable":
        return await _begin(call)
    if style == "multipart":
        metadata, content_type, pieces = await read_multipart(incoming)
        content = call.state.contents.put(pieces)
        metadata = _checked(call, metadata)
        metadata.setdefault("contentType", content_type)
    elif style == "media":
        content = await call.state.contents.receive(incoming.stream())
        metadata = {"contentType": incoming.headers.get("content-type")}
    else:
        raise invalid(f"Invalid uploadType: {style}")
    resumable.check_hash_header(incoming, content)
    return _stored(call, metadata, content)


@continues("storage.objects.insert")
async def go_on(call: Call) -> Json | Reply:
    """The parts of a resumable upload."""
    answer = await resumable.go_on(call, _finished)
    return answer if isinstance(answer, Reply) else shown_object(call, answer)


def _finished(call: Call, metadata: Json, content: Content) -> Json:
    return _stored(call, metadata, content, raw=True)


async def _begin(call: Call) -> Reply:
    incoming = call.incoming
    data = await incoming.body()
    metadata = _checked(call, json_object(data) if data else {})
    announced = incoming.headers.get("x-upload-content-type")
    if announced:
        metadata.setdefault("contentType", announced)
    call.state.access.require_creation(call, call.path["bucket"], _name(call, metadata))
    return resumable.begin(call, metadata)


def _stored(call: Call, metadata: Json, content: Content, *, raw: bool = False) -> Json:
    bucket, name = call.path["bucket"], _name(call, metadata)
    try:
        if not raw:
            call.state.access.require_creation(call, bucket, name)
        body = store(call.state, bucket, name, metadata, content, call.query)
    except ApiError:
        forget_unused(call.state, content.digest)
        raise
    return body if raw else shown_object(call, body)


def _name(call: Call, metadata: Json) -> str:
    name = metadata.get("name") or call.query.get("name")
    if not name:
        raise invalid("Required parameter: name")
    encoding = call.query.get("contentEncoding")
    if encoding:
        metadata.setdefault("contentEncoding", encoding)
    metadata["name"] = name
    return str(name)


def _checked(call: Call, metadata: Json) -> Json:
    walk = Walk(call.state.documents.schemas["storage.v1"], request=True, partial=True)
    body: Json = walk.message("Object", metadata)
    if walk.violations:
        raise invalid("\n".join(text for _, text in walk.violations), walk.violations)
    return body


async def read_multipart(incoming: Incoming) -> tuple[Json, str | None, list[bytes]]:
    """Metadata, the content's type and its pieces, of a ``multipart/related`` body.

    Clients send this form for contents up to 8 MiB, so it is held in memory.
    """
    parts = await read_parts(incoming.headers.get("content-type", ""), incoming.stream())
    if len(parts) != 2:
        raise invalid(f"A multipart upload has two parts, metadata and content, not {len(parts)}.")
    (_, metadata), (headers, content) = parts
    return json_object(metadata), headers.get("content-type"), [content]


async def read_parts(content_type: str, stream: AsyncIterator[bytes]) -> list[tuple[dict[str, str], bytes]]:
    """Headers (lower case) and body of each part of a multipart body."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise invalid("Missing multipart boundary.")
    parts: list[tuple[dict[str, str], bytearray]] = []
    field = bytearray()
    value = bytearray()

    def part_begin() -> None:
        parts.append(({}, bytearray()))

    def header_end() -> None:
        parts[-1][0][field.decode("latin-1").lower()] = value.decode("latin-1")
        field.clear()
        value.clear()

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": part_begin,
            "on_part_data": lambda data, start, end: parts[-1][1].extend(data[start:end]),
            "on_header_field": lambda data, start, end: field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: value.extend(data[start:end]),
            "on_header_end": header_end,
        },
    )
    data = b"".join([piece async for piece in stream])
    if data[: data.find(b"\n")] == b"--" + boundary:
        # google-api-python-client ends lines with a bare newline, which no parser of ours takes and Google does.
        data = _with_carriage_returns(data, boundary)
    try:
        parser.write(data)
        parser.finalize()
    except ValueError as error:
        raise invalid(f"Malformed multipart body: {error}") from None
    return [(headers, bytes(body)) for headers, body in parts]


def json_object(data: bytes) -> Json:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received. The body is not an object.")
    return body


def _with_carriage_returns(data: bytes, boundary: bytes) -> bytes:
    """A multipart body whose own lines end in newlines alone, as the standard has it; contents stay as they are."""
    *parts, end = (b"\n" + data).split(b"\n--" + boundary)[1:]
    whole = b""
    for part in parts:
        headers, _, content = part.removeprefix(b"\n").partition(b"\n\n")
        lines = [b"--" + boundary, *headers.split(b"\n"), b"", content]
        whole += b"\r\n".join(lines) + b"\r\n"
    return whole + b"--" + boundary + end.replace(b"\n", b"\r\n")
