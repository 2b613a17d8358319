"""What only a look at a whole part shows: the balance of its labels, ids that stand twice or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunestack.catalog.limits import Limits
from tunestack.dataset.findings import Finding
from tunestack.dataset.formats.embedding import Placed, doubled_ids, unknown_ids
from tunestack.dataset.limits import label_findings
from tunestack.dataset.repeats import Part
from tunestack.dataset.report import Report
from tunestack.dataset.statistics import Statistics

# The table of an embedding set's labels.
LABEL_COLUMNS = {"query-id": "string", "corpus-id": "string", "score": "integer"}


def class_balance(
    file: str, statistics: Statistics, labels: Sequence[str] | None, least: float
) -> Iterator[Finding]:
    """Labels that have less than their least share of the rows."""
    if labels is None or statistics.labels is None or not statistics.rows:
        return
    for label in labels:
        rows = statistics.labels[label]
        if rows < least * statistics.rows:
            message = f"`{label}` has {rows:,} of {statistics.rows:,} rows; each label needs {least:.0%}"
            yield Finding(file, 0, 0, "class-balance", "", message, f"add rows with `{label}`")


def embedding_report(parts: Mapping[str, Part], limits: Limits) -> Report:
    """Ids that stand twice in their file, labels for what is not there, and too few labelled queries."""
    report = Report()
    ids: dict[str, set[str]] = {}
    for name in ("queries", "corpus"):
        rows = list(parts[name].rows_again())
        lines = [batch.lines[at] for _, batch, at in rows]
        ids[name] = {line.id for line in lines}
        doubled = list(doubled_ids((line.id for line in lines), _Lines(parts[name])))
        report.merge(Report.of(_placed(parts[name], doubled)))
    queries: dict[str, int] = {}
    for name in ("train-labels", "test-labels"):
        if (part := parts.get(name)) is not None:
            labels = [batch.lines[at] for _, batch, at in part.rows_again()]
            report.merge(Report.of(_placed(part, list(unknown_ids(labels, ids["queries"], ids["corpus"])))))
            for reading in part.readings:
                queries[reading.source.name] = len({label.query_id for label in labels})
    if not report.counts:
        report.merge(Report.of(label_findings(limits, queries)))
    return report


def _placed(part: Part, placed: Sequence[Placed]) -> Iterator[Finding]:
    known = part.records([each.row for each in placed], None)
    for each in placed:
        yield known[each.row].finding(each.violation)


class _Lines(Sequence[int]):
    """The lines of a part's rows; read where one is asked for."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part.rows)

    def __getitem__(self, row: int) -> int:  # type: ignore[override]
        return self._part.records([row], None)[row].record.line
