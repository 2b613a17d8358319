"""What a dataset's check found and counted, as one value: for a terminal, as JSON, as a page.

A report says the same for any number of processes and any block size: findings are kept by their place and not by
when they were found, and everything else is sums.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict

from tunestack.dataset.findings import CODES, MOST_SHOWN, Finding, counted
from tunestack.dataset.rules import Ledger
from tunestack.dataset.sources.source import SourceDigests
from tunestack.dataset.statistics import Statistics

if TYPE_CHECKING:
    from tunestack.catalog.limits import Limits
    from tunestack.dataset.tokens import TokenTotal

_PLACE = operator.attrgetter("file", "line", "column", "code", "message", "path", "fix", "excerpt")

# The codes by what they are about, in the order in which people mend: what cannot be read first.
FAMILIES: dict[str, tuple[str, ...]] = {
    "Files": (
        "file-unreadable",
        "compression",
        "generation",
        "no-rows",
        "not-json-lines",
        "table-syntax",
        "encoding",
        "byte-order-mark",
        "blank-line",
        "truncated-line",
        "json-syntax",
    ),
    "Fields and values": (
        "not-an-object",
        "duplicate-key",
        "unknown-field",
        "missing-field",
        "wrong-type",
        "empty-text",
        "lone-surrogate",
        "unknown-label",
        "duplicate-id",
        "unknown-id",
    ),
    "Prompts and conversations": (
        "template-error",
        "instruction-missing",
        "unknown-role",
        "roles-out-of-turn",
        "equal-candidates",
        "choice-out-of-range",
        "scores",
    ),
    "Repeats and leakage": (
        "duplicate-row",
        "conflicting-rows",
        "leakage",
        "near-duplicate",
        "near-leakage",
    ),
    "Limits and balance": (
        "too-few-rows",
        "too-many-rows",
        "file-too-large",
        "token-limit",
        "class-balance",
        "split-too-large",
    ),
    "Personal data and secrets": ("personal-data", "secret", "allow-list"),
}


class Report(msgspec.Struct):
    """All that is wrong with a dataset, and what it consists of.

    ``findings``: of each code the first 1,000 by place, sorted; ``counts``: all of them, by code. ``statistics``
    and ``tokens`` are by part (`train`, `validation`, `held-out-<set>`) or, for finished files, by file. ``checked``
    has the codes of the checks that are not always made and were made here (`near-duplicate`, `personal-data`, …);
    ``limits`` are those that rows were held against.
    """

    findings: list[Finding] = msgspec.field(default_factory=list)
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    statistics: dict[str, Statistics] = msgspec.field(default_factory=dict)
    sources: list[SourceDigests] = msgspec.field(default_factory=list)
    ledger: Ledger | None = None  # None where no rules apply: finished files
    tokens: dict[str, TokenTotal] = msgspec.field(default_factory=dict)
    checked: set[str] = msgspec.field(default_factory=set)
    limits: Limits | None = None

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """A report of nothing but these findings: all of them, capped and sorted here."""
        everything = list(findings)
        report = cls(counts=Counter(found.code for found in everything))
        report.findings = first_by_code(everything)
        return report

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return not self.counts

    @property
    def total(self) -> int:
        """How many findings there are, shown or not."""
        return self.counts.total()

    def merge(self, other: Report) -> None:
        """Add another report; associative, and the same in any order."""
        self.findings = first_by_code(self.findings + other.findings)
        self.counts.update(other.counts)
        for part, statistics in other.statistics.items():
            self.statistics.setdefault(part, Statistics()).merge(statistics)
        self.sources = sorted({*self.sources, *other.sources}, key=lambda source: source.name)
        if other.ledger is not None:
            self.ledger = self.ledger or Ledger()
            self.ledger.merge(other.ledger)
        self.tokens |= other.tokens
        self.checked |= other.checked
        self.limits = self.limits or other.limits


def first_by_code(findings: Iterable[Finding], most: int = MOST_SHOWN) -> list[Finding]:
    """Of each code the first ``most`` by place, sorted by place."""
    seen: Counter[str] = Counter()
    kept = []
    for found in sorted(findings, key=_PLACE):
        seen[found.code] += 1
        if seen[found.code] <= most:
            kept.append(found)
    return kept


def terminal_report(report: Report | Iterable[Finding]) -> str:
    """Every finding on its line, grouped by code, and what to do; of a good dataset a few lines of figures.

    At most 1,000 findings are listed, some of each code; the rest is counted.
    """
    report = report if isinstance(report, Report) else Report.of(report)
    return "\n".join([verdict(report), *_figures(report)] if report.good else _findings(report))


def json_report(report: Report | Iterable[Finding]) -> dict[str, Any]:
    """`{"findings": […], "counts": {code: n}, "total": n, "statistics": …}`; the same for the same dataset."""
    report = report if isinstance(report, Report) else Report.of(report)
    return {
        "findings": [asdict(found) for found in report.findings],
        "counts": dict(sorted(report.counts.items())),
        "total": report.total,
        "statistics": {part: each.as_json() for part, each in sorted(report.statistics.items())},
        "sources": [asdict(source) for source in report.sources],
        "ledger": report.ledger.as_json() if report.ledger else None,
        "tokens": {part: asdict(total) for part, total in sorted(report.tokens.items())},
        "checked": sorted(report.checked),
        "limits": report.limits.family if report.limits else None,
    }


def shares(counts: Mapping[str, int], most: int = MOST_SHOWN) -> dict[str, int]:
    """How many of each to show so that all together are at most ``most``: what is rare is not crowded out."""
    given, left = {}, most
    for index, (name, count) in enumerate(sorted(counts.items(), key=lambda item: (item[1], item[0]))):
        given[name] = min(count, left // (len(counts) - index))
        left -= given[name]
    return given


def by_code(report: Report) -> dict[str, list[Finding]]:
    """The findings by code: the codes in the order of CODES, the findings by place."""
    order = {code: index for index, code in enumerate(CODES)}
    groups: dict[str, list[Finding]] = {}
    for found in sorted(report.findings, key=lambda found: order.get(found.code, len(order))):
        groups.setdefault(found.code, []).append(found)
    return groups


def by_part(report: Report) -> list[tuple[str, Statistics]]:
    """The statistics by part: what is trained on first, then what is validated on, then the rest by name."""
    first = {"train": 0, "records": 0, "validation": 1}

    def order(part: str) -> tuple[str, int, str]:
        dataset, _, name = part.rpartition(": ")
        return dataset, first.get(name, 2), name

    return sorted(report.statistics.items(), key=lambda item: order(item[0]))


def label_counts(statistics: Statistics) -> dict[str, int]:
    """Rows by label, the most frequent first; nothing where answers hardly repeat and so are no labels."""
    labels: Mapping[str, int] = statistics.labels or {}
    if 2 * len(labels) > statistics.rows:
        return {}
    return dict(sorted(labels.items(), key=lambda item: (-item[1], item[0])))


def _findings(report: Report) -> Iterator[str]:
    groups = by_code(report)
    shown = shares({code: len(found) for code, found in groups.items()})
    for code, group in groups.items():
        rows = group[: shown[code]]
        yield f"{code} · {counted(report.counts[code], 'finding')} · {CODES.get(code, '')}".rstrip(" ·")
        where = max(len(found.where) for found in rows)
        path = max(len(found.path) for found in rows)
        message = min(72, max(len(found.message) for found in rows))
        one_fix = len({found.fix for found in rows}) == 1
        for found in rows:
            fix = "" if one_fix else f"  → {found.fix}"
            line = f"  {found.where:<{where}}  {found.path:<{path}}  {found.message:<{message}}"
            yield f"{line}  {found.excerpt}{fix}".rstrip()
        if more := report.counts[code] - len(rows):
            yield f"  … and {more:,} more"
        if one_fix:
            yield f"  fix: {rows[0].fix}"
        yield ""
    yield f"{verdict(report)} Mend them, then run the same command again."


def verdict(report: Report) -> str:
    """The whole report in one sentence."""
    if report.good:
        return "The dataset is good: nothing was found."
    files = counted(len({found.file for found in report.findings}), "file")
    if report.total > len(report.findings):  # which lines the others stand in was not kept
        return f"{counted(report.total, 'finding')} in {files}."
    lines = counted(len({(found.file, found.line) for found in report.findings}), "line")
    return f"{counted(report.total, 'finding')} in {lines} of {files}."


def _figures(report: Report) -> Iterator[str]:
    """What a good dataset consists of, in a few lines."""
    width = max(map(len, ["source", *report.statistics]))
    for part, statistics in by_part(report):
        lengths = ", ".join(
            f"{name} {counted(statistics.quantile(name, 0.5), 'character')} (p95 {statistics.quantile(name, 0.95):,}, "
            f"longest {max(histogram, default=0):,})"
            for name, histogram in sorted(statistics.lengths.items(), key=lambda item: item[0] != "prompt")
        )
        yield f"  {part:<{width}}  {counted(statistics.rows, 'row')}{' · ' * bool(lengths)}{lengths}"
        if labels := label_counts(statistics):
            yield f"  {'':<{width}}  labels: " + ", ".join(
                f"{label} {rows:,}" for label, rows in labels.items()
            )
        if part in report.tokens:
            yield f"  {'':<{width}}  {report.tokens[part]}"
    if report.ledger is not None and not report.ledger.untouched:
        yield f"  {'rules':<{width}}  {report.ledger.sentence()}"
    for source in report.sources:
        yield f"  {'source':<{width}}  {source.name} · {source.bytes:,} bytes · blake3 {source.blake3[:16]}"
