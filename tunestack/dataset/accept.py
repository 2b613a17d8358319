"""Texts to typed lines at the speed of parsing: a batch is taken whole, and only what is in doubt is looked at twice.

msgspec decodes each text by the line's type. Two things it takes too easily: a key that stands twice (it keeps the
last value) and a text of nothing but spaces. Both are ruled out for whole batches by rules that can only err on the
safe side; a text that they leave in doubt goes to `explain`, as one that msgspec refuses does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, compress, count, repeat
from typing import Any, TypeAlias

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
        self._structure = quotes_of(type_)
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
                # Quotes within texts are escaped, and bytes are counted faster than characters. Where a backslash
                # is escaped, too, only the texts tell whose the quote after it is (and \u0022 hides some).
                within = raw.count(b'\\"')
                if b"\\\\" in raw:
                    within = sum([column[row].count('"') for column in columns]) - raw.count(b"u0022")
                if quotes != self._quotes + within:
                    doubts.add(row)
        return sorted(doubts)

    def _doubts(self, texts: Sequence[bytes], lines: Sequence[Any]) -> list[int]:
        # A line has at least the quotes of its structure; one that has no more holds no key twice.
        least = self._structure(lines)
        counted = list(map(bytes.count, texts, repeat(b'"')))
        return [
            row
            for row in compress(count(), map(operator.ne, counted, least))
            if counted[row] != self._encode(lines[row]).count(b'"')
            or (92 in texts[row] and b"u0022" in texts[row])
        ]


_Quotes: TypeAlias = Callable[[Sequence[Any]], list[int]]


def quotes_of(type_: Any) -> _Quotes:
    """A function from values of the type to how many quotes the JSON of each has at least, all texts being empty.

    It goes through the values a level at a time and not value by value, and only where their number can vary: that
    is several times as fast.
    """
    quotes = _quotes(inspect.type_info(type_))
    return quotes if callable(quotes) else lambda values: [quotes] * len(values)


def _quotes(info: inspect.Type) -> int | _Quotes:
    """A number where it is the same for all values of the type."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.StructType):
        return _of_structs(info)
    if isinstance(info, inspect.ListType):
        return _of_lists(_quotes(info.item_type))
    text = isinstance(info, inspect.StrType) or (
        isinstance(info, inspect.LiteralType) and all(isinstance(value, str) for value in info.values)
    )
    return 2 if text else 0


def _of_structs(info: inspect.StructType) -> int | _Quotes:
    always = 0
    fields: list[tuple[Callable[[Any], Any], int | _Quotes, bool]] = []
    for field in info.fields:
        quotes = _quotes(field.type)
        if field.required and not callable(quotes):
            always += 2 + quotes
        # A field with a value of its own where it is left out may or may not be there: it is not counted. Without
        # one (as msgspec tells of UNSET) it was there if it has a value.
        elif field.required or field.default is field.default_factory is msgspec.NODEFAULT:
            fields.append((operator.attrgetter(field.name), quotes, field.required))
            always += 2 * field.required
    if not fields:
        return always

    def of_structs(values: Sequence[Any]) -> list[int]:
        total: Iterable[int] = repeat(always, len(values))
        for get, quotes, required in fields:
            column = list(map(get, values))
            if not required:
                there = [value is not msgspec.UNSET for value in column]
                if not any(there):
                    continue
                of_there = quotes(list(compress(column, there))) if callable(quotes) else repeat(quotes)
                found = iter(of_there)
                total = map(operator.add, total, [next(found) + 2 if each else 0 for each in there])
            elif callable(quotes):
                total = map(operator.add, total, quotes(column))
        return list(total)

    return of_structs


def _of_lists(of_items: int | _Quotes) -> _Quotes:
    if not callable(of_items):
        return lambda values: list(map(operator.mul, map(len, values), repeat(of_items)))

    def of_lists(values: Sequence[Any]) -> list[int]:
        sums = list(accumulate(of_items(list(chain.from_iterable(values))), initial=0))
        at = list(map(sums.__getitem__, accumulate(map(len, values), initial=0)))
        return list(map(operator.sub, at[1:], at))

    return of_lists
