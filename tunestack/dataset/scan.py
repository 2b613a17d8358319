"""One pass over a file: each block gives a report, and reports are folded in the order of the blocks.

Nothing that a fold yields depends on which process did which block, or on where the file was cut.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.batches import Batch, FinishedLines, RenderedRecords, fault_finding
from tunestack.dataset.findings import MOST_SHOWN, Finding
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Facts, Format, encode
from tunestack.dataset.native import native_lines
from tunestack.dataset.row_checks import (
    PersonalDataCheck,
    missing_instructions,
    personal_data,
    too_long,
    unknown_labels,
)
from tunestack.dataset.rows import WIDTH, Rows
from tunestack.dataset.rules import Rules
from tunestack.dataset.sources.source import Block, Chunk, Source, SourceFault
from tunestack.dataset.statistics import MOST_LABELS, Statistics

if TYPE_CHECKING:
    from tunestack.dataset.render import Recipe
    from tunestack.dataset.tokens import TokenCheck, TokenTally

# Lines decoded in one go. Measured best between 64 and 256; larger batches fall out of the cache.
BATCH = 128


class ScanPlan(msgspec.Struct, frozen=True, dict=True):
    """What to do with each record; picklable, sent once to each process.

    The texts are finished lines of ``format``, or, with ``recipe``, records that it renders to such lines. With
    ``columns`` they are records that only their own rules are held against.
    ``quick``: only whether each line is right, nothing is counted or remembered of it. ``spool``: the folder that
    the compiled lines go to, one file a block. ``exact_tokens``: the tokenizer of ``tokens`` counts every row.
    """

    format: str
    recipe: Recipe | None = None
    columns: Mapping[str, str] | None = None
    rules: Rules = msgspec.field(default_factory=Rules)
    labels: tuple[str, ...] | None = None
    stratify: str | None = None  # the column whose texts are kept as the rows' strata
    instruction: bool = False  # whether the prompt must say more than the text
    tokens: TokenCheck | None = None
    exact_tokens: bool = False
    personal_data: PersonalDataCheck | None = None
    spool: Path | None = None
    quick: bool = False
    batch: int = BATCH

    @cached_property
    def scanner(self) -> Scanner:
        """Everything that is made once in each process. Raises TemplateFault."""
        return Scanner(self)


class Record(NamedTuple):
    """One record as it was read: its number in its source, its text, and where it begins."""

    number: int
    text: bytes
    line: int
    column: int


class Found(msgspec.Struct):
    """``findings``: the first 1,000 of each code in the order of reading; ``counts``: all of them."""

    findings: list[Finding] = msgspec.field(default_factory=list)
    counts: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it while there are few of its code."""
        self.counts[finding.code] += 1
        if self.counts[finding.code] <= MOST_SHOWN:
            self.findings.append(finding)


class BlockReport(Found):
    """What one block gave. Lines and records count within the block, lines from 1, records from 0.

    Of each good row ``prompts`` and ``answers`` hold a hash and ``numbers`` which record it was: unsigned 64-bit
    integers, as bytes. ``numbers`` may be empty where every record is a good row. With `ScanPlan.stratify` ``strata``
    holds its text. ``rows_in``: records, blank lines that a rule lets pass left out.
    """

    number: int = 0
    lines: int = 0
    records: int = 0
    statistics: Statistics = msgspec.field(default_factory=Statistics)
    prompts: bytes = b""
    answers: bytes = b""
    subjects: bytes = b""  # of preferences: what is decided between
    numbers: bytes = b""
    strata: list[str] = msgspec.field(default_factory=list)
    rows_in: int = 0
    tokens: TokenTally | None = None
    allowed: set[int] = msgspec.field(default_factory=set)  # the entries of the allow-list that were needed
    repaired: Counter[str] = msgspec.field(default_factory=Counter)
    truncated: Counter[str] = msgspec.field(default_factory=Counter)
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


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
        self._front: FinishedLines | RenderedRecords
        if plan.columns is not None:
            from tunestack.dataset.records import Records

            self._front = FinishedLines(Records(plan.columns).acceptor)
        elif plan.recipe is None:
            form = self._format
            acceptor = Acceptor(form.line, form.violations, by_shape=form.completion)
            self._front = FinishedLines(acceptor)
        else:
            self._front = RenderedRecords(self._format, plan.recipe, plan.rules)
        self._native = native_lines(plan)
        paths = self._format.texts
        self.prompt_path = next((path for path in paths if paths[path] == "prompt"), next(iter(paths), "$"))
        self._answer_path = next((path for path in paths if paths[path] == "answer"), "$")
        if plan.recipe is not None:  # whatever the format, this is what the recipe knows the prompt by
            self.prompt_path = "$.input_text" if plan.recipe.messages is None else "$.messages"

    def scan(self, block: Block) -> BlockReport:
        """As scan_block."""
        plan, source = self._plan, block.source
        report = BlockReport(number=block.number)
        tally = Tally(self._format, report, plan)
        spool = nullcontext() if plan.spool is None else (plan.spool / f"{block.number}.jsonl").open("wb")
        with spool as lines:
            first = block.number == 0
            chunks = self._native.chunks(block, report, tally) if self._native is not None else None
            for chunk in chunks or source.chunks(block, plan.batch):
                batch = self._front.read(source, chunk, first)
                self._check(batch, report)
                if batch.found or chunk.faults:
                    self._dispose(batch, report)
                if plan.quick:
                    report.statistics.rows += len(batch.lines)
                else:
                    tally.add(batch, report.records)
                if lines is not None:
                    lines.writelines(batch.encoded or map(encode, batch.lines))
                report.rows_in += len(chunk.texts) - batch.passed
                report.records += len(chunk.texts)
                report.repaired.update(batch.repaired)
                report.truncated.update(batch.truncated)
                if chunk.lines:
                    report.lines = chunk.lines[-1]
                first = False
        tally.finish()
        return report

    def read(self, source: Source, texts: Sequence[bytes]) -> Batch:
        """Records that were found good, read again."""
        without_mark = self._plan.rules.without_mark
        texts = [without_mark(text) or text for text in texts]
        return self._front.read(source, Chunk(texts, range(1, len(texts) + 1)), first=False)

    def facts(self, batch: Batch) -> Facts:
        """What the checks across rows need of a batch."""
        return batch.facts(self._format)

    def _check(self, batch: Batch, report: BlockReport) -> None:
        """Look for all that the plan asks for; every check sees the same lines, so that all is told of a row."""
        plan = self._plan
        if plan.labels is not None:
            targets = [example.targets for example in batch.examples]
            path = "$.output_text" if batch.examples else self._answer_path
            unknown_labels(batch, targets or zip(self.facts(batch).labels, strict=True), plan.labels, path)
        if plan.instruction:
            missing_instructions(batch, self.prompt_path)
        if plan.tokens is not None:
            # A line is never shorter than the texts in it.
            longest = max(map(len, batch.encoded or batch.chunk.texts), default=0)
            if not plan.tokens.proved(longest):
                too_long(batch, self.facts(batch), plan.tokens)
        if plan.personal_data is not None:
            report.allowed |= personal_data(batch, plan.personal_data)

    def _dispose(self, batch: Batch, report: BlockReport) -> None:
        """Tell of the bad rows; those that a rule drops are counted and left out of the batch.

        Well-formed rows that are told of stay in, so that the checks across rows see them too.
        """
        rules = self._plan.rules
        findings: list[Finding] = []
        for fault in batch.chunk.faults:
            if fault.code == "byte-order-mark" and fault.code in rules.repair:
                report.repaired[fault.code] += 1
            elif fault.code in rules.drop:
                report.dropped[fault.code] += 1
                report.rows_in += 1
            else:
                findings.append(fault_finding(batch.source, fault))
        dropped = set()
        for row in sorted(batch.found):
            found = sorted(batch.found[row])
            if rules.drop.issuperset(finding.code for finding in found):
                report.dropped[found[0].code] += 1
                dropped.add(row)
            else:
                findings += found
        for finding in sorted(findings):
            report.add(finding)
        if dropped:
            batch.leave_out(dropped)


class Tally:
    """What is counted and remembered of good lines, collected for one block."""

    def __init__(self, form: Format, report: BlockReport, plan: ScanPlan) -> None:
        from xxhash import xxh3_64_digest

        from tunestack.dataset.split import SPLIT_KEY

        self._format, self._report, self._plan = form, report, plan
        self._digest, self._key = xxh3_64_digest, SPLIT_KEY
        self._prompts, self._answers, self._subjects = array("Q"), array("Q"), array("Q")
        self._rows, self._numbers = 0, array("Q")
        self._labels: Counter[str] | None = Counter()
        if plan.tokens is not None and plan.tokens.tokenizer is not None:
            from tunestack.dataset.tokens import TokenTally

            report.tokens = TokenTally()

    def add(self, batch: Batch, first: int) -> None:
        """Count the good lines of a batch; ``first`` is the number of its first record."""
        report, lines = self._report, batch.lines
        statistics = report.statistics
        facts = batch.facts(self._format)
        statistics.rows += len(lines)
        texts: Iterable[bytes] = batch.encoded or batch.chunk.texts
        if not batch.encoded and len(lines) < len(batch.chunk.texts):
            texts = map(batch.chunk.texts.__getitem__, batch.rows)
        statistics.bytes += sum(map(len, texts))
        for name, lengths in batch.lengths(self._format).items():
            statistics.lengths.setdefault(name, Counter()).update(lengths)
        if self._labels is not None:
            self._labels.update(facts.labels)
            if len(self._labels) > MOST_LABELS:
                self._labels = None
        self._prompts.extend(_hashes(map(self._digest, map(str.encode, facts.prompts), repeat(self._key))))
        self._answers.extend(_hashes(map(self._digest, map(str.encode, facts.answers))))
        self._subjects.extend(_hashes(map(self._digest, map(str.encode, facts.subjects))))
        rows = batch.rows
        whole = isinstance(rows, range)
        self._number(range(first, first + len(rows)) if whole else [first + row for row in rows])
        if self._plan.stratify is not None:
            report.strata += [values[self._plan.stratify] for values in batch.values]
        if report.tokens is not None:
            report.tokens.add(facts.prompts, facts.answers, lines)
            check = self._plan.tokens
            if self._plan.exact_tokens and check is not None and check.tokenizer is not None:
                report.tokens.count(check.tokenizer, lines)

    def extend(self, prompts: bytes, answers: bytes, numbers: Sequence[int]) -> None:
        """Remember the hashes of good lines that are counted elsewhere."""
        self._prompts.frombytes(prompts)
        self._answers.frombytes(answers)
        self._number(numbers)

    def _number(self, numbers: Sequence[int]) -> None:
        """Remember which records the next rows were; nothing while every record is a row."""
        if self._numbers or not (isinstance(numbers, range) and numbers.start == self._rows):
            self._number_all()
            self._numbers.extend(numbers)
        self._rows += len(numbers)

    def _number_all(self) -> None:
        if not self._numbers:
            self._numbers.extend(range(self._rows))

    def count(self, statistics: Statistics) -> None:
        """Count good lines that were counted elsewhere."""
        self._report.statistics.merge(replace(statistics, labels=Counter()))
        if statistics.labels is None or self._labels is None:
            self._labels = None
        else:
            self._labels.update(statistics.labels)
            if len(self._labels) > MOST_LABELS:
                self._labels = None

    def finish(self) -> None:
        """Put what was collected into the report."""
        report = self._report
        report.statistics.labels = self._labels
        report.prompts = self._prompts.tobytes()
        report.answers = self._answers.tobytes()
        report.subjects = self._subjects.tobytes()
        if self._rows != report.records:
            self._number_all()
        report.numbers = self._numbers.tobytes()


def _hashes(digests: Iterable[bytes]) -> array[int]:
    """Digests as numbers; taken one by one each would be an object first."""
    hashes = array("Q", b"".join(digests))
    if sys.byteorder == "little":  # xxHash gives them with the highest byte first
        hashes.byteswap()
    return hashes


class Scan(Found, kw_only=True):
    """The blocks of one source, folded in their order. Lines count from 1 in the source, records from 0."""

    source: Source
    rows: Rows  # of the part that the source belongs to
    lines: int = 0
    records: int = 0
    statistics: Statistics = msgspec.field(default_factory=Statistics)
    repaired: Counter[str] = msgspec.field(default_factory=Counter)
    truncated: Counter[str] = msgspec.field(default_factory=Counter)
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    rows_in: int = 0
    tokens: TokenTally | None = None
    allowed: set[int] = msgspec.field(default_factory=set)
    blocks: list[tuple[int, int]] = msgspec.field(
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
        self.rows_in += report.rows_in
        self.allowed |= report.allowed
        if report.tokens is not None:
            if self.tokens is None:
                self.tokens = report.tokens
            else:
                self.tokens.merge(report.tokens)
        self.rows.strata.extend(map(sys.intern, report.strata))
        self.blocks.append((self.records, self.lines))
        self.rows.prompts.extend(report.prompts)
        self.rows.answers.extend(report.answers)
        self.rows.subjects.extend(report.subjects)
        if len(report.prompts) == WIDTH * report.records:
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
