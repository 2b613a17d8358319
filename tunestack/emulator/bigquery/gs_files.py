"""Objects that load jobs read and extract jobs write."""

from __future__ import annotations

import fnmatch
import gzip
from pathlib import Path
from typing import Any

from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.storage import digest_of, find_object, parse_gs_uri
from tunestack.emulator.state import State

Json = dict[str, Any]


def sources(state: State, uris: list[str]) -> list[tuple[str, Path]]:
    """Address and path of every object that the URIs (each with one ``*`` at most) name. Raises 404."""
    found: list[tuple[str, Path]] = []
    for uri in uris:
        bucket, name = _split(uri)
        if "*" in name:
            rows = state.database.execute(
                "SELECT name FROM object WHERE bucket = ? AND live AND name >= ? ORDER BY name",
                bucket,
                name.partition("*")[0],
            )
            pattern = name.replace("[", "[[]").replace("?", "[?]")
            names = [row[0] for row in rows if fnmatch.fnmatchcase(row[0], pattern)]
        else:
            names = [name] if find_object(state, bucket, name) else []
        if not names:
            raise ApiError("NOT_FOUND", f"Not found: URI {uri}")
        for each in names:
            body = find_object(state, bucket, each)
            if body is not None:
                found.append((f"gs://{bucket}/{each}", state.contents.path(digest_of(state, body))))
    return found


def content(path: Path) -> bytes:
    """A file's bytes, unpacked where they are gzip."""
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def write_object(state: State, uri: str, data: bytes, content_type: str) -> None:
    from tunestack.emulator.services.storage_objects import store

    bucket, name = _split(uri)
    store(state, bucket, name, {"contentType": content_type}, state.contents.put([data]))


def _split(uri: str) -> tuple[str, str]:
    try:
        return parse_gs_uri(uri)
    except ValueError:
        raise refused(f"Invalid source URI: {uri}", "invalid") from None
