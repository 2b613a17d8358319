"""The report as one self-contained page: for a pull request, a colleague, a printer.

The page asks nobody for anything, needs no script and forbids any; every text is escaped by Jinja2. Its bytes depend
on the report alone. This module says what is on the page, `report.html.j2` how it is said, `report.css` how it looks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tunestack.dataset.findings import CODES, Finding, counted
from tunestack.dataset.histogram import HEIGHT, WIDTH, charts
from tunestack.dataset.report import FAMILIES, Report, by_code, by_part, label_counts, verdict
from tunestack.dataset.row_texts import Place, RowText

if TYPE_CHECKING:
    from jinja2 import Environment

# Rows shown in full, and how much of one: beyond that the text around the first finding.
WORST_ROWS = 10
LONGEST_ROW = 20_000
# A list of findings longer than this is folded; it is on the page all the same.
MOST_UNFOLDED = 25
_LOOKED_FOR = (
    "duplicate-row",
    "conflicting-rows",
    "leakage",
    "near-duplicate",
    "near-leakage",
    "personal-data",
    "secret",
)
_PRIVATE = ("personal-data", "secret")
_ALWAYS = ("duplicate-row", "conflicting-rows")


def worst_rows(report: Report, most: int = WORST_ROWS) -> list[Place]:
    """The rows with the most findings, the worst first, then by place."""
    findings = Counter((found.file, found.line) for found in report.findings if found.line)
    return sorted(findings, key=lambda place: (-findings[place], place))[:most]


def html_report(report: Report, *, title: str = "", texts: Mapping[Place, RowText] | None = None) -> str:
    """The page. ``texts`` has the `worst_rows` as they stand in their files, by file and line, as far as known."""
    findings = by_code(report)
    private = private_rows(report)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title or ", ".join(report.statistics) or "Dataset",
            report=report,
            verdict=verdict(report),
            rules=CODES,
            families=[
                (family, [(code, findings[code]) for code in codes if code in findings])
                for family, codes in _families(findings).items()
            ],
            most=max(report.counts.values(), default=0),
            unfolded=MOST_UNFOLDED,
            looked_for=[
                (code, report.counts[code])
                for code in _LOOKED_FOR
                if code in {*_ALWAYS, *report.checked, *report.counts}
            ],
            hidden=lambda found: (
                found.code not in _PRIVATE  # whose own excerpts are masked
                and (private is None or (found.file, found.line) in private)
            ),
            worst=list(_worst(report, texts or {})),
            parts=by_part(report),
            rows=sum(statistics.rows for statistics in report.statistics.values()),
            size=sum(source.bytes for source in report.sources)
            or sum(statistics.bytes for statistics in report.statistics.values()),
            charts=[
                (text, list(charts(text, dict(by_part(report)), report.limits))) for text in _measured(report)
            ],
            balances=list(_balances(report)),
        )
    )


def _families(findings: Mapping[str, Sequence[Finding]]) -> dict[str, list[str]]:
    families = {family: list(codes) for family, codes in FAMILIES.items()}
    known = {code for codes in FAMILIES.values() for code in codes}
    if others := [code for code in findings if code not in known]:
        families["Others"] = others
    return families


def _measured(report: Report) -> list[str]:
    names = {
        name for each in report.statistics.values() for name, histogram in each.lengths.items() if histogram
    }
    return sorted(names, key=lambda name: (name != "prompt", name))


def _balances(report: Report) -> Iterator[tuple[str, list[tuple[str, int, float]]]]:
    """Each part's labels with their rows and shares."""
    for part, statistics in by_part(report):
        if labels := label_counts(statistics):
            total = sum(labels.values())
            yield part, [(label, rows, rows / total) for label, rows in labels.items()]


class WorstRow(NamedTuple):
    """A row in full: ``pieces`` of text, each with the numbers (from 1) of the findings that begin there.

    ``cut``: characters that are not shown; ``private``: none is, for they hold what no page may spread.
    """

    where: str
    findings: list[Finding]
    pieces: list[tuple[str, list[int]]]
    cut: int
    private: bool


# From the place of a finding on: the JSON string that begins there, or a bare value, or one character.
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"?|[^\s"{}\[\],:]+|.', re.DOTALL)


def _worst(report: Report, texts: Mapping[Place, RowText]) -> Iterator[WorstRow]:
    private = private_rows(report)
    for place in worst_rows(report):
        findings = [found for found in report.findings if (found.file, found.line) == place]
        hidden = private is None or place in private
        row = RowText("") if hidden else texts.get(place, RowText(""))
        text = row.text.rstrip("\r\n")
        places = [_offset(row, found) for found in findings]
        first = min((at for at in places if at >= 0), default=0)
        start = max(0, first - LONGEST_ROW // 2) if len(text) > LONGEST_ROW else 0
        shown = text[start : start + LONGEST_ROW]
        pieces = list(_pieces(shown, [at - start for at in places]))
        yield WorstRow(f"{place[0]}:{place[1]}", findings, pieces, len(text) - len(shown), hidden)


def _offset(row: RowText, found: Finding) -> int:
    """Where in the row's text the finding is, from 0; -1 unknown."""
    if row.column:
        return found.column - row.column if found.column else -1
    from tunestack.dataset.positions import find_positions

    try:
        return find_positions(row.text).values.get(found.path, -1)
    except (ValueError, RecursionError):
        return -1


def private_rows(report: Report) -> frozenset[Place] | None:
    """The rows with personal data or secrets in them; None where there are more than the report has places for."""
    found = [each for each in report.findings if each.code in _PRIVATE]
    if len(found) < sum(report.counts[code] for code in _PRIVATE):
        return None
    return frozenset((each.file, each.line) for each in found)


def _pieces(text: str, places: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """The text cut where findings begin and where the values there end; a place within another's value is its."""
    at = 0
    numbers: dict[int, list[int]] = {}
    for number, place in enumerate(places, 1):
        if 0 <= place < len(text):
            numbers.setdefault(place, []).append(number)
    starts = sorted(numbers)
    for index, start in enumerate(starts):
        value = _VALUE.match(text, start)
        end = value.end() if value else start + 1
        end = min(end, *starts[index + 1 : index + 2]) if index + 1 < len(starts) else end
        if start > at:
            yield text[at:start], []
        yield text[start:end], numbers[start]
        at = end
    if at < len(text):
        yield text[at:], []


def marked(found: Finding) -> tuple[str, str, str]:
    """A finding's excerpt before, at and after its place (see `explain`: up to 12 characters before it)."""
    at = found.column - 1 if found.column <= 13 else 13
    if (
        not 0 <= at < len(found.excerpt) or found.code in _PRIVATE
    ):  # whose excerpts are cut and masked otherwise
        return found.excerpt, "", ""
    value = _VALUE.match(found.excerpt.removesuffix("…"), at)
    end = value.end() if value else at + 1
    return found.excerpt[:at], found.excerpt[at:end], found.excerpt[end:]


# What would be invisible or change the order of what follows: control characters, and those of writing direction.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """Text as it can stand on a page: nothing in it is hidden or moves what is around it."""
    return _HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def coded(text: str) -> list[tuple[str, bool]]:
    """A message in pieces, each with whether it stood between back quotes and so is code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # they do not pair: it is the dataset's text that has one
        return [(text, False)]
    return [(piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece]


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def shown(value: Any) -> Any:  # every text that comes from a dataset goes through here, none is trusted
        return visible(value) if type(value) is str else value

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "counted": counted,
        "coded": coded,
        "marked": marked,
        "size": _size,
        "slug": _slug,
    }
    environment.globals |= {"WIDTH": WIDTH, "HEIGHT": HEIGHT}
    return environment


def _size(size: int) -> str:
    for unit, bytes_of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return counted(size, "byte")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
