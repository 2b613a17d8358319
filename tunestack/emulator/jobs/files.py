"""What a job reads from buckets and leaves in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.contents import file_pieces
from tunestack.emulator.errors import ApiError
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.storage import find_object, parse_gs_uri
from tunestack.emulator.services.storage_objects import read, store

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]


def content_of(state: State, uri: str, account: str | None = None) -> bytes:
    """The object at a gs:// URI, read as ``account``. Raises `TaskFailed` when it is not there or may not be read."""
    try:
        bucket, path = parse_gs_uri(uri)
        _permitted(state, account, "storage.objects.get", bucket, path)
        return read(state, bucket, path)
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None


def write_object(state: State, uri: str, content: bytes | Path, account: str | None = None) -> None:
    """Put an object at a gs:// URI. Raises `TaskFailed` when the bucket is not there or may not be written."""
    media = {".json": "application/json", ".jsonl": "application/jsonl"}.get(Path(uri).suffix)
    try:
        bucket, path = parse_gs_uri(uri)
        _permitted(state, account, "storage.objects.create", bucket, path)
        kept = state.contents.put([content] if isinstance(content, bytes) else file_pieces(content))
        store(state, bucket, path, {"contentType": media}, kept)
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None


def write_output(state: State, folder: Path, uri: str, account: str | None = None) -> None:
    """Put what a trainer left in ``folder`` under ``uri``, without checkpoints and caches."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] not in ("checkpoints", "cache"):
            write_object(state, f"{uri}/{relative.as_posix()}", path, account)


def _permitted(state: State, account: str | None, permission: str, bucket: str, name: str) -> None:
    """Raises `TaskFailed` where IAM is enforced and ``account`` may not. No account: the emulator itself."""
    if account is None:
        return
    overwrites = permission == "storage.objects.create" and find_object(state, bucket, name) is not None
    for needed in (permission, *(["storage.objects.delete"] if overwrites else [])):
        if problem := state.access.problem_with_object(account, needed, bucket, name):
            raise TaskFailed("PERMISSION_DENIED", problem)


def json_file(path: Path) -> Json:
    """The JSON object in a file; empty where there is none."""
    try:
        body = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
