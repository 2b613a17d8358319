"""gzip and zstd unpacked on the way, in pieces of bounded size; whatever comes before a break is read all the same."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

import msgspec

from tunestack.dataset.sources.content import Content, fault_of
from tunestack.dataset.sources.detection import Packing
from tunestack.dataset.sources.source import SourceDigests, SourceFault

if TYPE_CHECKING:
    import zstandard
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 256 << 10
# Packed bytes given to zstd at once. What comes out is at most 32,768 times as much (RFC 8878: a block of four
# bytes stands for at most 128 KiB), so no file, however made, fills the memory.
_PIECE_BYTES = 512


class Compressed(msgspec.Struct, frozen=True):
    """Another content, unpacked. Several members or frames one after the other are one stream."""

    content: Content
    packing: Packing

    @property
    def name(self) -> str:
        """As findings show it."""
        return self.content.name

    def open(self) -> io.BufferedReader:
        """Raises what opening the packed content raises."""
        return io.BufferedReader(_Unpacked(self.content.open(), self.packing), _BUFFER_BYTES)

    def digests(self) -> SourceDigests:
        """Of the packed bytes."""
        return self.content.digests()


class _Unpacked(io.RawIOBase):
    """Ends where the packed stream breaks, and then has the ``fault``."""

    def __init__(self, packed: io.BufferedReader, packing: Packing) -> None:
        self.fault: SourceFault | None = None
        self._packed, self._packing = packed, packing
        self._reader = gzip.GzipFile(fileobj=packed) if packing == "gzip" else _Zstandard(packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self.fault is not None:
            return 0
        try:
            if count := self._reader.readinto1(buffer):  # not all that there is room for: errors lose it
                return count
            self.fault = fault_of(self._packed)
        except EOFError:
            self.fault = fault_of(self._packed) or SourceFault(
                "compression",
                f"the file breaks off: the {self._packing} stream has no end",
                "copy or pack the file anew",
            )
        except (gzip.BadGzipFile, zlib.error, ValueError) as error:
            self.fault = SourceFault(
                "compression", f"the {self._packing} stream is damaged: {error}", "copy or pack the file anew"
            )
        return 0

    def close(self) -> None:
        self._packed.close()
        super().close()


class _Zstandard:
    """Frames of zstd as one stream. By hand, because zstandard's own reader takes a cut-off frame for a whole one."""

    def __init__(self, packed: io.BufferedReader) -> None:
        import zstandard

        self._packed, self._error = packed, zstandard.ZstdError
        self._unpack = zstandard.ZstdDecompressor()
        self._frame = self._new_frame()
        self._begun = False
        self._ready = memoryview(b"")

    def _new_frame(self) -> zstandard.ZstdDecompressionObj:
        return self._unpack.decompressobj(write_size=_BUFFER_BYTES >> 4)

    def readinto1(self, buffer: WriteableBuffer) -> int:
        """Raises EOFError where the stream ends within a frame, ValueError where it is damaged."""
        while not self._ready:
            piece = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._begun = self._new_frame(), False
            if not (piece := piece or self._packed.read(_PIECE_BYTES)):
                if self._begun:
                    raise EOFError
                return 0
            self._begun = True
            try:
                self._ready = memoryview(self._frame.decompress(piece))
            except self._error as error:
                raise ValueError(str(error).removeprefix("zstd decompressor error: ")) from None
        room = memoryview(buffer).cast("B")
        count = min(len(room), len(self._ready))
        room[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
