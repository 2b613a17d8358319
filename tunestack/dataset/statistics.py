"""What is counted over rows. Merging is associative, so that the same numbers come out of any cut into blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

MOST_LABELS = 100


class Statistics(msgspec.Struct):
    """Counts over good rows; all integers, so that no order of adding changes them.

    ``lengths``: by the name of the text (`prompt`, `answer`), how many rows have it at how many characters.
    ``labels``: rows by label; None once there are more than MOST_LABELS different ones, for then they are answers
    and not labels (the same whatever the order of merging: a part that has too many makes the whole have too many).
    """

    rows: int = 0
    bytes: int = 0
    lengths: dict[str, Counter[int]] = msgspec.field(default_factory=dict)
    labels: Counter[str] | None = msgspec.field(default_factory=Counter)

    def merge(self, other: Statistics) -> None:
        """Add another block's counts to these."""
        self.rows += other.rows
        self.bytes += other.bytes
        for name, histogram in other.lengths.items():
            self.lengths.setdefault(name, Counter()).update(histogram)
        if self.labels is None or other.labels is None or len(self.labels | other.labels) > MOST_LABELS:
            self.labels = None
        else:
            self.labels.update(other.labels)

    def remove(self, size: int, lengths: Mapping[str, Sequence[int]], labels: Sequence[str]) -> None:
        """Take one row of ``size`` bytes out again."""
        self.rows -= 1
        self.bytes -= size
        for name, of_row in lengths.items():
            self.lengths[name] -= Counter(of_row)
        if self.labels is not None:
            self.labels -= Counter(labels)

    def quantile(self, name: str, share: float) -> int:
        """The smallest length that at least ``share`` of the rows do not exceed; 0 without rows."""
        histogram = self.lengths.get(name, Counter())
        need, seen = share * histogram.total(), 0
        for length in sorted(histogram):
            seen += histogram[length]
            if seen >= need:
                return length
        return 0

    def as_json(self) -> dict[str, Any]:
        """The figures that lock file and reports show: rows, bytes, length quantiles, labels."""
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "lengths": {
                name: {
                    "min": min(histogram, default=0),
                    "median": self.quantile(name, 0.5),
                    "p95": self.quantile(name, 0.95),
                    "max": max(histogram, default=0),
                    "total": sum(length * rows for length, rows in histogram.items()),
                }
                for name, histogram in sorted(self.lengths.items())
            },
            "labels": dict(sorted((self.labels or {}).items())),
        }
