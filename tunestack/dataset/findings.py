"""One thing wrong in a dataset, at its exact place, and the refusal that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.dataset.report import Report

# Findings of one code in a report, and of all codes in one exception or screen; the counts always cover everything.
MOST_SHOWN = 1_000


class Finding(msgspec.Struct, frozen=True, order=True):
    """One defect. The order of findings is the order of reading: file, line, column.

    ``line`` and ``column`` count from 1, the column in characters of the line as it stands in the file; 0 means
    the whole file or line. ``path`` is the JSON path of the value (`$.text`), ``excerpt`` the text around the
    column. ``code`` is stable: see CODES.
    """

    file: str
    line: int
    column: int
    code: str
    path: str
    message: str
    fix: str
    excerpt: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, as far as it is known."""
        return ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quoted(text: str, longest: int = 40) -> str:
    """Text of unknown content within a message: short, on one line, harmless to a terminal."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return '"' + "".join(each if each.isprintable() else repr(each)[1:-1] for each in cut) + '"'


# Every code with the rule it stands for. Codes are part of the interface: they are never renamed.
CODES = {
    "file-unreadable": "every file that dataset.yaml names can be read",
    "no-rows": "a file has at least one row",
    "not-json-lines": "records are JSON Lines: one JSON object a line",
    "encoding": "the text is UTF-8",
    "byte-order-mark": "there is no byte order mark",
    "blank-line": "every line is a record",
    "truncated-line": "the last record is whole",
    "json-syntax": "every line is JSON",
    "not-an-object": "every record is a JSON object",
    "duplicate-key": "a key stands once in a record",
    "unknown-field": "a record has no field but the declared columns",
    "missing-field": "a record has every declared column",
    "wrong-type": "a field has its column's type",
    "empty-text": "a text says something",
    "lone-surrogate": "an escape stands for a whole character",
    "unknown-label": "a target is one of the declared labels",
    "duplicate-row": "no row stands twice",
    "conflicting-rows": "a prompt has one answer",
    "leakage": "no held-out prompt is trained on",
    "near-duplicate": "no two prompts are nearly the same",
    "near-leakage": "no held-out prompt is nearly one that is trained on",
    "template-error": "the template renders every record",
    "unknown-role": "an author is one that the format knows",
    "roles-out-of-turn": "user and model take turns, and the right one is last",
    "equal-candidates": "the two candidates differ",
    "choice-out-of-range": "the choice is 0 or 1",
    "scores": "one completion is preferred and one is not",
    "duplicate-id": "an id stands once in its file",
    "unknown-id": "a label names a query and a text of the corpus",
    "too-few-rows": "a file has at least as many rows as the service wants",
    "too-many-rows": "a file has at most as many rows as the service takes",
    "file-too-large": "a file is at most as large as the service takes",
    "token-limit": "a row is at most as long as the model takes",
    "class-balance": "every label has its least share of the rows",
    "personal-data": "no text holds personal data that allow.yaml does not allow",
    "secret": "no text holds a password, key or token",
    "allow-list": "every entry of allow.yaml allows something that is there",
    "generation": "an object is the generation that was named",
    "compression": "a compressed file can be unpacked to its end",
    "table-syntax": "a table has a header, and every row has a cell for each column of it",
    "instruction-missing": "the prompt holds an instruction beside the text",
    "split-too-large": "the split leaves rows to train on",
}


class DatasetRefused(TunestackError):
    """A dataset with anything wrong in it. ``report`` has everything; ``str()`` is the report for a terminal."""

    def __init__(self, report: Report | Iterable[Finding]) -> None:
        from tunestack.dataset.report import Report

        self.report = report if isinstance(report, Report) else Report.of(report)
        shown = self.report.findings[:MOST_SHOWN]
        problems = [
            Problem(found.code, found.message, found.where, have=found.excerpt, fix=found.fix)
            for found in shown
        ]
        if more := self.report.total - len(shown):
            problems.append(Problem("more-findings", f"{more:,} findings more than these {len(shown):,}"))
        super().__init__(*problems)

    @property
    def findings(self) -> list[Finding]:
        """The report's: of each code the first 1,000, sorted."""
        return self.report.findings

    def __str__(self) -> str:
        from tunestack.dataset.report import terminal_report

        return terminal_report(self.report)
