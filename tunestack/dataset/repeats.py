"""What the hashes of rows show, told: rows that repeat or contradict each other, held-out rows that are trained on.

Every row that is told of is read again and compared, so that two texts with the same hash never make a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tunestack.dataset import duplicates
from tunestack.dataset.batches import Batch
from tunestack.dataset.duplicates import Pair
from tunestack.dataset.findings import MOST_SHOWN, Finding, quoted
from tunestack.dataset.reading import Reading, records_again
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Record

CODES = {True: "duplicate-row", False: "conflicting-rows"}


@dataclass
class Part:
    """The sources of one part, read, with its rows over all of them."""

    readings: Sequence[Reading]
    rows: Rows

    def records(self, rows: Iterable[int], block_bytes: int | None) -> dict[int, Known]:
        """What is in these rows, read again."""
        wanted: dict[int, dict[int, int]] = {}
        for row in rows:
            wanted.setdefault(self.rows.source_of(row), {})[self.rows.records.at(row)] = row
        known = {}
        for number, of_source in wanted.items():
            reading = self.readings[number]
            again = list(records_again(reading.scan, of_source, block_bytes))
            scanner = reading.plan.scanner
            batch = scanner.read(reading.source, [record.text for record in again])
            facts = scanner.facts(batch)
            for at, (record, prompt, answer) in enumerate(
                zip(again, facts.prompts, facts.answers, strict=True)
            ):
                known[of_source[record.number]] = Known(reading, record, batch, at, prompt, answer)
        return known


class Known(NamedTuple):
    """A row that was read again."""

    reading: Reading
    record: Record
    batch: Batch
    at: int  # the index of the row in the batch
    prompt: str
    answer: str

    def place_for(self, other: Known) -> str:
        """Where this row is, as told at another row."""
        if self.reading is other.reading:
            return f"line {self.record.line}"
        return f"{self.reading.source.name}:{self.record.line}"

    def at_prompt(self, code: str, message: str, fix: str) -> Finding:
        """A finding at the prompt of this row."""
        scanner = self.reading.plan.scanner
        found = scanner.at_prompt(self.batch, self.at, self.record, code, message, fix)
        return self.reading.scan.placed(found)


@dataclass
class Repeats:
    """``findings``: the first 1,000 of each code; ``counts``: all; ``dropped``: the rows a rule left out, by code."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def repeated_rows(part: Part, drop: frozenset[str] = frozenset(), block_bytes: int | None = None) -> Repeats:
    """Rows of a part whose prompt stood before in it. Those that ``drop`` names are marked in `Rows.left_out`."""
    result = Repeats()
    shown: dict[bool, _First] = {True: _First(), False: _First()}
    for pair in duplicates.pairs(part.rows):
        code = CODES[pair.same_answer]
        if code in drop:
            result.dropped[code] += part.rows.leave_out(pair.row)
        else:
            shown[pair.same_answer].add(pair)
            result.counts[code] += 1
    told = [pair for first in shown.values() for pair in first.pairs]
    known = part.records({row for pair in told for row in (pair.row, pair.earlier)}, block_bytes)
    for pair in told:
        finding = _told(known[pair.row], known[pair.earlier], pair.same_answer)
        if finding is None:
            result.counts[CODES[pair.same_answer]] -= 1
        else:
            result.findings.append(finding)
    result.counts = +result.counts
    return result


class _First:
    """The first pairs by row, of any number that come in no order."""

    def __init__(self) -> None:
        self._pairs: list[Pair] = []

    def add(self, pair: Pair) -> None:
        self._pairs.append(pair)
        if len(self._pairs) > 2 * MOST_SHOWN:
            self._pairs = self.pairs

    @property
    def pairs(self) -> list[Pair]:
        return sorted(self._pairs)[:MOST_SHOWN]


def _told(row: Known, earlier: Known, same_answer: bool) -> Finding | None:
    if row.prompt != earlier.prompt or (row.answer == earlier.answer) is not same_answer:
        return None
    where = earlier.place_for(row)
    if same_answer:
        return row.at_prompt("duplicate-row", f"the row repeats {where}", "delete one of the two rows")
    message = (
        f"{where} answers the same prompt with {quoted(earlier.answer)}, this one with {quoted(row.answer)}"
    )
    return row.at_prompt("conflicting-rows", message, "decide for one answer")


def leaked_rows(
    trained: Part,
    held_out: Sequence[Part],
    drop: frozenset[str] = frozenset(),
    block_bytes: int | None = None,
) -> Iterator[Repeats]:
    """Of each held-out part the rows whose prompt is trained or validated on."""
    results = [Repeats() for _ in held_out]
    shown = [_First() for _ in held_out]
    for number, leaked, trained_row in duplicates.leaks(trained.rows, [part.rows for part in held_out]):
        if held_out[number].rows.is_left_out(leaked):
            continue
        if "leakage" in drop:
            results[number].dropped["leakage"] += held_out[number].rows.leave_out(leaked)
        else:
            shown[number].add(Pair(leaked, trained_row, False))
            results[number].counts["leakage"] += 1
    for part, result, first in zip(held_out, results, shown, strict=True):
        known = part.records((pair.row for pair in first.pairs), block_bytes)
        known_trained = trained.records((pair.earlier for pair in first.pairs), block_bytes)
        for pair in first.pairs:
            row, other = known[pair.row], known_trained[pair.earlier]
            if row.prompt != other.prompt:
                result.counts["leakage"] -= 1
                continue
            message = f"the held-out prompt is also a record: {other.place_for(row)}"
            result.findings.append(row.at_prompt("leakage", message, "delete one of the two rows"))
        result.counts = +result.counts
        yield result
