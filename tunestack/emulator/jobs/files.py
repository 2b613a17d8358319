"""What a job reads from buckets and leaves in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.contents import file_pieces
from tunestack.emulator.errors import ApiError
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.services.storage_objects import read, store

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]


def content_of(state: State, uri: str) -> bytes:
    """The object at a gs:// URI. Raises `TaskFailed` when it is not there."""
    try:
        return read(state, *parse_gs_uri(uri))
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None


def write_object(state: State, uri: str, content: bytes | Path) -> None:
    """Put an object at a gs:// URI. Raises `TaskFailed` when the bucket is not there."""
    media = {".json": "application/json", ".jsonl": "application/jsonl"}.get(Path(uri).suffix)
    try:
        bucket, path = parse_gs_uri(uri)
        kept = state.contents.put([content] if isinstance(content, bytes) else file_pieces(content))
        store(state, bucket, path, {"contentType": media}, kept)
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None


def write_output(state: State, folder: Path, uri: str) -> None:
    """Put what a trainer left in ``folder`` under ``uri``, without checkpoints and caches."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] not in ("checkpoints", "cache"):
            write_object(state, f"{uri}/{relative.as_posix()}", path)


def json_file(path: Path) -> Json:
    """The JSON object in a file; empty where there is none."""
    try:
        body = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
