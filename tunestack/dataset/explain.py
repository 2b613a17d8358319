"""Why a line is no good record: the slow path, for lines that the fast one refused. Every defect of the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tunestack.dataset.findings import Finding, quoted
from tunestack.dataset.positions import NotANumber, Positions, find_positions, member_path
from tunestack.spec.suggestion import nearest

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}

# What the standard library's parser says, for people: message and fix by the start of its own words.
_SYNTAX = {
    "Extra data": ("there is more after the record", "one record a line: put what follows on its own line"),
    "Unterminated string": ("a text is not closed", 'close it with "'),
    "Invalid control character": (
        "a raw control character stands in a text",
        r"write it as an escape: \n, \t",
    ),
    "Invalid \\escape": ("a backslash that escapes nothing", r"write \\ for a backslash"),
    "Invalid \\uXXXX escape": ("an escape with too few digits", "write four hexadecimal digits after \\u"),
    "Expecting ',' delimiter": (
        "a comma is missing, or the record ends too early",
        "put a comma, or close it",
    ),
    "Expecting ':' delimiter": ("a colon is missing after the key", "write a colon"),
    "Expecting property name": (
        "a key in double quotes is missing",
        'write keys as "key"; no comma after the last',
    ),
    "Illegal trailing comma": ("a comma after the last value", "delete the comma"),
    "Expecting value": ("a value is missing", 'write a value; text stands in double quotes ("…")'),
}


class Defect(NamedTuple):
    """A finding without its file and line."""

    column: int
    code: str
    path: str
    message: str
    fix: str
    excerpt: str = ""

    def finding(self, file: str, line: int) -> Finding:
        """The finding for the line where this was seen."""
        return Finding(file, line, self.column, self.code, self.path, self.message, self.fix, self.excerpt)


def not_json_lines(head: bytes) -> Defect | None:
    """What a file is that is no JSON Lines as a whole, told by its first bytes; None where it may be."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or (
        len(head) > 3 and 0 in head[:2] and head[:4].count(0) >= 2
    ):
        return Defect(1, "encoding", "", "the file is UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8")
    if head.startswith(b"\x1f\x8b"):
        return Defect(1, "not-json-lines", "", "the file is compressed with gzip", "unpack it with gunzip")
    if head.startswith(b"PAR1"):
        return Defect(1, "not-json-lines", "", "the file is Parquet", "export it as JSON Lines")
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \t")
    if start.startswith(b"["):
        return Defect(1, "not-json-lines", "$", "the file is a JSON list", "one record a line: jq -c '.[]'")
    if re.match(rb"\{[ \t]*\r?\n", start):
        return Defect(
            1, "not-json-lines", "$", "a record goes over several lines", "one record a line: jq -c ."
        )
    return None


def explain(raw: bytes, columns: Mapping[str, str], refused: bool = True) -> list[Defect]:
    """Every defect of one line (with its line end, if it has one), in the order of the line.

    ``columns`` maps the name of each column to `string` or `list[string]`. With ``refused`` the line is known to
    be bad, and the answer is never empty.
    """
    defects = sorted(_defects(raw, columns))
    if refused and not defects:
        defects = [Defect(1, "json-syntax", "$", "the record cannot be decoded", "write the record anew")]
    return defects


def column_of(raw: bytes, path: str) -> tuple[int, str]:
    """Column and excerpt of the value at ``path`` in a good line; of the line's start where it has none."""
    text = raw.decode("utf-8", "replace")
    at = find_positions(text).values.get(path, 0)
    return at + 1, _excerpt(text, at)


def _defects(raw: bytes, columns: Mapping[str, str]) -> Iterator[Defect]:
    offset = 0
    if raw.startswith(_BYTE_ORDER_MARK):
        yield Defect(
            1, "byte-order-mark", "", "the line begins with a byte order mark", "save as UTF-8 without BOM"
        )
        raw, offset = raw[3:], 1
    for defect in _defects_of_text(raw, columns):
        yield defect._replace(column=defect.column + offset)


def _defects_of_text(raw: bytes, columns: Mapping[str, str]) -> Iterator[Defect]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        excerpt = _excerpt(raw.decode("utf-8", "replace"), len(before))
        yield Defect(len(before) + 1, "encoding", "", message, "save the file as UTF-8", excerpt)
        return
    if not text.strip():
        yield Defect(1, "blank-line", "", "the line is blank", "delete the line")
        return
    try:
        # Numbers need not be understood, only passed over, however long they are.
        json.loads(text, parse_int=float)
        positions = find_positions(text)
    except json.JSONDecodeError as error:
        yield _syntax_defect(text, error, whole=raw.endswith(b"\n"))
        return
    except RecursionError:
        yield Defect(1, "json-syntax", "$", "nested too deeply", "a record is flat: one object of columns")
        return
    yield from _position_defects(text, positions)
    yield from _shape_defects(text, positions, columns)


def _syntax_defect(text: str, error: json.JSONDecodeError, whole: bool) -> Defect:
    at = min(error.pos, len(text.rstrip("\r\n")))
    message, fix = next(
        (said for start, said in _SYNTAX.items() if error.msg.startswith(start)),
        (error.msg.lower(), "write JSON"),
    )
    if text[at : at + 1] == "'":
        message, fix = "a single quote where JSON wants a double one", "quote with \", not with '"
    closed = text.rstrip().endswith("}") and not error.msg.startswith("Unterminated string")
    if not whole and not closed:
        message = f"the file ends within a record: {message}"
        return Defect(at + 1, "truncated-line", "$", message, "write the file anew", _excerpt(text, at))
    return Defect(at + 1, "json-syntax", "$", f"not JSON: {message}", fix, _excerpt(text, at))


def _position_defects(text: str, positions: Positions) -> Iterator[Defect]:
    for at, path, constant in positions.not_numbers:
        yield Defect(
            at + 1, "json-syntax", path, f"not JSON: {constant.name}", "write a text", _excerpt(text, at)
        )
    for at, path, key, first in positions.doubled_keys:
        message = f"the key {quoted(key)} stands twice; the first is in column {first + 1}"
        yield Defect(at + 1, "duplicate-key", path, message, "delete one of the two", _excerpt(text, at))
    for at, path in positions.half_characters:
        message = f"{text[at : at + 6]} is half of a character"
        fix = "write the character itself, or both halves of its escape"
        yield Defect(at + 1, "lone-surrogate", path, message, fix, _excerpt(text, at))


def _shape_defects(text: str, positions: Positions, columns: Mapping[str, str]) -> Iterator[Defect]:
    record, values = positions.value, positions.values

    def defect(at: int, code: str, path: str, message: str, fix: str) -> Defect:
        return Defect(at + 1, code, path, message, fix, _excerpt(text, at))

    if not isinstance(record, dict):
        need = ", ".join(columns)
        message = f"the record is {_kind(record)}, not an object"
        yield defect(values["$"], "not-an-object", "$", message, f"write an object with the fields {need}")
        return
    missing = {column for column in columns if column not in record}
    for key in record:
        if key not in columns:
            path = member_path("$", key)
            meant = nearest(key, missing)
            missing.discard(meant or "")
            fix = f"write `{meant}`" if meant else f"delete it; the fields are {', '.join(columns)}"
            yield defect(positions.keys[path], "unknown-field", path, f"unknown field {quoted(key)}", fix)
    for column, kind in columns.items():
        path = f"$.{column}"
        if column in missing:
            yield defect(
                values["$"], "missing-field", path, f"the field `{column}` is missing", f"add `{column}`"
            )
        elif column not in record:
            continue  # it was misspelt, and has been told of
        elif kind == "string":
            yield from _text_defects(record[column], path, values, defect)
        elif not isinstance(record[column], list):
            message = f"`{column}` is {_kind(record[column])}, not a list"
            yield defect(values[path], "wrong-type", path, message, "write a list of texts")
        elif not record[column]:
            yield defect(
                values[path], "empty-text", path, f"`{column}` is an empty list", "give at least one text"
            )
        else:
            for number, item in enumerate(record[column]):
                yield from _text_defects(item, f"{path}[{number}]", values, defect)


def _text_defects(value: Any, path: str, values: Mapping[str, int], defect: Any) -> Iterator[Defect]:
    name = path.removeprefix("$.")
    if isinstance(value, NotANumber):
        return  # has been told of
    if not isinstance(value, str):
        message = f"`{name}` is {_kind(value)}, not text"
        fix = 'put it in double quotes ("…")' if isinstance(value, bool | int | float) else "write a text"
        yield defect(values[path], "wrong-type", path, message, fix)
    elif not value:
        yield defect(
            values[path], "empty-text", path, f"`{name}` is empty", "write the text or delete the row"
        )
    elif value.isspace():
        message = f"`{name}` is nothing but spaces"
        yield defect(values[path], "empty-text", path, message, "write the text or delete the row")


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), "not JSON")


def _excerpt(text: str, at: int, before: int = 12, after: int = 36) -> str:
    """The text around a position, on one line and short."""
    text = text.rstrip("\r\n")
    start, end = max(0, at - before), min(len(text), at + after)
    cut = text[start:end]
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut
    )
    return ("…" if start else "") + shown + ("…" if end < len(text) else "")
