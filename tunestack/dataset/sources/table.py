"""CSV and TSV by the standard library's parser: rows as JSON texts, their cells typed by the declared columns."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from tunestack.dataset.findings import quoted
from tunestack.dataset.sources.content import Content, fault_of
from tunestack.dataset.sources.detection import refuse_other_than_utf_8
from tunestack.dataset.sources.sequential import Record, Sequential, field_of
from tunestack.dataset.sources.source import SourceFault
from tunestack.spec.suggestion import nearest

# A longer cell is a quotation mark that was not closed; without a limit it would take in the rest of the file.
_CELL_CHARACTERS = 16 << 20
_LINE_BYTES = 64 << 20

_NUMBERS = {
    "integer": re.compile(r"-?(?:0|[1-9][0-9]*)"),
    "number": re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
}
_string = json.encoder.encode_basestring


class Table(Sequential):
    """Rows under a header.

    ``columns``: the columns there must be, with their types; None: any, and their cells are text but for those of the
    columns that ``kinds`` names.
    """

    def __init__(
        self,
        content: Content,
        delimiter: Literal[",", "\t"] = ",",
        columns: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(content)
        self.delimiter, self.columns, self._kinds = delimiter, columns, kinds or {}
        self._cursor: _Cursor | None = None

    @property
    def translated(self) -> bool:
        """The texts are made here."""
        return True

    def cell(self, line: int, path: str) -> int:
        """Reads on from the cell that was asked for last, or anew where this one is before it.

        0 also where the cell begins on a later line than its row.
        """
        cursor = self._cursor
        if cursor is None or cursor.line > line:
            cursor = self._cursor = _Cursor(self)
        return cursor.column(line, path)

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_cursor": None}

    def records(self) -> Iterator[Record | SourceFault]:
        """The rows under the header; those that are no rows as faults."""
        rows = rows_of(self.content, self.delimiter)
        header = next(rows, None)
        if header is None:
            return
        if header.text.startswith("\ufeff"):
            yield SourceFault(
                "byte-order-mark", "the file begins with a byte order mark", "save as UTF-8 without BOM"
            )
        names = header.cells
        yield from _check_header(header, self.columns)
        types = [
            self._kinds.get(name) if self.columns is None else self.columns.get(name, "") for name in names
        ]
        keys = [_string(name) for name in names]
        for row in rows:
            if row.fault is not None:
                yield row.fault
            elif not row.cells:
                yield Record(b"\n", row.line)  # the reader tells of blank lines
            elif len(row.cells) != len(names):
                yield _uneven(row, len(names))
            else:
                members = [
                    f"{key}:{_value(cell, kind)}"
                    for key, cell, kind in zip(keys, row.cells, types, strict=True)
                    if kind != ""
                ]
                # Bytes that are no UTF-8 come through as they are: the reader tells of them.
                text = "{" + ",".join(members) + "}"
                yield Record(text.encode("utf-8", "surrogateescape"), row.line)


class Row(msgspec.Struct):
    """A row as it stands in the file from ``line`` on; ``fault`` where it is none."""

    text: str
    line: int
    cells: list[str]
    delimiter: str
    fault: SourceFault | None = None

    def place(self, number: int) -> tuple[int, int]:
        """Line and column of the cell with this index; of the end of the row where it has none."""
        cell = re.compile(rf'"(?:[^"]|"")*"?[^{self.delimiter}\r\n]*|[^{self.delimiter}\r\n]*')
        at = 1 if self.text.startswith("\ufeff") else 0
        for _ in range(number):
            at = cell.match(self.text, at).end()  # type: ignore[union-attr]  # nothing is a match, too
            if self.text[at : at + 1] != self.delimiter:
                break
            at += 1
        feed = self.text.rfind("\n", 0, at)
        return self.line + self.text.count("\n", 0, at), at - feed


def rows_of(content: Content, delimiter: str) -> Iterator[Row]:
    """The rows in order; one that cannot be read costs its first line and no more."""
    # The limit is one for the whole program; nothing else of it reads tables.
    csv.field_size_limit(_CELL_CHARACTERS)
    with content.open() as stream:
        refuse_other_than_utf_8(stream.peek(4)[:4])
        ahead: list[str] = []  # lines that are read once more, the next one last
        taken: list[str] = []  # lines of the row that is being read

        def read_line() -> str:
            raw = stream.readline(_LINE_BYTES)
            if len(raw) == _LINE_BYTES and not raw.endswith(b"\n"):
                message = f"a line is longer than {_LINE_BYTES >> 20} MiB"
                raise SourceFault("table-syntax", message, "end rows with a line feed", line + len(taken))
            return raw.decode("utf-8", "surrogateescape")

        def lines() -> Iterator[str]:
            while True:
                text = ahead.pop() if ahead else read_line()
                if not text:
                    return
                taken.append(text)
                yield text.removeprefix("\ufeff") if first and len(taken) == 1 else text

        line, first = 1, True
        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        while True:
            try:
                cells = next(reader, None)
                fault = None
            except csv.Error as error:
                cells, fault = [], SourceFault("table-syntax", *_said(str(error)), line)
                ahead.extend(reversed(taken[1:]))
                del taken[1:]
                # What the parser has of the row is forgotten with it.
                reader = csv.reader(lines(), delimiter=delimiter, strict=True)
            if cells is None:
                break
            broken = fault_of(stream) if not ahead else None
            if broken is not None and not taken[-1].endswith("\n"):
                break  # cut off where the stream was: no fault of its own
            yield Row("".join(taken), line, cells, delimiter, fault)
            line += len(taken)
            taken.clear()
            first = False
        if broken := fault_of(stream):
            broken.line = line
            raise broken


def _said(error: str) -> tuple[str, str]:
    """Message and fix for what the parser says."""
    if "expected after" in error:
        return "a quotation mark within a quoted cell", 'write it twice ("")'
    if "unexpected end of data" in error or "field larger" in error:
        return "a cell is not closed: its quotation mark has no second", 'close the cell with "'
    if "new-line character" in error:
        return "a carriage return within a cell that is not quoted", "end lines with a line feed"
    return f"not CSV: {error}", "write the row anew"


def _check_header(header: Row, columns: Mapping[str, str] | None) -> Iterator[SourceFault]:
    """Yields faults that the rows can be read with all the same, and raises the others."""
    names = header.cells
    if header.fault is not None:
        raise header.fault
    if not names:
        raise SourceFault("table-syntax", "the first line is blank", "write the header there")
    for number, (name, count) in enumerate(Counter(names).items()):
        if not name.strip():
            raise SourceFault(
                "table-syntax",
                "a column has no name",
                "name every column in the first line",
                *header.place(number),
            )
        if count > 1:
            again = names.index(name, names.index(name) + 1)
            message = f"two columns have the name {quoted(name)}"
            raise SourceFault("table-syntax", message, "name each column once", *header.place(again))
    if columns is None:
        return
    missing = [column for column in columns if column not in names]
    if len(names) == 1 < len(columns) and _separator(header):
        raise _no_header(header, columns)
    readable = not missing
    faults: list[SourceFault] = []
    for number, name in enumerate(names):
        if name not in columns:
            meant = nearest(name, missing)
            missing = [column for column in missing if column != meant]
            fix = f"write `{meant}`" if meant else f"delete it; the columns are {', '.join(columns)}"
            faults.append(
                SourceFault("unknown-field", f"unknown column {quoted(name)}", fix, *header.place(number))
            )
    if len(missing) == len(columns):
        raise _no_header(header, columns)
    faults += [
        SourceFault("missing-field", f"there is no column `{column}`", f"add `{column}`", header.line)
        for column in missing
    ]
    yield from faults if readable else faults[:-1]
    if not readable:
        raise faults[-1]


def _no_header(header: Row, columns: Mapping[str, str]) -> SourceFault:
    message = f"the first line is no header: none of its cells is one of {', '.join(columns)}"
    fix = f"write {header.delimiter.join(columns)} before the rows"
    if len(header.cells) == 1 and (other := _separator(header)):
        fix = f"separate cells by {'tabs' if header.delimiter == chr(9) else 'commas'}, not by {other!r}"
    return SourceFault("table-syntax", message, fix, header.line)


def _separator(header: Row) -> str | None:
    """What else seems to separate the cells."""
    return next((each for each in ";\t,|" if each != header.delimiter and each in header.text), None)


def _uneven(row: Row, need: int) -> SourceFault:
    have = len(row.cells)
    message = f"the row has {have} cell{'s' * (have != 1)}, the header {need}"
    fix = "put in the cells that are missing"
    if have > need:
        fix = "delete the cells after the last column; a cell with the separator in it stands in quotes"
    return SourceFault("table-syntax", message, fix, *row.place(need if have > need else have))


def _value(cell: str, kind: str | None) -> str:
    """The JSON value of a cell; as text where it is none of its column's type, so that the reader tells of it."""
    if kind is None or kind == "string":
        return _string(cell)
    if not cell:
        return "null"
    if kind in _NUMBERS and _NUMBERS[kind].fullmatch(cell):
        return cell
    if kind == "boolean" and cell.lower() in {"true", "false"}:
        return cell.lower()  # spreadsheets write TRUE
    if kind in {"list[string]", "messages", "json"}:
        try:
            msgspec.json.decode(cell)
        except (ValueError, RecursionError):
            return _string(cell)
        return cell
    return _string(cell)


class _Cursor:
    """Where in a table the last cell was looked up."""

    def __init__(self, table: Table) -> None:
        self._rows = rows_of(table.content, table.delimiter)
        header = next(self._rows, None)
        self._names = header.cells if header is not None else []
        self._row = header
        self.line = 0

    def column(self, line: int, path: str) -> int:
        self.line = line
        while self._row is not None and self._row.line < line:
            with suppress(SourceFault):  # told by the blocks
                self._row = next(self._rows, None)
        name = field_of(path)
        if self._row is None or self._row.line != line or name not in self._names:
            return 0
        at_line, column = self._row.place(self._names.index(name))
        return column if at_line == line else 0
