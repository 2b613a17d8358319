"""The report on a dataset's findings: for a terminal, grouped by what is wrong, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from tunestack.dataset.findings import CODES, MOST_SHOWN, Finding


def terminal_report(findings: Sequence[Finding]) -> str:
    """Every finding on its line, grouped by code; beyond the first 1,000 only counts. Ends with what to do."""
    if not findings:
        return "The dataset is good: nothing was found."
    return "\n".join(_lines(findings))


def json_report(findings: Sequence[Finding]) -> dict[str, Any]:
    """`{"findings": […], "counts": {code: n}, "total": n}`; all findings, in the order of the files."""
    return {
        "findings": [asdict(found) for found in sorted(findings)],
        "counts": dict(sorted(Counter(found.code for found in findings).items())),
        "total": len(findings),
    }


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    counts = Counter(found.code for found in findings)
    shown = sorted(sorted(findings)[:MOST_SHOWN], key=lambda found: list(CODES).index(found.code))
    for code, group in groupby(shown, key=lambda found: found.code):
        rows = list(group)
        yield f"{code} · {_count(counts[code], 'finding')} · {CODES[code]}"
        where = max(len(found.where) for found in rows)
        path = max(len(found.path) for found in rows)
        message = min(72, max(len(found.message) for found in rows))
        one_fix = len({found.fix for found in rows}) == 1
        for found in rows:
            fix = "" if one_fix else f"  → {found.fix}"
            line = f"  {found.where:<{where}}  {found.path:<{path}}  {found.message:<{message}}"
            yield f"{line}  {found.excerpt}{fix}".rstrip()
        if counts[code] > len(rows):
            yield f"  … and {counts[code] - len(rows):,} more"
        if one_fix:
            yield f"  fix: {rows[0].fix}"
        yield ""
        del counts[code]
    for code, count in counts.items():
        yield f"{code} · {_count(count, 'finding')}, not shown · {CODES[code]}"
    files = len({found.file for found in findings})
    rows_hit = len({(found.file, found.line) for found in findings})
    yield (
        f"{_count(len(findings), 'finding')} in {_count(rows_hit, 'line')} of {_count(files, 'file')}. "
        "Nothing is compiled until they are mended; then run the same command again."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
