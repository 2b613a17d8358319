"""The figures of lines that are known to be good: of the sides of a split, which only a split has."""

from __future__ import annotations

from collections import Counter

import msgspec

from tunestack.dataset.formats import FORMATS
from tunestack.dataset.statistics import MOST_LABELS, Statistics

_BATCH = 128


def remaining(whole: Statistics, part: Statistics) -> Statistics:
    """The figures of what is left of a whole when one part of it is taken away."""
    return Statistics(
        whole.rows - part.rows,
        whole.bytes - part.bytes,
        {name: histogram - part.lengths.get(name, Counter()) for name, histogram in whole.lengths.items()},
        None if whole.labels is None or part.labels is None else whole.labels - part.labels,
    )


class Measure:
    """Counts the lines of one part, some at a time."""

    def __init__(self, format: str) -> None:  # noqa: A002
        self._format = FORMATS[format]
        self._decode = msgspec.json.Decoder(self._format.line).decode
        self._waiting: list[bytes] = []
        self._statistics = Statistics()

    def add(self, line: bytes) -> None:
        """Count one line."""
        self._waiting.append(line)
        if len(self._waiting) == _BATCH:
            self._count()

    def finish(self) -> Statistics:
        """The figures of all lines."""
        self._count()
        return self._statistics

    def _count(self) -> None:
        statistics, lines = self._statistics, list(map(self._decode, self._waiting))
        statistics.rows += len(lines)
        statistics.bytes += sum(map(len, self._waiting))
        self._waiting = []
        facts = self._format.facts(lines)
        for name, lengths in self._format.lengths(lines, facts).items():
            statistics.lengths.setdefault(name, Counter()).update(lengths)
        if statistics.labels is not None and lines:
            statistics.labels.update(facts.labels)
            if len(statistics.labels) > MOST_LABELS:
                statistics.labels = None
