"""Where everything stands in a line of JSON, and what only a look at the places can tell."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")


class NotANumber(msgspec.Struct, frozen=True):
    """NaN, Infinity or -Infinity: the standard library's parser takes them, JSON has none."""

    name: str


class DoubledKey(NamedTuple):
    """A key that stood in its object before; both positions are those of the keys."""

    position: int
    path: str
    key: str
    first: int


class Positions(msgspec.Struct):
    """A parsed line. All positions count characters from 0; the root's path is `$`."""

    value: Any = None
    values: dict[str, int] = msgspec.field(default_factory=dict)  # by path
    keys: dict[str, int] = msgspec.field(default_factory=dict)  # by the path of the key's value
    doubled_keys: list[DoubledKey] = msgspec.field(default_factory=list)
    not_numbers: list[tuple[int, str, NotANumber]] = msgspec.field(default_factory=list)
    half_characters: list[tuple[int, str]] = msgspec.field(
        default_factory=list
    )  # the escapes of lone surrogates


def member_path(path: str, key: str) -> str:
    """The JSON path of an object's member."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def find_positions(text: str) -> Positions:
    """Walk JSON that is known to be valid. Raises RecursionError where it is nested too deeply.

    Written by hand because the standard library's parser tells positions of errors only. It still reads all the
    scalars; what is left to do here is the brackets.
    """
    found = Positions()
    decoder = json.JSONDecoder(parse_int=_integer, parse_constant=NotANumber)

    def past_space(at: int) -> int:
        return _SPACE.match(text, at).end()  # type: ignore[union-attr]

    def next_member(at: int) -> int:
        at = past_space(at)
        return past_space(at + 1) if text[at] == "," else at

    def walk(at: int, path: str) -> tuple[Any, int]:
        found.values[path] = at
        if text[at] == "{":
            return walk_object(past_space(at + 1), path)
        if text[at] == "[":
            return walk_list(past_space(at + 1), path)
        value, end = decoder.raw_decode(text, at)
        if isinstance(value, NotANumber):
            found.not_numbers.append((at, path, value))
        note_half_characters(at, end, path)
        return value, end

    def walk_object(at: int, path: str) -> tuple[dict[str, Any], int]:
        members: dict[str, Any] = {}
        while text[at] != "}":
            key, end = decoder.raw_decode(text, at)
            inner = member_path(path, key)
            if key in members:
                found.doubled_keys.append(DoubledKey(at, inner, key, found.keys[inner]))
            else:
                found.keys[inner] = at
                note_half_characters(at, end, path)
            colon = past_space(end)
            members[key], at = walk(past_space(colon + 1), inner)
            at = next_member(at)
        return members, at + 1

    def walk_list(at: int, path: str) -> tuple[list[Any], int]:
        items: list[Any] = []
        while text[at] != "]":
            item, at = walk(at, f"{path}[{len(items)}]")
            items.append(item)
            at = next_member(at)
        return items, at + 1

    def note_half_characters(start: int, end: int, path: str) -> None:
        if text[start] == '"' and (lone := _lone_surrogate(text, start, end)) is not None:
            found.half_characters.append((lone, path))

    found.value, _ = walk(past_space(0), "$")
    return found


def _integer(digits: str) -> int:
    """The integer; of one that no 64 bits hold, however long, just one that none hold either."""
    return int(digits) if len(digits) <= 20 else (-1 if digits.startswith("-") else 1) << 65


def _lone_surrogate(text: str, start: int, end: int) -> int | None:
    """Where the first \\uD800–\\uDFFF without its other half stands in the JSON string text[start:end]."""
    high: re.Match[str] | None = None
    for escape in _ESCAPE.finditer(text, start, end):
        code = int(escape[1], 16) if escape[1] else 0
        if 0xDC00 <= code <= 0xDFFF:
            if high is None or high.end() != escape.start():
                return high.start() if high else escape.start()
            high = None
        elif high is not None:
            return high.start()
        elif 0xD800 <= code <= 0xDBFF:
            high = escape
    return high.start() if high else None
