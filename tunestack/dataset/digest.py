"""The two digests of a file: BLAKE3, which names it, and CRC32C, which Cloud Storage keeps of every object."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CompiledFile:
    """One compiled JSON Lines file.

    ``digest`` is BLAKE3 as 64 hexadecimal digits (`b3sum` gives the same); ``crc32c`` is base64 of the big-endian
    checksum, as Cloud Storage's JSON API gives it; ``bytes`` is the size.
    """

    path: Path
    rows: int
    digest: str
    crc32c: str
    bytes: int


def write_lines(path: Path, lines: Iterable[bytes]) -> CompiledFile:
    """Write the lines, flushed to the disk, and digest them in the same pass. Raises OSError."""
    from blake3 import blake3
    from google_crc32c import extend

    digest, checksum, rows, size = blake3(), 0, 0, 0
    with path.open("xb") as file:
        for line in lines:
            file.write(line)
            digest.update(line)
            checksum = extend(checksum, line)
            rows += 1
            size += len(line)
        file.flush()
        os.fsync(file.fileno())
    return CompiledFile(
        path, rows, digest.hexdigest(), base64.b64encode(checksum.to_bytes(4, "big")).decode(), size
    )


def file_digest(path: Path) -> str:
    """BLAKE3 of a file as 64 hexadecimal digits. Raises OSError."""
    from blake3 import blake3

    digest = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
