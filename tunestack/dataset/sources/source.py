"""What a source of records is: records as JSON texts, in chunks of bounded size, each with its place in the file.

Whatever the file is (JSON Lines, a JSON list, CSV, TSV, Parquet; plain, gzip or zstd; local or in a bucket), what
comes out is one JSON text a record, so that one reader and one explanation serve all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

# Bytes of a file that are one piece of work. Measured: smaller blocks cost in set-up, larger ones in memory.
BLOCK_BYTES = 8 << 20


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive records of one source.

    ``texts``: the JSON text of each record as bytes, with its line end where it has one (blank lines are there
    too, so that they can be found). ``lines``: the number of the line, from 1, where each record begins; for
    Parquet the number of the row. ``columns``: the column, from 1, where each begins; None: all at 1.
    ``faults``: rows that are none and gave no text, such as one of a table with too few cells: a finding each,
    their lines counted as ``lines`` are.
    """

    texts: Sequence[bytes]
    lines: Sequence[int]
    columns: Sequence[int] | None = None
    faults: Sequence[SourceFault] = ()


class Block(msgspec.Struct, frozen=True):
    """A piece of work that any process can do: the records that begin in bytes [start, end) of the source.

    ``number`` counts from 0 in the order of reading. Lines in what a block yields count from 1 within the block;
    whoever folds the blocks in order adds the lines before it: a block has as many lines as the last number in
    ``lines`` of its last chunk that has any (JSON Lines: as many as it has texts), none without records.
    Picklable.
    """

    source: Source
    number: int
    start: int
    end: int
    chunk: Chunk | None = None  # the records themselves, where the source can only be read in order


class Source(Protocol):
    """One file of records, wherever and whatever it is. Picklable."""

    @property
    def name(self) -> str:
        """As findings show it: a path that can be opened from here, or the address."""
        ...

    @property
    def translated(self) -> bool:
        """Whether the texts are not the file's own bytes (CSV, Parquet): a column within them means nothing."""
        ...

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """The file cut into pieces of work of about ``size`` bytes, in order.

        Raises OSError where it cannot be read; SourceFault where it is broken as a whole, after the blocks that
        could be read all the same, its line counted from the start of the file; TunestackError for what a person
        must mend before anything can be read.
        """
        ...

    def chunks(self, block: Block, records: int = 128) -> Iterator[Chunk]:
        """The records of a block, ``records`` at a time; lines count from 1 within the block."""
        ...

    def cell(self, line: int, path: str) -> int:
        """Translated sources: the column of the cell of JSON path ``path`` in the record at ``line``; 0 unknown."""
        ...

    def digests(self) -> SourceDigests:
        """BLAKE3 and CRC32C of the file's bytes as they lie there (compressed, where they are)."""
        ...


class SourceDigests(msgspec.Struct, frozen=True):
    """``blake3`` 64 hexadecimal digits; ``crc32c`` base64 as Cloud Storage gives it; ``generation`` of an object.

    ``name`` is the path or address as it was given, without the folder it is relative to.
    """

    name: str
    bytes: int
    blake3: str
    crc32c: str
    generation: int | None = None


class SourceFault(Exception):
    """A source that is broken as a whole, at a place: a finding of its own."""

    def __init__(self, code: str, message: str, fix: str, line: int = 1, column: int = 1) -> None:
        super().__init__(code, message, fix, line, column)  # all of them, so that it can be pickled
        self.code, self.message, self.fix, self.line, self.column = code, message, fix, line, column

    def __str__(self) -> str:
        return self.message
