"""A unified diff of a file of which it is known which lines change.

By hand because difflib compares whole files, in memory and in quadratic time; here nothing is left to compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

_CONTEXT = 3
_NO_LINE_FEED = b"\n\\ No newline at end of file\n"


def unified_diff(lines: Iterable[bytes], changes: Mapping[int, Sequence[bytes]], name: str) -> bytes:
    """What `patch -p1` and `git apply` take; empty without changes.

    ``lines``: all of the file, with their ends. ``changes``: by the number of a line, from 1, the lines that
    stand there instead, none to delete it. ``name``: relative to where the patch will be applied.
    """
    diff: list[bytes] = []
    shift = at = 0
    rest = iter(lines)
    for group in _groups(sorted(changes)):
        first, last = max(1, group[0] - _CONTEXT), group[-1] + _CONTEXT
        next(islice(rest, first - at - 1, first - at - 1), None)  # passes over the lines between
        old = list(islice(rest, last - first + 1))
        at = first + len(old) - 1
        body = list(_body(old, first, changes))
        new = sum(not line.startswith(b"-") for line in body)
        spans = _span(first, len(old)), _span(first + shift, new)
        diff.append(b"@@ -%s +%s @@\n" % spans)
        diff += [line if line.endswith(b"\n") else line + _NO_LINE_FEED for line in body]
        shift += new - len(old)
    if not diff:
        return b""
    return b"".join([f"--- {_label('a', name)}\n+++ {_label('b', name)}\n".encode(), *diff])


def _groups(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of changed lines whose context touches."""
    group: list[int] = []
    for number in numbers:
        if group and number - group[-1] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _body(old: Sequence[bytes], first: int, changes: Mapping[int, Sequence[bytes]]) -> Iterator[bytes]:
    added: list[bytes] = []  # all that takes the place of lines that are deleted in a row
    for number, line in enumerate(old, first):
        if number in changes:
            yield b"-" + line
            added += [b"+" + each for each in changes[number]]
        else:
            yield from added
            added = []
            yield b" " + line
    yield from added


def _span(first: int, count: int) -> bytes:
    """Of no lines the number is that of the line before."""
    return b"%d,%d" % (first if count else first - 1, count)


def _label(side: str, name: str) -> str:
    """The file's name as git writes it: quoted where it must be, with a tab to end one that has spaces."""
    path = f"{side}/{name}"
    if any(each in '"\\' or not each.isprintable() for each in path):
        quoted = "".join(
            f"\\{byte:03o}" if byte < 32 or byte > 126 else "\\" + chr(byte) if byte in b'"\\' else chr(byte)
            for byte in path.encode("utf-8", "surrogateescape")
        )
        return f'"{quoted}"'
    return path + "\t" * (" " in path)
