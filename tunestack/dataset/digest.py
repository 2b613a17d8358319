"""The two digests of a file: BLAKE3, which names it, and CRC32C, which Cloud Storage keeps of every object."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import msgspec

# Lines are written and digested this many bytes at a time: per line, the calls would cost more than the work.
_BUFFER_BYTES = 1 << 20


class CompiledFile(msgspec.Struct, frozen=True):
    """One compiled file: on this machine (``path``), or where it lies in a bucket (``uri`` and ``generation``).

    ``digest`` is BLAKE3 as 64 hexadecimal digits (`b3sum` gives the same); ``crc32c`` is base64 of the big-endian
    checksum, as Cloud Storage's JSON API gives it; ``bytes`` is the size.
    """

    path: Path | None
    rows: int
    digest: str
    crc32c: str
    bytes: int
    uri: str | None = None
    generation: int | None = None


class DigestedFile:
    """A new file that is digested in the pass that writes it; flushed to the disk by `finish`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        from blake3 import blake3

        self.path = path
        self.rows = self.bytes = 0
        self._digest, self._checksum = blake3(), 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._file = path.open("xb", buffering=0)

    def write(self, line: bytes, rows: int = 1) -> None:
        """Append bytes that hold ``rows`` lines."""
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self.rows += rows
        if self._waiting_bytes >= _BUFFER_BYTES:
            self._put()

    def finish(self) -> CompiledFile:
        """What was written, once it is on the disk."""
        self._put()
        os.fsync(self._file.fileno())
        self._file.close()
        checksum = base64.b64encode(self._checksum.to_bytes(4, "big")).decode()
        return CompiledFile(self.path, self.rows, self._digest.hexdigest(), checksum, self.bytes)

    def __enter__(self) -> DigestedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _put(self) -> None:
        from google_crc32c import extend

        content = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self.bytes += len(content)
        self._digest.update(content)
        self._checksum = extend(self._checksum, content)
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]


def digest_of_parts(files: Mapping[str, CompiledFile]) -> str:
    """One BLAKE3 over the parts of a dataset by name; it depends on their content alone."""
    from blake3 import blake3

    parts = "".join(f"{name} {files[name].digest}\n" for name in sorted(files))
    return blake3(parts.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """BLAKE3 of a file as 64 hexadecimal digits. Raises OSError."""
    from blake3 import blake3

    digest = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
