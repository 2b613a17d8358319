"""Resumable uploads: a session is begun, parts arrive, the last one makes the resource (any service of Google's).

https://cloud.google.com/storage/docs/performing-resumable-uploads has the protocol.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.call import Call, Incoming, Reply
from tunestack.emulator.contents import UPLOAD_PIECE, Content, file_pieces
from tunestack.emulator.errors import ApiError, invalid, not_found

Json = dict[str, Any]

_LIFETIME = timedelta(weeks=1)  # cloud.google.com/storage/docs/resumable-uploads: then the address is gone


def begin(call: Call, metadata: Json) -> Reply:
    """A session: its address is in ``location``. ``metadata`` comes back to the one who finishes it."""
    incoming, state = call.incoming, call.state
    length = incoming.headers.get("x-upload-content-length")
    upload = uuid.uuid4().hex
    session = {
        "metadata": metadata,
        "path": call.path,
        "query": call.query,
        "length": int(length) if length else None,
        "principal": call.principal,
        "begun": state.now(),
    }
    state.contents.session_path(upload).touch()
    state.database.execute("INSERT INTO upload VALUES (?, ?)", upload, orjson.dumps(session))
    location = f"{incoming.base_url}{incoming.raw_path}?uploadType=resumable&upload_id={upload}"
    return Reply(None, 200, {"location": location, "x-guploader-uploadid": upload})


async def go_on(call: Call, finish: Callable[[Call, Json, Content], Json]) -> Json | Reply:
    """``PUT …&upload_id=``: a part, the last part, or a question how much has arrived; ``DELETE``: give up.

    ``finish`` makes the resource of the metadata and the content, in one transaction with the session's end.
    Asked again after the end, the same resource is answered.
    """
    state, incoming = call.state, call.incoming
    upload = incoming.parameter("upload_id") or ""
    row = state.database.one("SELECT body FROM upload WHERE id = ?", upload)
    if row is None:
        raise not_found(f"No such upload: {upload}")
    session: Json = orjson.loads(row[0])
    if "begun" in session and state.clock() - datetime.fromisoformat(session["begun"]) > _LIFETIME:
        raise not_found(f"No such upload: {upload}")
    path = state.contents.session_path(upload)
    if incoming.verb == "DELETE":
        state.database.execute("DELETE FROM upload WHERE id = ?", upload)
        path.unlink(missing_ok=True)
        return Reply(None, 499)
    if "done" in session:
        done: Json = session["done"]
        return done
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
    check_hash_header(incoming, content)
    call.query = session["query"]
    call.principal = session.get("principal", call.principal)
    with state.database.transaction():
        body = finish(call, session["metadata"], content)
        state.database.execute(
            "UPDATE upload SET body = ? WHERE id = ?", orjson.dumps({**session, "done": body}), upload
        )
    path.unlink()
    return body


def check_hash_header(incoming: Incoming, content: Content) -> None:
    """The final request may carry ``x-goog-hash: crc32c=…,md5=…`` of the whole."""
    for item in incoming.headers.get("x-goog-hash", "").split(","):
        kind, _, want = item.strip().partition("=")
        have = {"crc32c": content.crc32c, "md5": content.md5}.get(kind)
        if have is not None and have != want:
            raise invalid(f'Provided {kind} "{want}" doesn\'t match calculated {kind} "{have}".')


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


async def _append(path: Path, start: int, have: int, incoming: Incoming, *, final: int | None) -> int:
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
                size -= size % UPLOAD_PIECE
                file.truncate(size)
            file.flush()
            os.fsync(file.fileno())
    return size


def _incomplete(have: int) -> Reply:
    return Reply(None, 308, {"range": f"bytes=0-{have - 1}"} if have else {})
