"""Lines broken in the ways in which lines are broken, at random: what readers are held to each other with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

# What parsers disagree about: escapes, surrogates, spaces that are none in JSON, broken UTF-8, numbers, structure.
TOKENS = (
    *(
        rb'"',
        rb"\"",
        rb"\\",
        rb"\/",
        rb"\n",
        rb"\u0022",
        rb"\u0000",
        rb"\u00e9",
        rb"\u2028",
        rb"\x41",
        rb"\u12",
    ),
    *(rb"\ud800", rb"\udc00", rb"\ud83d\ude00", rb"\ud800\ud800", rb"\udc00\ud800"),
    *(
        b"\x00",
        b"\x01",
        b"\x7f",
        b"\x1f",
        b"\t",
        b"\r",
        b"\x0b",
        b" ",
        b"\xc2\xa0",
        b"\xe3\x80\x80",
        b"\xe2\x80\xa8",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc0\x80",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x98\x80",
        b"\xc2\x85",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"-0",
        b"1e999",
        b"NaN",
        b"01",
        b"{}",
        b"[[[[[[[[",
    ),
    *(b'"input_text"', b'"output_text"', b',"input_text":"again"', b',"note":1', b'"":""', b"//", b"#"),
)
# Texts of which somebody could say that they say nothing, and others that say little.
TEXTS = (
    "",
    " ",
    "\t\n",
    "\u00a0",
    "\u3000\u2003",
    "\u200b",
    "\ufeff",
    "\u0085",
    "\x1c",
    "\x00",
    "0",
    "null",
    "é",
    "日本",
    "😀",
    '"',
    "\\",
)


def lines(seed: int, count: int) -> list[bytes]:
    """``count`` lines without line feeds within, most of them of `input_text` and `output_text`, most broken."""
    choose = random.Random(seed)
    return [mutated(choose, supervised(choose)).replace(b"\n", b" ") for _ in range(count)]


def supervised(choose: random.Random) -> bytes:
    """A line that is right but for what its texts may be."""
    record = {"input_text": text(choose), "output_text": text(choose)}
    if choose.random() < 0.2:
        record = dict(reversed(record.items()))
    separators = choose.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
    return json.dumps(record, ensure_ascii=choose.random() < 0.5, separators=separators).encode()


def text(choose: random.Random) -> str:
    """Mostly words."""
    if choose.random() < 0.15:
        return choose.choice(TEXTS)
    return " ".join(
        choose.choice(("sun", "rain", "für", "雨", "🚀", 'a "b"', "c\\d"))
        for _ in range(choose.randint(1, 12))
    )


def mutated(choose: random.Random, line: bytes) -> bytes:
    """A line with none to three things done to it."""
    for _ in range(choose.choice((0, 1, 1, 1, 2, 3))):
        line = choose.choice(MUTATIONS)(choose, line)
    return line


def _insert(choose: random.Random, line: bytes) -> bytes:
    at = choose.randint(0, len(line))
    return line[:at] + choose.choice(TOKENS) + line[at:]


def _replace(choose: random.Random, line: bytes) -> bytes:
    at = choose.randint(0, len(line))
    return line[:at] + choose.choice(TOKENS) + line[at + choose.randint(1, 4) :]


def _delete(choose: random.Random, line: bytes) -> bytes:
    at = choose.randint(0, len(line))
    return line[:at] + line[at + choose.choice((1, 1, 1, 2, 8)) :]


def _flip(choose: random.Random, line: bytes) -> bytes:
    if not line:
        return line
    at = choose.randrange(len(line))
    return line[:at] + bytes([line[at] ^ 1 << choose.randrange(8)]) + line[at + 1 :]


def _cut(choose: random.Random, line: bytes) -> bytes:
    return line[: choose.randint(0, len(line))]


def _double(choose: random.Random, line: bytes) -> bytes:
    start = choose.randint(0, len(line))
    end = choose.randint(start, len(line))
    return line[:end] + line[start:]


def _escape(choose: random.Random, line: bytes) -> bytes:
    """One ASCII character as an escape, wherever it stands: in a key, in a text, or where none may be."""
    if not line:
        return line
    at = choose.randrange(len(line))
    return line[:at] + b"\\u%04x" % line[at] + line[at + 1 :] if line[at] < 0x80 else line


def _surround(choose: random.Random, line: bytes) -> bytes:
    before, after = (
        choose.choice((b"", b" ", b"\t", b"\r", b"\xef\xbb\xbf", b"[", b"{}", b",")) for _ in range(2)
    )
    return before + line + after


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_insert, _insert, _replace, _replace, _delete, _flip, _cut, _double, _escape, _surround),
)
