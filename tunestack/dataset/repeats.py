"""What the hashes of rows show, told: rows that repeat or contradict each other, held-out rows that are trained on.

Every row that is told of is read again and compared, so that two texts with the same hash never make a finding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple, TypeAlias

import msgspec

from tunestack.dataset import duplicates
from tunestack.dataset.batches import Batch, located
from tunestack.dataset.duplicates import Pair
from tunestack.dataset.findings import MOST_SHOWN, Finding, quoted
from tunestack.dataset.formats.format import Violation
from tunestack.dataset.reading import Reading, records_again
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Record

# What a row has of its own, for `near_rows`.
OwnText: TypeAlias = Callable[[Batch, int], str]

CODES = {True: "duplicate-row", False: "conflicting-rows"}


class Part(msgspec.Struct):
    """The sources of one part, read, with its rows over all of them."""

    readings: Sequence[Reading]
    rows: Rows

    @property
    def counted(self) -> bool:
        """Whether there are sources, and their rows were counted."""
        return bool(self.readings) and not any(reading.plan.quick for reading in self.readings)

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

    def rows_again(self) -> Iterator[tuple[int, Batch, int]]:
        """Every row that is not left out, read again in order: the row, its batch, its index in the batch."""
        records = (number for piece in self.rows.records.pieces() for number in piece)
        row, wanted = 0, next(records, -1)
        for reading, start in zip(self.readings, self.rows.starts, strict=True):
            end = next((each for each in self.rows.starts if each > start), len(self.rows))
            if start == len(self.rows) or row >= end:
                continue
            scanner, first = reading.plan.scanner, 0
            for block in reading.source.blocks():
                for chunk in reading.source.chunks(block):
                    batch = scanner.read(reading.source, chunk.texts)
                    for at, index in enumerate(batch.rows):
                        if row < end and first + index == wanted:
                            if not self.rows.is_left_out(row):
                                yield row, batch, at
                            row, wanted = row + 1, next(records, -1)
                    first += len(chunk.texts)


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
        return self.finding(Violation(self.reading.plan.scanner.prompt_path, code, message, fix))

    def finding(self, violation: Violation) -> Finding:
        """A violation of this row's line as a finding."""
        from tunestack.dataset.explain import Defect, offset_of

        path, text = violation.path, self.record.text
        if self.batch.origin is not None:
            path = self.batch.origin(path, self.batch.examples[self.at])
        offset, excerpt = offset_of(text, path)
        defect = Defect(offset, violation.code, path, violation.message, violation.fix, excerpt)
        place = self.record.line, self.record.column
        return self.reading.scan.placed(located(self.batch.source, text, *place, defect))


class Repeats(msgspec.Struct):
    """``findings``: the first 1,000 of each code; ``counts``: all; ``dropped``: the rows a rule left out, by code."""

    findings: list[Finding] = msgspec.field(default_factory=list)
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


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


def near_rows(
    part: Part,
    threshold: float,
    own_text: OwnText,
    drop: frozenset[str] = frozenset(),
    block_bytes: int | None = None,
) -> Repeats:
    """Rows of a part whose own text is nearly that of an earlier one. Raises TunestackError for too many rows."""
    from tunestack.dataset.near_duplicates import near_pairs

    near = near_pairs(_own_texts(part, own_text, 0), threshold)
    pairs = ((0, pair.line, pair.earlier_line, pair.similarity) for pair in near)
    return _near("near-duplicate", pairs, part, [part], drop, block_bytes)[0]


def near_leaked_rows(
    trained: Part,
    held_out: Sequence[Part],
    threshold: float,
    own_text: OwnText,
    drop: frozenset[str] = frozenset(),
    block_bytes: int | None = None,
) -> list[Repeats]:
    """Of each held-out part the rows whose own text is nearly one that is trained or validated on."""
    from tunestack.dataset.near_duplicates import near_pairs_between

    starts = [0, *accumulate(len(part.rows) for part in held_out)]
    texts = chain.from_iterable(
        _own_texts(part, own_text, start) for part, start in zip(held_out, starts, strict=False)
    )
    near = near_pairs_between(texts, _own_texts(trained, own_text, 0), threshold)
    pairs = (
        (
            number := bisect_right(starts, pair.line) - 1,
            pair.line - starts[number],
            pair.earlier_line,
            pair.similarity,
        )
        for pair in near
    )
    return _near("near-leakage", pairs, trained, held_out, drop, block_bytes)


def _own_texts(part: Part, own_text: OwnText, start: int) -> Iterator[tuple[int, str]]:
    return ((start + row, own_text(batch, at)) for row, batch, at in part.rows_again())


def _near(
    code: str,
    pairs: Iterable[tuple[int, int, int, float]],
    others: Part,
    parts: Sequence[Part],
    drop: frozenset[str],
    block_bytes: int | None,
) -> list[Repeats]:
    """Tell of near pairs: the index of the part, the row in it, the row in ``others``, the similarity."""
    results = [Repeats() for _ in parts]
    shown: list[list[tuple[int, int, float]]] = [[] for _ in parts]
    for number, row, other, similarity in list(pairs):
        if code in drop:
            results[number].dropped[code] += parts[number].rows.leave_out(row)
            continue
        results[number].counts[code] += 1
        if len(shown[number]) < MOST_SHOWN:
            shown[number].append((row, other, similarity))
    for part, result, told in zip(parts, results, shown, strict=True):
        known = part.records((row for row, _, _ in told), block_bytes)
        known_others = others.records((other for _, other, _ in told), block_bytes)
        for row, other, similarity in told:
            where = known_others[other].place_for(known[row])
            what = (
                "nearly the same as"
                if code == "near-duplicate"
                else "a held-out prompt, nearly the record at"
            )
            message = f"{what} {where}: {similarity:.0%} of their word 5-grams are shared"
            result.findings.append(known[row].at_prompt(code, message, "keep one of the two rows"))
    return results
