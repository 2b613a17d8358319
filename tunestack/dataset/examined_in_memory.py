"""An examination whose rows are all in memory: what compiles until every part is read from a spool."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tunestack.dataset.check import examine_dataset
from tunestack.dataset.checks import Example
from tunestack.dataset.examine import Examined, ExaminedPart
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Example as Rendered
from tunestack.dataset.formats.format import Turn, encode
from tunestack.dataset.report import Report
from tunestack.dataset.rules import Ledger
from tunestack.dataset.sources import open_source
from tunestack.dataset.split import prompt_hash


class _Part(ExaminedPart):
    def __init__(self, name: str, rows: Sequence[Example], stratify: str | None = None) -> None:
        super().__init__(name, len(rows))
        self._rows, self._stratify = rows, stratify
        self._format = FORMATS["supervised" if name == "records" else "evaluation"]

    def lines(self) -> Iterator[bytes]:
        for row in self._rows:
            yield encode(self._format.build(Rendered((Turn("user", row.prompt),), targets=row.targets)))

    def prompt_hashes(self) -> array[int]:
        return array("Q", [prompt_hash(row.prompt) for row in self._rows])

    def strata(self) -> list[str] | None:
        return [row.values[self._stratify] for row in self._rows] if self._stratify else None


def examined_in_memory(folder: Path) -> Examined:
    dataset = examine_dataset(folder)
    report = Report.of(dataset.findings)
    spec = dataset.spec
    if report.good:
        for name in (*spec.records, *spec.held_out.values()):
            report.sources.append(replace(open_source(folder / name).digests(), name=name))
    parts = {"records": _Part("records", dataset.records.rows, spec.split.stratify)}
    for name, examples in dataset.held_out.items():
        parts[f"held-out-{name}"] = _Part(f"held-out-{name}", examples.rows)
    rows = sum(part.rows for part in parts.values())
    report.ledger = Ledger(rows, rows)
    return Examined(spec, spec.format, report, dict(parts))
