"""A JSON list: its elements as records, each at its exact line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from tunestack.dataset.findings import quoted
from tunestack.dataset.sources.content import fault_of
from tunestack.dataset.sources.detection import BYTE_ORDER_MARK, refuse_other_than_utf_8
from tunestack.dataset.sources.sequential import Record, Sequential
from tunestack.dataset.sources.source import SourceFault

# A list is in memory as a whole, because it is known to be one only at its last bracket.
MOST_BYTES = 256 << 20

_SPACE = re.compile(rb"[ \t\r\n]*")
_SPACE_AND_COMMA = re.compile(rb"[ \t\r\n,]*")


class JsonList(Sequential):
    """One list; what its elements are is not looked at here."""

    def records(self) -> Iterator[Record | SourceFault]:
        """The elements; of a list that is broken those before the break."""
        with self.content.open() as stream:
            data = stream.read(MOST_BYTES + 1)
            broken = fault_of(stream)
        refuse_other_than_utf_8(data[:4])
        if len(data) > MOST_BYTES:
            message = f"a JSON list of more than {MOST_BYTES >> 20} MiB does not fit the memory"
            raise SourceFault("not-json-lines", message, "one record a line: jq -c '.[]'")
        mark = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
        if mark:
            yield SourceFault(
                "byte-order-mark", "the file begins with a byte order mark", "save as UTF-8 without BOM"
            )
        place = _Place(data)
        try:
            elements = msgspec.json.decode(memoryview(data)[mark:], type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            yield from _up_to_the_break(data, mark, place, broken)
            return
        at = _SPACE.match(data, mark).end() + 1  # type: ignore[union-attr]  # nothing is a match, too
        for element in elements:
            at = _SPACE_AND_COMMA.match(data, at).end()  # type: ignore[union-attr]
            yield Record(bytes(element), *place.of(at))
            at += len(memoryview(element))
        if broken is not None:
            broken.line, broken.column = place.of(len(data))
            raise broken


class _Place:
    """Line and column of byte offsets that only grow, so that a list on one line costs no more than another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at, self._line, self._column = 0, 1, 1

    def of(self, at: int) -> tuple[int, int]:
        feeds = self._data.count(b"\n", self._at, at)
        if feeds:
            self._line += feeds
            self._at, self._column = self._data.rindex(b"\n", self._at, at) + 1, 1
        self._column += len(self._data[self._at : at].decode("utf-8", "replace"))
        self._at = at
        return self._line, self._column


def _up_to_the_break(
    data: bytes, mark: int, place: _Place, broken: SourceFault | None
) -> Iterator[Record | SourceFault]:
    """The elements before the place where a list is broken, which is then raised.

    Bytes are taken for Latin-1, so that the offsets of the standard library's parser are offsets of bytes.
    """
    text = data.decode("latin-1")
    decoder = json.JSONDecoder(parse_int=float)
    at = _past_space(text, _past_space(text, mark) + 1)

    def fault(at: int, message: str, fix: str, code: str = "json-syntax") -> SourceFault:
        if broken is not None:
            broken.line, broken.column = place.of(len(data))
            return broken
        return SourceFault(code, message, fix, *place.of(at))

    while text[at : at + 1] != "]":
        start = at
        try:
            _, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
                raise fault(
                    len(data.rstrip()),
                    "the file ends within the list",
                    "write the file anew",
                    "truncated-line",
                ) from None
            found = quoted(data[error.pos : error.pos + 24].decode("utf-8", "replace"))
            message = f"the list is no JSON from here on: {error.msg.lower()}, found {found}"
            raise fault(error.pos, message, "mend it; the records after it were not read") from None
        except RecursionError:
            raise fault(start, "nested too deeply", "a record is flat: one object of columns") from None
        yield Record(data[start:end], *place.of(start))
        at = _past_space(text, end)
        if text[at : at + 1] == "]":
            break
        if at >= len(text):
            raise fault(
                len(data.rstrip()), "the file ends within the list", "write the file anew", "truncated-line"
            )
        if text[at] != ",":
            raise fault(at, "a comma is missing between two records", "put a comma")
        comma, at = at, _past_space(text, at + 1)
        if text[at : at + 1] == "]":
            raise fault(comma, "a comma after the last record", "delete the comma")
    end = _past_space(text, at + 1)
    if end < len(text):
        raise fault(end, "there is more after the list", "one list, or one record a line: jq -c '.[]'")
    # msgspec refused what this parser takes, such as NaN: the records say it themselves.
    if broken is not None:
        raise fault(len(data), "", "")


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
