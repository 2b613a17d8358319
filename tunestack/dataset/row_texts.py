"""A few rows of the sources as they stand there, to be shown beside what was found in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

Place = tuple[str, int]  # the name of a source, and the line where the row begins


class RowText(NamedTuple):
    """One row. ``column``: where in its line the text begins, from 1; 0 where the text is not the file's own (a row
    of a table, as JSON), so that no column of a finding points into it."""

    text: str
    column: int = 1


def read_row_texts(places: Iterable[Place]) -> dict[Place, RowText]:
    """The rows that begin at these places, as far as they can still be read; each file is read up to its last one.

    Invalid UTF-8 is replaced, a character a byte as in columns of findings.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for name, line in places:
        wanted[name].add(line)
    return {(name, line): text for name, lines in wanted.items() for line, text in _rows(name, lines).items()}


def _rows(name: str, lines: set[int]) -> dict[int, RowText]:
    from tunestack.dataset.sources import open_source
    from tunestack.dataset.sources.source import SourceFault
    from tunestack.spec.errors import TunestackError

    found: dict[int, RowText] = {}
    before, last = 0, max(lines)
    try:
        source = open_source(name)
        for block in source.blocks():
            end = before
            for chunk in source.chunks(block):
                for index, line in enumerate(chunk.lines):
                    end = before + line
                    if end in lines and end not in found:
                        column = 0 if source.translated else chunk.columns[index] if chunk.columns else 1
                        found[end] = RowText(chunk.texts[index].decode("utf-8", "replace"), column)
                if end >= last:
                    return found
            before = end
    except (OSError, SourceFault, TunestackError):
        pass  # the finding says what is wrong; the page shows what there is
    return found
