"""Texts to good lines, a batch at a time: finished ones by their type, records by their columns and templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.findings import Finding
from tunestack.dataset.formats.format import Example, Facts, Format, Violation, encode
from tunestack.dataset.rules import Rules
from tunestack.dataset.shapes import Uniform
from tunestack.dataset.sources.source import Chunk, Source, SourceFault

# A small file that is good needs neither explanations nor templates, and is checked before they would be imported.
if TYPE_CHECKING:
    from tunestack.dataset.explain import Defect
    from tunestack.dataset.render import Recipe


class Batch(msgspec.Struct):
    """The records of a chunk: what became of them, and what is wrong with those that became nothing.

    ``rows``: the indices of the texts that are good so far, in order; ``lines`` are theirs, and of records also
    ``values``, ``examples`` and the ``encoded`` lines. ``found``: by index what is wrong with the others.
    """

    source: Source
    chunk: Chunk
    rows: Sequence[int] = ()
    lines: list[Any] = msgspec.field(default_factory=list)
    values: list[dict[str, Any]] = msgspec.field(default_factory=list)
    examples: list[Example] = msgspec.field(default_factory=list)
    encoded: list[bytes] = msgspec.field(default_factory=list)
    found: dict[int, list[Finding]] = msgspec.field(default_factory=dict)
    passed: int = 0  # texts that a rule lets pass, and that are no records
    repaired: Counter[str] = msgspec.field(default_factory=Counter)
    truncated: Counter[str] = msgspec.field(default_factory=Counter)
    origin: Callable[[str, Example], str] | None = None
    uniform: Uniform | None = None  # the ``lines``, where they are of one shape
    _facts: Facts | None = None

    def facts(self, form: Format) -> Facts:
        """What the checks across rows need of the lines; worked out once."""
        if self._facts is None:
            if (uniform := self._completions(form)) is not None:
                prompts, answers = uniform.columns
                self._facts = Facts(prompts, answers, answers)
            else:
                self._facts = form.facts(self.lines)
        return self._facts

    def lengths(self, form: Format) -> Mapping[str, Iterable[int]]:
        """As `Format.lengths`."""
        facts = self.facts(form)
        if self._completions(form) is not None:
            return {"prompt": map(len, facts.prompts), "answer": map(len, facts.answers)}
        return form.lengths(self.lines, facts)

    def _completions(self, form: Format) -> Uniform | None:
        """The lines as two columns, where each is nothing but a prompt with its answer."""
        uniform = self.uniform
        return uniform if form.completion and uniform is not None and len(uniform.columns) == 2 else None

    def add(self, row: int, defect: Defect) -> None:
        """Say what is wrong with the text at this index."""
        column = 1 if self.chunk.columns is None else self.chunk.columns[row]
        finding = located(self.source, self.chunk.texts[row], self.chunk.lines[row], column, defect)
        self.found.setdefault(row, []).append(finding)

    def tell(self, at: int, violation: Violation, excerpt: str | None = None) -> None:
        """Say what is wrong with the line at this index of ``lines``."""
        path = violation.path if self.origin is None else self.origin(violation.path, self.examples[at])
        self.tell_record(self.rows[at], violation._replace(path=path), excerpt)

    def tell_record(self, row: int, violation: Violation, excerpt: str | None = None) -> None:
        """Say what is wrong with the record at this index, by a path within the record."""
        from tunestack.dataset.explain import Defect, offset_of

        offset, shown = offset_of(self.chunk.texts[row], violation.path)
        self.add(
            row,
            Defect(
                offset,
                violation.code,
                violation.path,
                violation.message,
                violation.fix,
                shown if excerpt is None else excerpt,
            ),
        )

    def leave_out(self, bad: Container[int]) -> None:
        """Go on without the lines of the texts with these indices."""
        self._facts = self.uniform = None
        kept = [at for at, row in enumerate(self.rows) if row not in bad]
        self.rows, self.lines = [self.rows[at] for at in kept], [self.lines[at] for at in kept]
        if self.examples:
            self.values = [self.values[at] for at in kept]
            self.examples = [self.examples[at] for at in kept]
        if self.encoded:
            self.encoded = [self.encoded[at] for at in kept]


def located(source: Source, text: bytes, line: int, column: int, defect: Defect) -> Finding:
    """A defect of a record as a finding at its place; ``line`` and ``column`` are where the record begins.

    Of translated sources the column is left open: see `scan.Scan.placed`.
    """
    from tunestack.dataset.explain import place

    if source.translated:
        return defect.finding(source.name, line, 0)
    return defect.finding(source.name, *place(text, defect.offset, line, column))


def fault_finding(source: Source, fault: SourceFault) -> Finding:
    """What is wrong with a source, or with a row that is none."""
    return Finding(source.name, fault.line, fault.column, fault.code, "", fault.message, fault.fix)


class FinishedLines:
    """Texts that are taken as they are: lines of a format, or records that nothing is made of."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    def read(self, source: Source, chunk: Chunk, first: bool) -> Batch:
        """The lines of a chunk."""
        batch = Batch(source, chunk)
        rows = range(len(chunk.texts))
        batch.lines, batch.uniform = _accepted(batch, chunk.texts, rows, self._acceptor)
        return batch


class RenderedRecords:
    """Texts that are records, mended by rules and rendered by a recipe."""

    def __init__(self, form: Format, recipe: Recipe, rules: Rules) -> None:
        self._format, self._rules, self._renderer = form, rules, recipe.renderer()
        self._records = self._renderer.records
        self._acceptor = self._records.acceptor
        self._mend_texts = not rules.repair.isdisjoint(("byte-order-mark", "blank-line"))

    def read(self, source: Source, chunk: Chunk, first: bool) -> Batch:
        """The records of a chunk as lines; ``first``: the source begins with it."""
        from tunestack.dataset.template import TemplateFault

        batch = Batch(source, chunk, origin=self._renderer.origin)
        texts, rows = chunk.texts, range(len(chunk.texts))
        if self._mend_texts:
            texts, rows = self._mended(batch, first)
        records, _ = _accepted(batch, texts, rows, self._acceptor)
        rendered: list[int] = []
        for row, record in zip(batch.rows, records, strict=True):
            values = self._records.values(record)
            if self._rules.amend_values:
                values, repaired, truncated = self._rules.amended(values)
                batch.repaired.update(repaired)
                batch.truncated.update(truncated)
            try:
                example = self._renderer.render(values)
            except TemplateFault as fault:
                batch.tell_record(row, fault.violation)
                continue
            rendered.append(row)
            batch.values.append(values)
            batch.examples.append(example)
            batch.lines.append(self._format.build(example))
        batch.rows = rendered
        for at, line in enumerate(batch.lines):
            for violation in self._format.violations(line):
                batch.tell(at, violation)
        if batch.found:
            batch.leave_out(batch.found)
        batch.encoded = list(map(encode, batch.lines))
        return batch

    def _mended(self, batch: Batch, first: bool) -> tuple[Sequence[bytes], Any]:
        """The texts without a byte order mark before the first, and the indices of those that are not blank."""
        chunk, rules = batch.chunk, self._rules
        texts = list(chunk.texts)
        if first and texts and (without := rules.without_mark(texts[0])) is not None:
            texts[0] = without
            columns = list(chunk.columns or [1] * len(texts))
            columns[0] += 1
            batch.repaired["byte-order-mark"] += 1
            batch.chunk = Chunk(texts, chunk.lines, columns, chunk.faults)
        rows = [row for row, text in enumerate(texts) if not rules.passes_blank(text)]
        batch.passed = len(texts) - len(rows)
        if batch.passed:
            batch.repaired["blank-line"] += batch.passed
        return [texts[row] for row in rows], rows


def _accepted(
    batch: Batch, texts: Sequence[bytes], rows: Sequence[int], acceptor: Acceptor
) -> tuple[list[Any], Uniform | None]:
    """The decoded texts that are good, as columns too where all are of one shape; the others are explained.

    ``rows``: the indices of the texts.
    """
    batch.rows = rows
    accepted = acceptor.accept(texts)
    if not accepted.suspects:
        return accepted.lines, accepted.uniform
    from tunestack.dataset.explain import explain

    lines = accepted.lines
    for at in sorted(accepted.suspects):
        for defect in explain(texts[at], acceptor.type, lines[at] is None, acceptor.violations):
            batch.add(rows[at], defect)
    kept = [at for at, row in enumerate(rows) if row not in batch.found]
    if len(kept) == len(rows):
        return lines, accepted.uniform
    batch.rows = [rows[at] for at in kept]
    return [lines[at] for at in kept], None
