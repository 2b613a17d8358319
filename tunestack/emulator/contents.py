"""Contents of objects: files named by their digest, written aside, flushed and renamed before they count."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

UPLOAD_PIECE = 256 * 1024
"""Bytes; of an unfinished upload Google keeps whole multiples (performing-resumable-uploads)."""


@dataclass(frozen=True)
class Content:
    """What is known of a stored content. ``md5`` and ``crc32c`` are base64, as Google writes them."""

    digest: str
    size: int
    md5: str | None
    crc32c: str


class Writer:
    """Takes a content piece by piece; `Contents.keep` makes it count, `discard` forgets it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self._md5.update(data)
        self._crc32c.update(data)  # type: ignore[no-untyped-call]
        self.size += len(data)

    def finish(self) -> Content:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Content(
            self._sha256.hexdigest(),
            self.size,
            base64.b64encode(self._md5.digest()).decode(),
            base64.b64encode(self._crc32c.digest()).decode(),  # type: ignore[no-untyped-call]
        )

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class Contents:
    """The folder of contents. Safe to reopen after a kill: a file is whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aside = folder / "aside"
        self._aside.mkdir(parents=True, exist_ok=True)
        self._sessions = folder / "uploads"
        self._sessions.mkdir(exist_ok=True)
        for leftover in self._aside.iterdir():
            leftover.unlink()
        for part in self._sessions.iterdir():
            # A kill in the middle of a part leaves what had arrived: no client was told of more than whole pieces.
            os.truncate(part, part.stat().st_size // UPLOAD_PIECE * UPLOAD_PIECE)

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def session_path(self, upload: str) -> Path:
        """Where the bytes of an unfinished resumable upload lie."""
        return self._sessions / upload

    def writer(self) -> Writer:
        handle, name = tempfile.mkstemp(dir=self._aside)
        os.close(handle)
        return Writer(Path(name))

    def keep(self, writer: Writer) -> Content:
        """Flush, rename to the digest's place, flush the folder."""
        content = writer.finish()
        target = self.path(content.digest)
        if target.exists():
            writer.path.unlink()
            return content
        target.parent.mkdir(exist_ok=True)
        writer.path.replace(target)
        _flush_folder(target.parent)
        return content

    def aside(self) -> Path:
        """A path for a file that something else writes, for `put` or to be thrown away by the next start."""
        return self._aside / uuid.uuid4().hex

    def put(self, pieces: Iterable[bytes]) -> Content:
        writer = self.writer()
        try:
            for piece in pieces:
                writer.write(piece)
        except BaseException:
            writer.discard()
            raise
        return self.keep(writer)

    async def receive(self, stream: AsyncIterator[bytes]) -> Content:
        """`put` for a request's body."""
        writer = self.writer()
        try:
            async for piece in stream:
                writer.write(piece)
        except BaseException:
            writer.discard()
            raise
        return self.keep(writer)

    def read(self, digest: str) -> bytes:
        return self.path(digest).read_bytes()

    def sweep(self, used: set[str]) -> None:
        """Remove contents that no object has: a kill came between the rename and the commit."""
        for path in self.folder.glob("??/*"):
            if path.name not in used:
                path.unlink()

    def forget(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)


def file_pieces(path: Path, size: int = 1 << 20) -> Iterable[bytes]:
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
