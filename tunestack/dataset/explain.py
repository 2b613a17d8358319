"""Why a line is no good record: the slow path, for lines that the fast one refused. Every defect of the line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tunestack.dataset.findings import Finding, counted, quoted
from tunestack.dataset.formats.format import Violation

if TYPE_CHECKING:
    import json

    from tunestack.dataset.positions import Positions

_FIRST_MEMBER = re.compile(r'[ \t\r\n]*\{[ \t\r\n]*"([A-Za-z_]\w*)"[ \t\r\n]*:[ \t\r\n]*')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
    """A finding without its file and line. ``offset`` counts the characters of the record's text from 0."""

    offset: int
    code: str
    path: str
    message: str
    fix: str
    excerpt: str = ""

    def finding(self, file: str, line: int, column: int | None = None) -> Finding:
        """The finding at ``line`` and ``column`` (see `place`); of a record that is a line, the line is enough."""
        column = self.offset + 1 if column is None else column
        return Finding(file, line, column, self.code, self.path, self.message, self.fix, self.excerpt)


def explain(
    raw: bytes,
    type_: Any,
    refused: bool = True,
    violations: Callable[[Any], Iterable[Violation]] | None = None,
) -> list[Defect]:
    """Every defect of the JSON text of one record (with its line end, if it has one), in the order of the text.

    ``type_`` is what msgspec was asked to decode it as. ``violations`` gives the rules beyond the type that a
    decoded record breaks; they are told too where nothing worse than fields too many or empty texts keeps it from
    being decoded.
    With ``refused`` the text is known to be bad, and the answer is never empty.
    """
    defects: dict[tuple[int, str, str], Defect] = {}
    for defect in _defects(raw, type_, violations):
        defects.setdefault((defect.offset, defect.code, defect.path), defect)
    if refused and not defects:
        return [Defect(0, "json-syntax", "$", "the record cannot be decoded", "write the record anew")]
    return sorted(defects.values())


def place(raw: bytes, offset: int, line: int = 1, column: int = 1) -> tuple[int, int]:
    """Line and column of the character ``offset`` of a record's text that begins at ``line`` and ``column``."""
    before = raw.decode("utf-8", "replace")[:offset]
    last = before.rfind("\n")
    return (line, column + offset) if last < 0 else (line + before.count("\n"), offset - last)


def offset_of(raw: bytes, path: str) -> tuple[int, str]:
    """Offset and excerpt of the value at ``path`` in a good record; of what holds it, where there is none."""
    text = raw.decode("utf-8", "replace")
    # Most often it is the first member, and the rest of the line need not be walked through.
    first = _FIRST_MEMBER.match(text)
    if first is not None and path == f"$.{first[1]}":
        at = first.end()
    else:
        from tunestack.dataset.positions import find_positions

        at = _nearest_offset(find_positions(text), path)
    return at, _excerpt(text, at)


def _defects(raw: bytes, type_: Any, violations: Any) -> Iterator[Defect]:
    offset = 0
    if raw.startswith(_BYTE_ORDER_MARK):
        yield Defect(
            0, "byte-order-mark", "", "the line begins with a byte order mark", "save as UTF-8 without BOM"
        )
        raw, offset = raw[3:], 1
    for defect in _defects_of_text(raw, type_, violations):
        yield defect._replace(offset=defect.offset + offset)


def _defects_of_text(raw: bytes, type_: Any, violations: Any) -> Iterator[Defect]:
    import json

    from tunestack.dataset.misfits import as_type, misfits
    from tunestack.dataset.positions import find_positions

    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        excerpt = _excerpt(raw.decode("utf-8", "replace"), len(before))
        yield Defect(len(before), "encoding", "", message, "save the file as UTF-8", excerpt)
        return
    if not text.strip():
        yield Defect(0, "blank-line", "", "the line is blank", "delete the line")
        return
    try:
        # Numbers need not be understood, only passed over, however long they are.
        json.loads(text, parse_int=float)
        positions = find_positions(text)
    except json.JSONDecodeError as error:
        yield _syntax_defect(text, error, whole=raw.endswith(b"\n"))
        return
    except RecursionError:
        yield Defect(0, "json-syntax", "$", "nested too deeply", "write the record as the format has it")
        return
    yield from _position_defects(text, positions)
    for misfit in misfits(type_, positions):
        yield Defect(*misfit, _excerpt(text, misfit.offset))
    if violations is not None:
        # Not of the type, or half of a character where the type names the texts that may stand there.
        with contextlib.suppress(msgspec.ValidationError, UnicodeEncodeError):
            for violation in violations(as_type(positions.value, type_)):
                path, code, message, fix = violation
                at = _nearest_offset(positions, path)
                if code == "unknown-field":
                    at = positions.keys.get(path, at)
                yield Defect(at, code, path, message, fix, _excerpt(text, at))


def _nearest_offset(positions: Positions, path: str) -> int:
    while path not in positions.values and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return positions.values.get(path or "$", 0)


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
        return Defect(at, "truncated-line", "$", message, "write the file anew", _excerpt(text, at))
    return Defect(at, "json-syntax", "$", f"not JSON: {message}", fix, _excerpt(text, at))


def _position_defects(text: str, positions: Positions) -> Iterator[Defect]:
    for at, path, constant in positions.not_numbers:
        yield Defect(
            at, "json-syntax", path, f"not JSON: {constant.name}", "write a text", _excerpt(text, at)
        )
    for at, path, key, first in positions.doubled_keys:
        message = (
            f"the key {quoted(key)} stands twice; the first is {counted(at - first, 'character')} before"
        )
        yield Defect(at, "duplicate-key", path, message, "delete one of the two", _excerpt(text, at))
    for at, path in positions.half_characters:
        message = f"{text[at : at + 6]} is half of a character"
        fix = "write the character itself, or both halves of its escape"
        yield Defect(at, "lone-surrogate", path, message, fix, _excerpt(text, at))


def _excerpt(text: str, at: int, before: int = 12, after: int = 36) -> str:
    """The text around a position, on one line and short."""
    text = text.rstrip("\r\n")
    start, end = max(0, at - before), min(len(text), at + after)
    cut = text[start:end]
    if not cut.isprintable():
        cut = "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut
        )
    return ("…" if start else "") + cut + ("…" if end < len(text) else "")
