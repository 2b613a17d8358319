"""Cloud Storage: the three ways to upload an object: media, multipart, resumable (storage.v1).

https://cloud.google.com/storage/docs/performing-resumable-uploads has the protocol.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import orjson
from python_multipart.multipart import MultipartParser, parse_options_header

from tunestack.emulator.call import Call, Incoming, Reply, implements
from tunestack.emulator.contents import Content, file_pieces
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.schema import Walk
from tunestack.emulator.services.storage import get_bucket, shown_object
from tunestack.emulator.services.storage_objects import forget_unused, store

Json = dict[str, Any]

UPLOAD_PATH = "/upload/storage/v1/"
_CHUNK = 256 * 1024  # Google keeps whole multiples of this from an unfinished part


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
        metadata, content_type, pieces = await _multipart(incoming)
        content = call.state.contents.put(pieces)
        metadata = _checked(call, metadata)
        metadata.setdefault("contentType", content_type)
    elif style == "media":
        content = await call.state.contents.receive(incoming.stream())
        metadata = {"contentType": incoming.headers.get("content-type")}
    else:
        raise invalid(f"Invalid uploadType: {style}")
    _check_hash_header(incoming, content)
    return _stored(call, metadata, content)


async def continue_upload(call: Call) -> Json | Reply:
    """``PUT …&upload_id=``: a part, the last part, or a question how much has arrived; ``DELETE``: give up."""
    state, incoming = call.state, call.incoming
    upload = incoming.parameter("upload_id") or ""
    row = state.database.one("SELECT body FROM upload WHERE id = ?", upload)
    if row is None:
        raise not_found(f"No such upload: {upload}")
    session: Json = orjson.loads(row[0])
    path = state.contents.session_path(upload)
    if incoming.verb == "DELETE":
        state.database.execute("DELETE FROM upload WHERE id = ?", upload)
        path.unlink(missing_ok=True)
        return Reply(None, 499)
    if "done" in session:
        return shown_object(call, session["done"])
    start, total, asking = _content_range(incoming)
    have = path.stat().st_size
    if total is None and session.get("length") is not None:
        total = session["length"]
    if asking and not (total is not None and have == total):
        return _incomplete(have)
    if not asking:
        if start is None:
            start, total = 0, int(incoming.headers.get("content-length") or 0)
        if start > have:
            raise ApiError(
                "UNAVAILABLE", f"bytes {have}-{start - 1} are missing; ask how much has arrived", code=503
            )
        have = await _append(path, start, have, incoming, final=total)
    if total is None or have < total:
        return _incomplete(have)
    if have > total:
        raise invalid(f"{have} bytes were uploaded, {total} announced")
    content = state.contents.put(file_pieces(path))
    _check_hash_header(incoming, content)
    call.query = session["query"]
    with state.database.transaction():
        body = _stored(call, session["metadata"], content, raw=True)
        session["done"] = body
        state.database.execute("UPDATE upload SET body = ? WHERE id = ?", orjson.dumps(session), upload)
    path.unlink()
    return shown_object(call, body)


async def _begin(call: Call) -> Reply:
    incoming, state = call.incoming, call.state
    data = await incoming.body()
    metadata = _checked(call, _json(data) if data else {})
    announced = incoming.headers.get("x-upload-content-type")
    if announced:
        metadata.setdefault("contentType", announced)
    _name(call, metadata)
    length = incoming.headers.get("x-upload-content-length")
    upload = uuid.uuid4().hex
    session = {"metadata": metadata, "query": call.query, "length": int(length) if length else None}
    state.contents.session_path(upload).touch()
    state.database.execute("INSERT INTO upload VALUES (?, ?)", upload, orjson.dumps(session))
    location = f"{incoming.base_url}{incoming.raw_path}?uploadType=resumable&upload_id={upload}"
    return Reply(None, 200, {"location": location, "x-guploader-uploadid": upload})


def _stored(call: Call, metadata: Json, content: Content, *, raw: bool = False) -> Json:
    try:
        body = store(call.state, call.path["bucket"], _name(call, metadata), metadata, content, call.query)
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


def _content_range(incoming: Incoming) -> tuple[int | None, int | None, bool]:
    """Start, total (None while unknown) and whether it only asks how much has arrived."""
    header = incoming.headers.get("content-range")
    if header is None:
        return None, None, False
    found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", header)
    if found is None:
        raise invalid(f"Failed to parse Content-Range header: {header}")
    first, _, total = found.groups()
    return int(first) if first else None, None if total == "*" else int(total), first is None


async def _append(path: Any, start: int, have: int, incoming: Incoming, *, final: int | None) -> int:
    """Append a part, leaving out what is there already. The size now.

    A connection may break in the middle: what arrived until then counts, to the last whole 256 KiB.
    """
    size = have
    skip = have - start
    with path.open("ab") as file:
        try:
            async for piece in incoming.stream():
                fresh = piece[skip:] if skip < len(piece) else b""
                skip -= min(skip, len(piece))
                file.write(fresh)
                size += len(fresh)
        finally:
            if size != final:
                size -= size % _CHUNK
                file.truncate(size)
            file.flush()
            os.fsync(file.fileno())
    return size


def _incomplete(have: int) -> Reply:
    return Reply(None, 308, {"range": f"bytes=0-{have - 1}"} if have else {})


def _checked(call: Call, metadata: Json) -> Json:
    walk = Walk(call.state.documents.schemas["storage.v1"], request=True, partial=True)
    body: Json = walk.message("Object", metadata)
    if walk.violations:
        raise invalid("\n".join(text for _, text in walk.violations), walk.violations)
    return body


def _check_hash_header(incoming: Incoming, content: Content) -> None:
    """The final request may carry ``x-goog-hash: crc32c=…,md5=…`` of the whole."""
    for item in incoming.headers.get("x-goog-hash", "").split(","):
        kind, _, want = item.strip().partition("=")
        have = {"crc32c": content.crc32c, "md5": content.md5}.get(kind)
        if have is not None and have != want:
            raise invalid(f'Provided {kind} "{want}" doesn\'t match calculated {kind} "{have}".')


async def _multipart(incoming: Incoming) -> tuple[Json, str | None, list[bytes]]:
    """Metadata, the content's type and its pieces, of a ``multipart/related`` body.

    Clients send this form for contents up to 8 MiB, so it is held in memory.
    """
    parts = await read_parts(incoming.headers.get("content-type", ""), incoming.stream())
    if len(parts) != 2:
        raise invalid(f"A multipart upload has two parts, metadata and content, not {len(parts)}.")
    (_, metadata), (headers, content) = parts
    return _json(metadata), headers.get("content-type"), [content]


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
    try:
        async for piece in stream:
            parser.write(piece)
        parser.finalize()
    except ValueError as error:
        raise invalid(f"Malformed multipart body: {error}") from None
    return [(headers, bytes(body)) for headers, body in parts]


def _json(data: bytes) -> Json:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received. The body is not an object.")
    return body
