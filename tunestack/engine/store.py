"""Where a stack's state lies, and how it is written: one lock, whole files, never half of one.

The file is the CLI's file backend's: ``<state>/.pulumi/stacks/<project>/<stack>.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tunestack.engine.errors import StackLocked, StateError
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import ENGINE_VERSION, MAGIC, PendingOperation, Resource, Snapshot

ORGANIZATION = "organization"


def stack_file(state_directory: Path, project: str, stack: str) -> Path:
    return state_directory / ".pulumi" / "stacks" / project / f"{stack}.json"


@contextlib.contextmanager
def stack_lock(path: Path) -> Iterator[None]:
    """Hold the stack for one operation. ``flock`` lets go by itself when the process dies, even by kill -9.

    Raises:
        StackLocked: another operation holds it, of this engine or (its lock files) of the Pulumi CLI.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock_path = path.with_suffix(".lock")
    foreign = _foreign_locks(path)
    with lock_path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            stop = f"kill {holder.split()[-1]}"
            raise StackLocked(
                f"the stack is currently locked by {holder}; wait for it to end, or stop it with: {stop}"
            ) from error
        if foreign:
            raise StackLocked(
                f"the stack is currently locked by the Pulumi CLI ({foreign}); if none runs: pulumi cancel"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def _foreign_locks(path: Path) -> str:
    project = path.parent.name
    folder = path.parents[2] / "locks" / ORGANIZATION / project / path.stem
    return next((str(lock) for lock in sorted(folder.glob("*.json"))), "") if folder.is_dir() else ""


def read_document(path: Path) -> dict[str, Any] | None:
    """The deployment in a stack file (the inside of ``checkpoint.latest``), or None where there is no stack.

    Raises:
        StateError: the file is not a version 3 checkpoint.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        document = orjson.loads(raw)
        version = document["version"]
        latest = document["checkpoint"].get("latest")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{path}: not a Pulumi checkpoint ({error}); the copy before it is {path.name}.bak"
        ) from error
    if version != 3:
        raise StateError(f"{path}: checkpoint version {version}; this engine reads version 3")
    return latest or {}


def secrets_state(document: dict[str, Any] | None) -> str | None:
    """The salt of the passphrase provider that the document was written with.

    Raises:
        StateError: another secrets provider was used.
    """
    provider = (document or {}).get("secrets_providers")
    if not provider:
        return None
    if provider.get("type") != "passphrase":
        raise StateError(
            f"the state uses the secrets provider {provider.get('type')!r}; this engine has passphrase"
        )
    return str(provider["state"]["salt"])


def snapshot_from(document: dict[str, Any] | None, secrets: PassphraseSecrets) -> Snapshot:
    document = document or {}
    return Snapshot(
        [Resource.from_json(item, secrets.decrypt) for item in document.get("resources") or []],
        [
            PendingOperation(Resource.from_json(item["resource"], secrets.decrypt), item["type"])
            for item in document.get("pending_operations") or []
        ],
        document.get("metadata") or {},
    )


def document_from(snapshot: Snapshot, secrets: PassphraseSecrets, time: str) -> dict[str, Any]:
    """The deployment as `pulumi stack import` takes it."""
    document: dict[str, Any] = {
        "manifest": {"time": time, "magic": MAGIC, "version": ENGINE_VERSION},
        "secrets_providers": {"type": "passphrase", "state": {"salt": secrets.state}},
    }
    if snapshot.resources:
        document["resources"] = [resource.to_json(secrets.encrypt) for resource in snapshot.resources]
    if snapshot.pending_operations:
        document["pending_operations"] = [
            pending.to_json(secrets.encrypt) for pending in snapshot.pending_operations
        ]
    document["metadata"] = snapshot.metadata
    return document


def checkpoint(project: str, stack: str, document: dict[str, Any]) -> bytes:
    """The content of a stack file around a deployment."""
    name = f"{ORGANIZATION}/{project}/{stack}"
    whole = {"version": 3, "checkpoint": {"stack": name, "latest": document}}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2)


def write_file(path: Path, content: bytes, backup: bool = False) -> None:
    """Write aside, fsync, rename: whoever reads sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if backup and path.exists():
            aside_backup = path.with_name(path.name + ".bak.new")
            with contextlib.suppress(FileNotFoundError):
                aside_backup.unlink()
            os.link(path, aside_backup)
            aside_backup.replace(path.with_name(path.name + ".bak"))
        aside.replace(path)
    except OSError as error:
        raise StateError(f"{path}: the state could not be written: {error.strerror}") from error


class Store:
    """Writes a stack's snapshots. Commits that arrive while one is being written share the next write."""

    def __init__(
        self, path: Path, stack: str, project: str, secrets: PassphraseSecrets, now: Callable[[], str]
    ) -> None:
        self.path = path
        self._project, self._stack = project, stack
        self._secrets = secrets
        self._now = now
        self._wanted = 0
        self._written = 0
        self._backed_up = False
        self._turn = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """Write no more: what is on disk is what the next operation shall find."""
        self._closed = True

    async def commit(self, snapshot: Callable[[], Snapshot]) -> None:
        """Return once what `snapshot` gives now, or something newer, is on disk."""
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._written >= mine or self._closed:
                return
            # Values are only read on the loop's thread; the slow part, the disk, is not on it.
            covered, content = self._wanted, self.render(snapshot())
            await asyncio.to_thread(write_file, self.path, content, not self._backed_up)
            self._backed_up, self._written = True, covered

    def render(self, snapshot: Snapshot) -> bytes:
        document = document_from(snapshot, self._secrets, self._now())
        return checkpoint(self._project, self._stack, document)
