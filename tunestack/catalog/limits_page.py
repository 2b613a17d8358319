"""The table of limits as docs/dataset-limits.md: `python -m tunestack.catalog.limits_page > docs/dataset-limits.md`."""

from __future__ import annotations

import sys

from tunestack.catalog.limits import LIMITS, Limits, Rows, Validation
from tunestack.catalog.source import Source

_HEAD = """# What the tuning services take

Written by `python -m tunestack.catalog.limits_page > docs/dataset-limits.md` from `tunestack/catalog/limits.py`;
a test holds the two together. `tunestack dataset check` goes by the model that `checks.model` or `--model` names,
else by the first row of the format. An empty cell is a figure that no source gives: it is not checked. A source
marked *secondary* is not Google's own page, code or answer; Google's pages were read in public copies.

A row is proved short enough by its bytes: a tokenizer with byte fallback makes at most one token of a byte of UTF-8.
What bytes do not prove is counted where `checks.tokenizer` names a tokenizer file (`tokenizer.json`, or a
SentencePiece `.model`; extra `tunestack[tokens]`), else estimated at a token for 4 characters: an estimate over the
limit is a finding that says so, for a row it may be off by 50 %; rows whose bytes alone are over are counted as not
proved.
"""
_COLUMNS = ("models", "tokens in", "tokens out", "tokens together", "rows", "validation", "bytes", "sources")


def limits_page() -> str:
    """The whole page, ending with a line feed."""
    sources: dict[Source, int] = {}
    sections = []
    for format in dict.fromkeys(row.format for row in LIMITS):  # noqa: A001
        rows = [row for row in LIMITS if row.format == format]
        table = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
        table += [_line(_cells(row, sources)) for row in rows]
        notes = [f"{row.family}: {row.note}" for row in rows if row.note]
        sections.append("\n".join([f"## {format}\n", *table, *(f"\n{note}" for note in notes)]))
    listed = "\n".join(
        f"{number}. {source.where}. Checked {source.checked}{'' if source.verified else ', *secondary*'}."
        for source, number in sources.items()
    )
    return "\n\n".join([_HEAD.rstrip(), *sections, f"## Sources\n\n{listed}"]) + "\n"


def _cells(row: Limits, sources: dict[Source, int]) -> list[str]:
    numbers = [sources.setdefault(each, len(sources) + 1) for each in (row.tokens_source, row.rows_source)]
    files = [(f"{name}: " if name != "train" else "") + _rows(rows) for name, rows in row.files.items()]
    if row.labelled_queries:
        files.append("queries with labels: {} a file, {} in all".format(*row.labelled_queries))
    return [
        f"**{row.family}**: " + ", ".join(f"`{model}`" for model in row.models),
        _number(row.tokens_in),
        _number(row.tokens_out),
        _number(row.tokens_together),
        "; ".join(files),
        _validation(row.validation),
        _number(row.most_bytes),
        ", ".join(str(number) for number in dict.fromkeys(numbers)),
    ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(figure: int | None) -> str:
    return "" if figure is None else f"{figure:,}"


def _rows(rows: Rows) -> str:
    if rows.least is None:
        return f"≤ {_number(rows.most)}"
    return f"{rows.least:,} to {_number(rows.most)}"


def _validation(rule: Validation) -> str:
    share = "" if rule.percent is None else f"≤ {rule.percent} % of train"
    if share and rule.free:
        share += f" beyond {rule.free:,}"
    most = "" if rule.most is None else f"≤ {rule.most:,}"
    return ", ".join(filter(None, [most, share]))


if __name__ == "__main__":
    sys.stdout.write(limits_page())
