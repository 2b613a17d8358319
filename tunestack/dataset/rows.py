"""What is kept of every good row of a part: three numbers in files, so that memory does not grow with the rows."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from io import BytesIO
from typing import IO

# Bytes of a column that stay in memory before it goes to a file; bytes that are read at once.
_IN_MEMORY = 1 << 20
_PIECE = 1 << 19
_NEAR = 1 << 13  # numbers read around one that is asked for: those asked for next are mostly among them
WIDTH = 8  # bytes of a number: unsigned, of this machine's byte order, never kept beyond the run


class Column:
    """Numbers of 64 bits that are only ever appended to and read in order."""

    def __init__(self) -> None:
        self._file: IO[bytes] = BytesIO()
        self._length = 0
        self._near, self._near_start = array("Q"), 0

    def __len__(self) -> int:
        return self._length

    def extend(self, numbers: bytes) -> None:
        """Append numbers as they lie in an array("Q")."""
        self._near = array("Q")
        self._file.seek(0, 2)
        self._file.write(numbers)
        before, self._length = self._length, self._length + len(numbers) // WIDTH
        if before * WIDTH <= _IN_MEMORY < self._length * WIDTH:
            self._to_disk()

    def _to_disk(self) -> None:
        # As tempfile.SpooledTemporaryFile does; a small check has no time to import these.
        import weakref
        from tempfile import TemporaryFile

        file = TemporaryFile()  # noqa: SIM115 - closed with the column
        weakref.finalize(self, file.close)
        self._file.seek(0)
        for piece in iter(lambda: self._file.read(_PIECE), b""):
            file.write(piece)
        self._file = file

    def pieces(self) -> Iterator[array[int]]:
        """All numbers, some thousands at a time."""
        at = 0
        while True:
            self._file.seek(at)
            piece = self._file.read(_PIECE)
            if not piece:
                return
            at += len(piece)
            yield array("Q", piece)

    def at(self, row: int) -> int:
        """The number of one row."""
        if not 0 <= row - self._near_start < len(self._near):
            self._near_start = row - row % _NEAR
            self._file.seek(self._near_start * WIDTH)
            self._near = array("Q", self._file.read(_NEAR * WIDTH))
        return self._near[row - self._near_start]


class Rows:
    """The good rows of one part in the order of reading, over all of its sources.

    ``prompts``: `split.prompt_hash` of each; ``answers``: XXH3 of each answer; ``subjects``: XXH3 of what each
    preference decides between, empty where there are none; ``records``: the number of the record in its source,
    from 0. ``left_out`` has a 1 for each row that a rule leaves out; it is empty where there
    is none.
    """

    def __init__(self) -> None:
        self.prompts, self.answers, self.subjects, self.records = Column(), Column(), Column(), Column()
        self.strata: list[str] = []
        self.left_out = bytearray()
        self.starts: list[int] = []  # of each source: its first row

    def __len__(self) -> int:
        return len(self.prompts)

    def source_of(self, row: int) -> int:
        """The index of the source that a row comes from."""
        return bisect_right(self.starts, row) - 1

    def leave_out(self, row: int) -> bool:
        """Mark a row as one that a rule leaves out; False where it was left out before."""
        if not self.left_out:
            self.left_out = bytearray(len(self))
        before, self.left_out[row] = self.left_out[row], 1
        return not before

    def is_left_out(self, row: int) -> bool:
        """Whether a rule leaves the row out."""
        return bool(self.left_out and self.left_out[row])
