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
from typing import Any, NamedTuple

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.explain import Defect, explain, offset_of, place
from tunestack.dataset.findings import MOST_SHOWN, Finding
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Facts, Format
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


class Record(NamedTuple):
    """One record as it was read: its number in its source, its text, and where it begins."""

    number: int
    text: bytes
    line: int
    column: int


@dataclass
class Found:
    """``findings``: the first 1,000 of each code in the order of reading; ``counts``: all of them."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it while there are few of its code."""
        self.counts[finding.code] += 1
        if self.counts[finding.code] <= MOST_SHOWN:
            self.findings.append(finding)


@dataclass
class BlockReport(Found):
    """What one block gave. Lines and records count within the block, lines from 1, records from 0.

    Of each good row ``prompts`` and ``answers`` hold a hash and ``numbers`` which record it was: unsigned 64-bit
    integers, as bytes.
    """

    number: int = 0
    lines: int = 0
    records: int = 0
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
        paths = self._format.texts
        self._prompt_path = next((path for path in paths if paths[path] == "prompt"), next(iter(paths), "$"))

    def scan(self, block: Block) -> BlockReport:
        """As scan_block."""
        report = BlockReport(number=block.number)
        tally = Tally(self._format, report)
        source, quick = block.source, self._plan.quick
        for chunk in source.chunks(block, self._plan.batch):
            texts = chunk.texts
            lines = self._acceptor.accept(texts)
            numbers: Sequence[int] = range(report.records, report.records + len(texts))
            if (bad := self._told(source, chunk, lines, report)) or None in lines:
                kept = [row for row in range(len(texts)) if row not in bad]
                lines, numbers = [lines[row] for row in kept], [numbers[row] for row in kept]
                texts = [texts[row] for row in kept]
            if quick:
                report.statistics.rows += len(lines)
            else:
                tally.add(lines, numbers, sum(map(len, texts)))
            report.records += len(chunk.texts)
            if chunk.lines:
                report.lines = chunk.lines[-1]
        tally.finish()
        return report

    def facts(self, texts: Sequence[bytes]) -> Facts:
        """What the checks across rows need of records that were found good."""
        return self._format.facts(self._acceptor.accept(texts))

    def at_prompt(self, source: Source, record: Record, code: str, message: str, fix: str) -> Finding:
        """A finding at the prompt of a record."""
        path = self._prompt_path
        offset, excerpt = offset_of(record.text, path)
        defect = Defect(offset, code, path, message, fix, excerpt)
        return located(source, record.text, record.line, record.column, defect)

    def _told(self, source: Source, chunk: Chunk, lines: Sequence[Any], report: BlockReport) -> set[int]:
        """Tell what is wrong with the texts of a chunk; which of them are bad."""
        texts = chunk.texts
        suspects = self._suspects(texts, lines)
        if not suspects and not chunk.faults:
            return set()
        findings = [fault_finding(source, fault) for fault in chunk.faults]
        bad = set()
        for row in suspects:
            if defects := explain(texts[row], self._format.line, lines[row] is None, self._format.violations):
                bad.add(row)
                line, column = chunk.lines[row], 1 if chunk.columns is None else chunk.columns[row]
                findings += [located(source, texts[row], line, column, defect) for defect in defects]
        for finding in sorted(findings):
            report.add(finding)
        return bad

    def _suspects(self, texts: Sequence[bytes], lines: Sequence[Any]) -> Iterable[int]:
        """The texts that are refused, and the accepted ones that need a closer look."""
        acceptor = self._acceptor
        if None in lines:
            good = [row for row, line in enumerate(lines) if line is not None]
            doubts = self._suspects([texts[row] for row in good], [lines[row] for row in good])
            refused = {row for row, line in enumerate(lines) if line is None}
            return sorted(refused.union(good[row] for row in doubts))
        if acceptor.flat:  # violations of a flat type are texts that say nothing, and `in_doubt` has those
            return acceptor.in_doubt(texts, lines)
        violations = self._format.violations
        broken = {row for row, line in enumerate(lines) if any(True for _ in violations(line))}
        return sorted(broken.union(acceptor.in_doubt(texts, lines)))


def located(source: Source, text: bytes, line: int, column: int, defect: Defect) -> Finding:
    """A defect of a record as a finding at its place; ``line`` and ``column`` are where the record begins.

    Of translated sources the column is left open: see `Scan.placed`.
    """
    if source.translated:
        return defect.finding(source.name, line, 0)
    return defect.finding(source.name, *place(text, defect.offset, line, column))


def fault_finding(source: Source, fault: SourceFault) -> Finding:
    """What is wrong with a source, or with a row that is none."""
    return Finding(source.name, fault.line, fault.column, fault.code, "", fault.message, fault.fix)


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


@dataclass(kw_only=True)
class Scan(Found):
    """The blocks of one source, folded in their order. Lines count from 1 in the source, records from 0."""

    source: Source
    rows: Rows  # of the part that the source belongs to
    lines: int = 0
    records: int = 0
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
            self.add(self.placed(replace(finding, line=finding.line + self.lines)))
        # Those that a block counted and did not keep.
        self.counts.update(report.counts - Counter(finding.code for finding in report.findings))
        self.statistics.merge(report.statistics)
        self.repaired.update(report.repaired)
        self.truncated.update(report.truncated)
        self.dropped.update(report.dropped)
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

    def placed(self, finding: Finding) -> Finding:
        """A finding with the column that only the source knows, where its texts are not the file's own."""
        if not self.source.translated or finding.column or not finding.line:
            return finding
        return replace(finding, column=self.source.cell(finding.line, finding.path), excerpt="")

    def add_fault(self, fault: SourceFault) -> None:
        """Tell what breaks the source as a whole."""
        self.add(fault_finding(self.source, fault))
