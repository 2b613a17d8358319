"""Where the bytes of a source lie, whatever they are: a file here, an object in a bucket, either one unpacked."""

from __future__ import annotations

import binascii
import io
from pathlib import Path
from typing import Protocol

import msgspec

from tunestack.dataset.sources.source import SourceDigests, SourceFault

# Bytes read at once where all of a file is read; BLAKE3 is slower in smaller pieces.
PIECE_BYTES = 1 << 20
# Of a file that is read line by line. Measured: the usual 8 KiB take two and a half times as long.
_BUFFER_BYTES = 1 << 18


class Content(Protocol):
    """Bytes that can be read from the first to the last, as often as is wanted. Picklable."""

    @property
    def name(self) -> str:
        """As findings show it."""
        ...

    def open(self) -> io.BufferedReader:
        """A new stream at the first byte. Raises OSError, TunestackError.

        A stream that breaks off ends there without an error; what broke it is `fault_of(stream)`.
        """
        ...

    def digests(self) -> SourceDigests:
        """As `Source.digests`."""
        ...


def fault_of(stream: io.BufferedReader) -> SourceFault | None:
    """What ended a stream before its end. Asked for where the stream has been read."""
    fault: SourceFault | None = getattr(stream.raw, "fault", None)
    return fault


class LocalFile(msgspec.Struct, frozen=True):
    """A file on this machine; ``address`` is how it was given."""

    path: Path
    address: str

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self) -> io.BufferedReader:
        """Raises OSError."""
        return io.BufferedReader(self.path.open("rb", buffering=0), _BUFFER_BYTES)

    def digests(self) -> SourceDigests:
        """One pass over the file. Raises OSError."""
        digest = Digest()
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
        return digest.digests(self.address)


class Digest:
    """BLAKE3 and CRC32C of the same bytes."""

    def __init__(self) -> None:
        from blake3 import blake3
        from google_crc32c import extend

        self._bytes, self._blake3, self._crc32c, self._extend = 0, blake3(), 0, extend

    def update(self, piece: bytes) -> None:
        """Take in the next bytes."""
        self._bytes += len(piece)
        self._blake3.update(piece)
        self._crc32c = self._extend(self._crc32c, piece)

    def digests(self, name: str, generation: int | None = None) -> SourceDigests:
        """Of all bytes so far."""
        crc32c = binascii.b2a_base64(self._crc32c.to_bytes(4, "big"), newline=False).decode()
        return SourceDigests(name, self._bytes, self._blake3.hexdigest(), crc32c, generation)
