"""Texts to typed lines at the speed of parsing: a batch is taken whole, and only what is in doubt is looked at twice.

msgspec decodes each text by the line's type. Two things it takes too easily: a key that stands twice (it keeps the
last value) and a text of nothing but spaces. Both are ruled out for whole batches by rules that can only err on the
safe side; a text that they leave in doubt goes to `explain`, as one that msgspec refuses does.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import compress, count, repeat
from typing import Any

import msgspec
from msgspec import inspect

REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Acceptor:
    """Decodes texts as one type of record or line.

    ``flat``: every field is a text and is there; then a look at the fields takes the place of looking at a line.
    """

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.decode = msgspec.json.Decoder(type_).decode
        self._encode = msgspec.json.Encoder().encode
        info = inspect.type_info(type_)
        fields = info.fields if isinstance(info, inspect.StructType) else ()
        self.flat = bool(fields) and all(
            field.required and isinstance(field.type, inspect.StrType) for field in fields
        )
        self._may_be_empty = any(not getattr(field.type, "min_length", 0) for field in fields)
        self._texts = [operator.attrgetter(field.name) for field in fields] if self.flat else []
        # {"a":"","b":""}: what a line has beside its texts at least, and what a doubled key adds at least
        # (its value is not empty: the type sees to that, or the text is empty and in doubt anyway).
        keys = [len(field.encode_name.encode()) for field in fields]
        self._bare = 1 + sum(key + 6 for key in keys)
        self._doubled = min(keys, default=0) + 6
        self._quotes = 4 * len(keys)

    def accept(self, texts: Sequence[bytes]) -> list[Any]:
        """The decoded texts in their order; None where one is refused."""
        try:
            return list(map(self.decode, texts))
        except REFUSALS:
            return [self._decoded(text) for text in texts]

    def in_doubt(self, texts: Sequence[bytes], lines: Sequence[Any]) -> list[int]:
        """Which of the accepted texts might have a doubled key or, in a flat type, a text that says nothing."""
        return self._flat_doubts(texts, lines) if self.flat else self._doubts(texts, lines)

    def _decoded(self, text: bytes) -> Any:
        try:
            return self.decode(text)
        except REFUSALS:
            return None

    def _flat_doubts(self, texts: Sequence[bytes], lines: Sequence[Any]) -> list[int]:
        # All of this goes over every row: `map` with functions of C takes half as long as comprehensions.
        columns = [list(map(get, lines)) for get in self._texts]
        doubts: set[int] = set()
        for column in columns:
            if any(map(str.isspace, column)) or (self._may_be_empty and "" in column):
                doubts.update(row for row, text in enumerate(column) if not text or text.isspace())
        # A text in characters is never longer than in bytes: what is left holds structure and escapes at least.
        rest: Iterable[int] = map(len, texts)
        for column in columns:
            rest = map(operator.sub, rest, map(len, column))
        for row in compress(count(), map(operator.lt, repeat(self._bare + self._doubled - 1), rest)):
            raw = texts[row]
            if (quotes := raw.count(b'"')) != self._quotes:
                # Quotes within texts account for the rest, unless an escape hides some: \u0022.
                within = sum([column[row].count('"') for column in columns])
                if quotes != self._quotes + within or b"u0022" in raw:
                    doubts.add(row)
        return sorted(doubts)

    def _doubts(self, texts: Sequence[bytes], lines: Sequence[Any]) -> list[int]:
        return [
            row
            for row, (raw, line) in enumerate(zip(texts, lines, strict=True))
            if raw.count(b'"') != self._encode(line).count(b'"') or (92 in raw and b"u0022" in raw)
        ]
