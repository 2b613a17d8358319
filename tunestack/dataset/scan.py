"""One pass over a file: each block gives a report, and reports are folded in the order of the blocks.

Nothing that a fold yields depends on which process did which block, or on where the file was cut.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Any

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.explain import Defect, explain, place
from tunestack.dataset.findings import MOST_SHOWN, Finding
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Format
from tunestack.dataset.rows import WIDTH, Rows
from tunestack.dataset.sources.source import Block, Chunk, Source, SourceFault
from tunestack.dataset.statistics import MOST_LABELS, Statistics

# Lines decoded in one go. Measured best between 64 and 256; larger batches fall out of the cache.
BATCH = 128


@dataclass(frozen=True)
class ScanPlan:
    """What to do with each record; picklable, sent once to each process.

    The texts are finished lines of ``format``. ``quick``: only whether each line is right, nothing is counted or
    remembered of it.
    """

    format: str
    quick: bool = False
    batch: int = BATCH

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @cached_property
    def scanner(self) -> Scanner:
        """Everything that is made once in each process."""
        return Scanner(self)


@dataclass
class BlockReport:
    """What one block gave. Lines and records count within the block, lines from 1, records from 0.

    ``findings``: the first 1,000 of each code; ``counts``: all of them. Of each good row ``prompts`` and
    ``answers`` hold a hash and ``numbers`` which record it was: unsigned 64-bit integers, as bytes.
    """

    number: int
    lines: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statistics: Statistics = field(default_factory=Statistics)
    prompts: bytes = b""
    answers: bytes = b""
    numbers: bytes = b""
    strata: list[str] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def scan_block(plan: ScanPlan, block: Block) -> BlockReport:
    """Read, check and count the records of one block; pure but for reading the source and writing the spool.

    Raises OSError where the source cannot be read.
    """
    return plan.scanner.scan(block)


class Scanner:
    """One plan, ready to be used on any block."""

    def __init__(self, plan: ScanPlan) -> None:
        self._plan = plan
        self._format = FORMATS[plan.format]
        self._acceptor = Acceptor(self._format.line)

    def scan(self, block: Block) -> BlockReport:
        """As scan_block."""
        report = BlockReport(block.number)
        tally = Tally(self._format, report)
        acceptor, plan = self._acceptor, self._plan
        for chunk in block.source.chunks(block, plan.batch):
            texts = chunk.texts
            for fault in chunk.faults:
                add(
                    report,
                    Finding(
                        block.source.name, fault.line, fault.column, fault.code, "", fault.message, fault.fix
                    ),
                )
            lines = acceptor.accept(texts)
            bad = self._explained(block.source, chunk, lines, report)
            if not plan.quick:
                numbers: Iterable[int] = range(report.records, report.records + len(texts))
                if bad:
                    kept = [row for row in range(len(texts)) if row not in bad]
                    numbers = [report.records + row for row in kept]
                    lines = [lines[row] for row in kept]
                    texts = [texts[row] for row in kept]
                tally.add(lines, numbers, sum(map(len, texts)))
            else:
                report.statistics.rows += len(texts) - len(bad)
            report.records += len(chunk.texts)
            if chunk.lines:
                report.lines = chunk.lines[-1]
        tally.finish()
        return report

    def _explained(self, source: Source, chunk: Chunk, lines: list[Any], report: BlockReport) -> set[int]:
        """Tell what is wrong with the texts that are refused or in doubt; which of them are bad."""
        texts, acceptor, form = chunk.texts, self._acceptor, self._format
        refused: list[int] = []
        if None in lines:
            refused = [row for row, line in enumerate(lines) if line is None]
            good = [row for row, line in enumerate(lines) if line is not None]
            doubts = acceptor.in_doubt([texts[row] for row in good], [lines[row] for row in good])
            suspects = {good[doubt] for doubt in doubts}
        else:
            suspects = set(acceptor.in_doubt(texts, lines))
        if not acceptor.flat:  # else `in_doubt` has looked at all that violations look at
            for row, line in enumerate(lines):
                if line is not None and any(True for _ in form.violations(line)):
                    suspects.add(row)
        bad = set()
        for row in sorted([*refused, *suspects]):
            defects = explain(texts[row], form.line, lines[row] is None, form.violations)
            if defects:
                bad.add(row)
                for defect in defects:
                    add(report, located(source, chunk, row, defect))
        return bad


def located(source: Source, chunk: Chunk, row: int, defect: Defect) -> Finding:
    """A defect of the record ``row`` of a chunk as a finding at its place in the source."""
    first = 1 if chunk.columns is None else chunk.columns[row]
    if source.translated:
        line, column = chunk.lines[row], 0
    else:
        line, column = place(chunk.texts[row], defect.offset, chunk.lines[row], first)
    return defect.finding(source.name, line, column)


def add(report: BlockReport | Scan, finding: Finding) -> None:
    """Count a finding, and keep it while there are few of its code."""
    report.counts[finding.code] += 1
    if report.counts[finding.code] <= MOST_SHOWN:
        report.findings.append(finding)


class Tally:
    """What is counted and remembered of good lines, collected for one block."""

    def __init__(self, form: Format, report: BlockReport) -> None:
        from xxhash import xxh3_64_intdigest

        from tunestack.dataset.split import SPLIT_KEY

        self._format, self._report = form, report
        self._digest, self._key = xxh3_64_intdigest, SPLIT_KEY
        self._prompts, self._answers, self._numbers = array("Q"), array("Q"), array("Q")
        self._labels: Counter[str] | None = Counter()

    def add(self, lines: Sequence[Any], numbers: Iterable[int], size: int) -> None:
        """Count a batch of good lines of ``size`` bytes; ``numbers`` says which records they were."""
        statistics = self._report.statistics
        facts = self._format.facts(lines)
        statistics.rows += len(lines)
        statistics.bytes += size
        for name, lengths in self._format.lengths(lines).items():
            statistics.lengths.setdefault(name, Counter()).update(lengths)
        if self._labels is not None:
            self._labels.update(facts.labels)
            if len(self._labels) > MOST_LABELS:
                self._labels = None
        self._prompts.extend(map(self._digest, map(str.encode, facts.prompts), repeat(self._key)))
        self._answers.extend(map(self._digest, map(str.encode, facts.answers)))
        self._numbers.extend(numbers)

    def finish(self) -> None:
        """Put what was collected into the report."""
        report = self._report
        report.statistics.labels = self._labels
        report.prompts = self._prompts.tobytes()
        report.answers = self._answers.tobytes()
        report.numbers = self._numbers.tobytes()


@dataclass
class Scan:
    """The blocks of one source, folded in their order. Lines count from 1 in the source, records from 0."""

    source: Source
    rows: Rows  # of the part that the source belongs to
    lines: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statistics: Statistics = field(default_factory=Statistics)
    repaired: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    blocks: list[tuple[int, int]] = field(
        default_factory=list
    )  # of each: its first record, the line before it

    def fold(self, report: BlockReport) -> None:
        """Add the report of the next block."""
        for finding in report.findings:
            add(self, replace(finding, line=finding.line + self.lines))
        # Those that a block counted and did not keep.
        self.counts.update(report.counts - Counter(finding.code for finding in report.findings))
        self.statistics.merge(report.statistics)
        for mine, other in (
            (self.repaired, report.repaired),
            (self.truncated, report.truncated),
            (self.dropped, report.dropped),
        ):
            mine.update(other)
        self.blocks.append((self.records, self.lines))
        self.rows.prompts.extend(report.prompts)
        self.rows.answers.extend(report.answers)
        if len(report.numbers) == WIDTH * report.records:
            numbers = array("Q", range(self.records, self.records + report.records))
        else:
            numbers = array("Q", [self.records + number for number in array("Q", report.numbers)])
        self.rows.records.extend(numbers.tobytes())
        self.lines += report.lines
        self.records += report.records

    def add_fault(self, fault: SourceFault) -> None:
        """Tell what breaks the source as a whole."""
        add(
            self,
            Finding(self.source.name, fault.line, fault.column, fault.code, "", fault.message, fault.fix),
        )
