"""Prompts that are nearly the same: pairs whose word 5-grams have at least a given Jaccard similarity.

Candidates come from MinHash with banding (rensa); each one is then verified on the shingles themselves, so that
what is told is never an estimate. What is missed: a pair just at the threshold, in at most 1 of 1,000 cases by
the choice of bands; pairs further above it practically never.

Give the record's own text, not the rendered prompt. A template puts the same words into every prompt, and the
5-grams of those words are equal in every pair: two remarks of ten words with nothing in common come out 0.8
similar below an instruction of a hundred.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from tunestack.spec.errors import Problem, TunestackError

WORDS = 5
# A text in a large family of near copies is told with this many of its relatives, and then no longer compared
# with: otherwise a million variants of one sentence would be half a billion pairs.
MOST_RELATIVES = 16
# Measured: about 3 kB a row of 700 characters (the text itself, its sketch and its bands), 1.5 GB at the limit.
MOST_ROWS = 500_000

_PERMUTATIONS = 128
_SEED = 20_251_122
_RECALL_AT_THRESHOLD = 0.999
_BATCH = 256
_Sketch: TypeAlias = Any  # rensa.RMinHash, which has no types

# Scripts that are written without spaces: there every character counts as a word (Thai, Lao, Myanmar, Khmer,
# Hiragana, Katakana, Han).
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Of ASCII text the same words as `\w+` finds, in half the time.
_ASCII_APART = "".join(chr(each) if chr(each).isalnum() or chr(each) == "_" else " " for each in range(128))
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class NearPair(NamedTuple):
    """Two texts that are nearly the same, named by their lines; ``similarity`` is their Jaccard similarity."""

    line: int
    earlier_line: int
    similarity: float


def shingles(text: str) -> frozenset[str]:
    """The word 5-grams that texts are compared by; case, punctuation and spaces don't count.

    A text of fewer than five words is one shingle, all of its words: it is near only to a text of the same words.
    A text without any word has none, and is near to nothing.
    """
    folded = text.casefold()
    words = folded.translate(_ASCII_APART).split() if folded.isascii() else _WORD.findall(folded)
    if len(words) <= WORDS:
        return frozenset([" ".join(words)] if words else [])
    return frozenset(map(" ".join, zip(*(words[start:] for start in range(WORDS)), strict=False)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity: shared shingles by all shingles; 0 where there are none."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def near_pairs(texts: Iterable[tuple[int, str]], threshold: float) -> Iterator[NearPair]:
    """Every pair of lines whose texts are near, once, in the order of the later line.

    ``texts``: line and text, in the order of reading. Texts that are equal to the character are not told (they
    are duplicates) and stand for one, the first. Raises TunestackError beyond MOST_ROWS rows, ValueError for a
    threshold outside (0, 1].
    """
    index = _Index(threshold)
    for line, text, found in index.sketched(texts):
        if index.knows(text):
            continue
        relatives = list(islice(index.near(line, text, found), MOST_RELATIVES))
        yield from relatives
        index.add(line, text, found, compared=len(relatives) < MOST_RELATIVES)


def near_pairs_between(
    held_out: Iterable[tuple[int, str]], trained: Iterable[tuple[int, str]], threshold: float
) -> Iterator[NearPair]:
    """Every held-out line (``line``) that is near a trained one (``earlier_line``), in the order of held_out.

    As near_pairs; equal texts are not told here either (they are leakage). At most MOST_RELATIVES a line.
    """
    index = _Index(threshold)
    for line, text, found in index.sketched(trained):
        if not index.knows(text):
            index.add(line, text, found, compared=True)
    for line, text, found in index.sketched(held_out):
        yield from islice(index.near(line, text, found), MOST_RELATIVES)


class _Index:
    """The texts so far, found by their sketches."""

    def __init__(self, threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"a similarity is more than 0 and at most 1, not {threshold}")
        from rensa import RMinHash, RMinHashLSH  # type: ignore[import-untyped]

        self._threshold = threshold
        self._bands, rows = bands(threshold)
        self._permutations = self._bands * rows
        self._sketch = RMinHash.from_token_sets
        self._candidates = RMinHashLSH(threshold, self._permutations, self._bands)
        self._lines = array("q")
        self._texts: list[str] = []
        self._known: set[str] = set()
        self._shingles = lru_cache(4096)(shingles)

    def sketched(self, texts: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, _Sketch]]:
        """Line, text and sketch of each text that has a word; sketches are made a batch at a time."""
        rest = iter(texts)
        while batch := list(islice(rest, _BATCH)):
            sets = [self._shingles(text) for _, text in batch]
            sketches = self._sketch(sets, self._permutations, _SEED)
            for (line, text), tokens, sketch in zip(batch, sets, sketches, strict=True):
                if tokens:
                    yield line, text, sketch

    def knows(self, text: str) -> bool:
        """Whether the very same text was added before."""
        return text in self._known

    def near(self, line: int, text: str, sketch: _Sketch) -> Iterator[NearPair]:
        """The near ones among the texts so far, in the order they were added; equal ones left out."""
        own = self._shingles(text)
        for number in sorted(self._candidates.query(sketch)):
            other = self._texts[number]
            if other != text and (share := similarity(own, self._shingles(other))) >= self._threshold:
                yield NearPair(line, self._lines[number], share)

    def add(self, line: int, text: str, sketch: _Sketch, compared: bool) -> None:
        """Remember a text; unless ``compared``, only that it was there."""
        if len(self._known) >= MOST_ROWS:
            raise TunestackError(
                Problem(
                    "near-duplicate",
                    f"near duplicates are looked for in memory, in at most {MOST_ROWS:,} different texts",
                    have="more than that",
                    fix="set `near_duplicates` and `near_leakage` to null under `checks`, or check a part",
                ),
                exit_status=2,
            )
        self._known.add(text)
        if compared:
            self._candidates.insert(len(self._lines), sketch)
            self._lines.append(line)
            self._texts.append(text)


def bands(threshold: float) -> tuple[int, int]:
    """Bands and rows a band that find a pair at the threshold with at least the wanted probability.

    Of all that do, the most rows: fewest false candidates. 1 - (1 - t^rows)^bands is the chance that a pair of
    similarity t shares a band (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2).
    """
    for rows in range(16, 1, -1):
        count = _PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** count >= _RECALL_AT_THRESHOLD:
            return count, rows
    return _PERMUTATIONS, 1
