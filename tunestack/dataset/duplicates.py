"""Rows with the same prompt, found by hashes of the decoded text and then compared.

Hashing what was decoded finds what is written with other escapes too. Memory does not grow with the rows: only the
hashes of one pass are in it. 64 bits can collide (8 in a million at 17 million rows), so whoever tells of a pair
reads both rows again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress, count
from typing import Any, NamedTuple

from tunestack.dataset.rows import Column, Rows

# Hashes that are sorted at once: 4 MB of them.
PASS_HASHES = 1 << 19
# So many rows are looked through without numpy: its sort wins by less than its import takes (0.1 s), and 60 MB of
# Python's own numbers still fit into the memory that a check may take.
PLAIN_ROWS = PASS_HASHES


class Place(NamedTuple):
    """Where a hash stands: in which column, at which row."""

    hash: int
    column: int
    row: int


class Pair(NamedTuple):
    """A row and the earlier one that it repeats (``same_answer``) or contradicts."""

    row: int
    earlier: int
    same_answer: bool


def pairs(rows: Rows) -> Iterator[Pair]:
    """Every row whose prompt stood before in the part: with the same answer, or with another one. In no order.

    A row that repeats an earlier one is paired with the first that says the same; one with another answer with
    the first of the prompt. Preferences contradict each other only where they decide between the same two.
    """
    preferences = len(rows.subjects) > 0
    for places in repeated([rows.prompts]):
        first: dict[tuple[int, int], int] = {}
        same: dict[tuple[int, int], int] = {}
        for place in places:
            answer = rows.answers.at(place.row)
            subject = rows.subjects.at(place.row) if preferences else 0
            earlier = first.setdefault((place.hash, subject), place.row)
            earlier_same = same.setdefault((place.hash, answer), place.row)
            if earlier_same < place.row:
                yield Pair(place.row, earlier_same, True)
            elif earlier < place.row:
                yield Pair(place.row, earlier, False)


def leaks(trained: Rows, held_out: Sequence[Rows]) -> Iterator[tuple[int, int, int]]:
    """Every held-out row whose prompt is trained on: the index of its part, the row, the first trained row."""
    for places in repeated([trained.prompts, *(part.prompts for part in held_out)]):
        first: dict[int, int] = {}
        for place in places:
            if place.column == 0:
                first.setdefault(place.hash, place.row)
            elif (row := first.get(place.hash)) is not None:
                yield place.column - 1, place.row, row


def repeated(columns: Sequence[Column]) -> Iterator[Iterator[Place]]:
    """Where every hash stands that stands more than once in all columns together.

    In passes: all places of a hash are in the same one, and the places of a pass are in order.
    """
    total = sum(map(len, columns))
    if total <= PLAIN_ROWS:
        yield _counted(columns)
        return
    import numpy as np

    bits = max(0, (total - 1).bit_length() - (PASS_HASHES.bit_length() - 1))
    for leading in range(1 << bits):
        taken = [
            hashes[hashes >> np.uint64(64 - bits) == leading] if bits else hashes
            for _, _, hashes in _arrays(columns)
        ]
        hashes = np.concatenate(taken)
        del taken
        hashes.sort()
        doubles = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        del hashes
        if len(doubles):
            yield _places(columns, doubles)


def _counted(columns: Sequence[Column]) -> Iterator[Place]:
    """Without numpy; the reference for what is done with it."""
    counts: Counter[int] = Counter()
    for column in columns:
        for piece in column.pieces():
            counts.update(piece)
    doubles = {value for value, times in counts.items() if times > 1}
    del counts
    for number, column in enumerate(columns):
        start = 0
        for piece in column.pieces():
            for at in compress(count(), map(doubles.__contains__, piece)):
                yield Place(piece[at], number, start + at)
            start += len(piece)


def _places(columns: Sequence[Column], doubles: Any) -> Iterator[Place]:
    """Where the hashes ``doubles`` (sorted, distinct) stand."""
    import numpy as np

    for number, start, hashes in _arrays(columns):
        # Those of the pass first: searching is dearer than comparing, and most hashes are of other passes.
        near = np.flatnonzero((hashes >= doubles[0]) & (hashes <= doubles[-1]))
        wanted = hashes[near]
        for row in near[doubles[np.searchsorted(doubles, wanted)] == wanted].tolist():
            yield Place(int(hashes[row]), number, start + row)


def _arrays(columns: Sequence[Column]) -> Iterator[tuple[int, int, Any]]:
    """All pieces of the columns as numpy arrays: the column, the row where the piece starts, the hashes."""
    import numpy as np

    for number, column in enumerate(columns):
        start = 0
        for piece in column.pieces():
            yield number, start, np.frombuffer(piece, dtype=np.uint64)
            start += len(piece)
