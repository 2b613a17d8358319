"""Histograms of text lengths as geometry: what `report.html.j2` draws as SVG.

By hand because a plotting library would be a heavy dependency for a dozen rectangles, and none promises equal bytes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec

from tunestack.catalog.limits import Limits
from tunestack.dataset.findings import counted
from tunestack.dataset.statistics import Statistics

WIDTH, HEIGHT, TOP = (
    640,
    130,
    40,
)  # of the drawing: its width, where the bars stand, and where they end at most
_BINS = 36
_LINEAR_UP_TO = 6  # times the shortest
_CHARACTERS_PER_TOKEN = 4  # as tunestack.dataset.tokens estimates
_LABEL_LINES = {"median": 13, "p95": 28, "limit": 43}  # where labels stand, from the top: none on another


class Bar(NamedTuple):
    """One bar, in units of the drawing; ``title`` is what it stands for."""

    x: float
    y: float
    width: float
    height: float
    title: str


class Mark(NamedTuple):
    """A line across the drawing or a tick below it, with its label: where this stands and to which side."""

    x: float
    label: str
    anchor: str
    kind: str
    y: float = 0


class Chart(msgspec.Struct, frozen=True):
    """A histogram of the lengths of one text in one part, ready to be drawn."""

    part: str
    logarithmic: bool
    description: str
    bars: list[Bar]
    marks: list[Mark]
    ticks: list[Mark]


def charts(text: str, parts: Mapping[str, Statistics], limits: Limits | None) -> Iterator[Chart]:
    """A histogram for each part that has the text, all on one scale, so that they can be compared by eye."""
    lengths = {
        part: statistics.lengths[text] for part, statistics in parts.items() if statistics.lengths.get(text)
    }
    longest = max(map(max, lengths.values()))
    limit = _limit(text, limits)
    near = limit is not None and limit * _CHARACTERS_PER_TOKEN <= 4 * longest
    most = max(longest, limit * _CHARACTERS_PER_TOKEN) if limit is not None and near else longest
    scale = _Scale(min(map(min, lengths.values())), most)
    for part, histogram in lengths.items():
        yield _chart(part, text, parts[part], histogram, scale, limit)


def _limit(text: str, limits: Limits | None) -> int | None:
    """The tokens that a text may have."""
    if limits is None:
        return None
    own = limits.tokens_in if text in ("prompt", "text") else limits.tokens_out
    return own if own is not None else limits.tokens_together


class _Scale:
    """An axis of lengths: logarithmic, or linear where the longest is not many times the shortest."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.logarithmic = most + 1 > _LINEAR_UP_TO * (least + 1)
        if self.logarithmic:
            low, high = math.log(least + 1), math.log(most + 2)
            inner = {round(math.exp(low + (high - low) * index / _BINS)) - 1 for index in range(1, _BINS)}
            self.edges = sorted({least, most + 1, *(edge for edge in inner if least < edge <= most)})
        else:
            wide = -(-(most + 1 - least) // _BINS)
            self.edges = [*range(least, most + 1, wide)]
            self.edges.append(self.edges[-1] + wide)
        self._low, self._high = self._measure(self.edges[0]), self._measure(self.edges[-1])

    def _measure(self, length: float) -> float:
        return math.log(length + 1) if self.logarithmic else length

    def __call__(self, length: float) -> float:
        """The place of a length on the axis."""
        return WIDTH * (self._measure(length) - self._low) / (self._high - self._low)

    def ticks(self) -> list[int]:
        """Round lengths to write below the axis, far enough from each other to be read."""
        steps = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]
        round_ones = [step for step in steps if self.least <= step <= self.most]
        if len(round_ones) < 3:  # a narrow range: evenly spaced ones instead
            step = next(step for step in steps if (self.most - self.least) / step <= 6)
            round_ones = list(range(-(-self.least // step) * step, self.most + 1, step))
        kept: list[int] = []
        for tick in round_ones:
            if not kept or self(tick) - self(kept[-1]) >= 48:
                kept.append(tick)
        return kept


def _chart(
    part: str, text: str, statistics: Statistics, histogram: Counter[int], scale: _Scale, limit: int | None
) -> Chart:
    median, most_rows = statistics.quantile(text, 0.5), statistics.quantile(text, 0.95)
    marks = [_mark(scale(median + 0.5), f"median {median:,}", "median")]
    if scale(most_rows + 0.5) - scale(median + 0.5) > 4:
        marks.append(_mark(scale(most_rows + 0.5), f"95 % {most_rows:,}", "p95"))
    description = (
        f"{counted(histogram.total(), 'row')}: the shortest {text} has {counted(min(histogram), 'character')}, "
        f"half have at most {median:,}, 95 % at most {most_rows:,}, the longest has {max(histogram):,}."
    )
    if limit is not None:
        characters = limit * _CHARACTERS_PER_TOKEN
        description += f" The limit is {limit:,} tokens, about {characters:,} characters."
        if characters <= scale.most:
            marks.append(_mark(scale(characters + 0.5), f"limit, about {characters:,}", "limit"))
    ticks = [_mark(scale(tick + 0.5), f"{tick:,}", "tick") for tick in scale.ticks()]
    return Chart(part, scale.logarithmic, description, list(_bars(histogram, scale)), marks, ticks)


def _bars(histogram: Counter[int], scale: _Scale) -> Iterator[Bar]:
    rows = [0] * (len(scale.edges) - 1)
    for length, number in histogram.items():
        rows[bisect_right(scale.edges, length) - 1] += number
    tallest = max(rows)
    for number, (low, high) in zip(rows, pairwise(scale.edges), strict=True):
        if number:
            height = max(1.5, (HEIGHT - TOP) * number / tallest)
            span = f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}"
            x = scale(low)
            width = max(1.5, scale(high) - x - 1)
            yield Bar(x, HEIGHT - height, width, height, f"{span} characters: {counted(number, 'row')}")


def _mark(x: float, label: str, kind: str) -> Mark:
    x = min(max(x, 0.0), float(WIDTH))
    if kind == "tick":
        return Mark(x, label, "start" if x < 20 else "end" if x > WIDTH - 20 else "middle", kind)
    room = 8 * len(label)  # at most, in units of the drawing
    left = x > WIDTH - room or (kind == "median" and x > room)
    return Mark(x, label, "end" if left else "start", kind, _LABEL_LINES[kind])
