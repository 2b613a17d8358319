"""Texts to typed lines at the speed of parsing: a batch is taken whole, and only what is in doubt is looked at twice.

msgspec decodes each text by the line's type. Two things it takes too easily: a key that stands twice (it keeps the
last value) and a text of nothing but spaces. Both are ruled out for whole batches by rules that can only err on the
safe side; a text that they leave in doubt goes to `explain`, as one that msgspec refuses does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, chain, compress, count, repeat
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect
from stringzilla import contains, utf8_count
from stringzilla import count as count_in

from tunestack.dataset.formats.format import Violation
from tunestack.dataset.shapes import Shape, Shapes, Uniform

REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Accepted(NamedTuple):
    """A batch of texts: the line of each, None where it is refused; which of them need a closer look, refused or not.

    ``uniform``: all the lines as columns, where none is refused and they are of one shape.
    """

    lines: list[Any]
    suspects: set[int]
    uniform: Uniform | None = None


class Acceptor:
    """Decodes texts as one type of record or line.

    ``violations``: what is wrong with a line whose type is right. ``by_shape``: it follows from the line's shape, and
    from texts that say nothing.
    """

    def __init__(
        self, type_: Any, violations: Callable[[Any], Iterable[Violation]], *, by_shape: bool = False
    ) -> None:
        self.type, self.violations = type_, violations
        self._decode = msgspec.json.Decoder(type_).decode
        self._encode = msgspec.json.Encoder().encode
        self._structure = quotes_of(type_)
        self._shapes = Shapes(type_) if by_shape else None
        self._shape: Shape | None = None  # of the latest batch: most likely that of the next

    def accept(self, texts: Sequence[bytes]) -> Accepted:
        """The decoded texts."""
        if not texts:
            return Accepted([], set())
        if self._shape is None and self._shapes is not None:
            first = next(filter(None, map(self._decoded, texts)), None)
            self._shape = None if first is None else self._shapes.of(first)
        shape = self._shape
        decode = self._decode if shape is None else shape.decode
        try:
            lines = list(map(decode, texts))
        except REFUSALS:
            return self._one_by_one(texts)
        if shape is None:
            return Accepted(lines, self._suspects(texts, lines))
        uniform = Uniform(shape, shape.columns(lines))
        return Accepted(lines, self._uniform_suspects(texts, lines, uniform), uniform)

    def _one_by_one(self, texts: Sequence[bytes]) -> Accepted:
        """Those of the latest shape as columns, others by themselves."""
        shape = self._shape
        lines: list[Any] = []
        alike, others, refused = [], [], set()
        for at, text in enumerate(texts):
            line = None
            if shape is not None:
                with suppress(*REFUSALS):
                    line = shape.decode(text)
                    alike.append(at)
            if line is None:
                line = self._decoded(text)
                if line is None:
                    refused.add(at)
                else:
                    others.append(at)
            lines.append(line)
        suspects = refused
        for rows in filter(None, (alike, others)):
            texts_of, lines_of = [texts[at] for at in rows], [lines[at] for at in rows]
            if rows is alike and shape is not None:
                found = self._uniform_suspects(texts_of, lines_of, Uniform(shape, shape.columns(lines_of)))
            else:
                found = self._suspects(texts_of, lines_of)
            suspects = suspects.union(rows[at] for at in found)
        if self._shapes is not None and len(others) > len(alike):
            self._shape = self._shapes.of(lines[others[-1]])
        return Accepted(lines, suspects)

    def _decoded(self, text: bytes) -> Any:
        try:
            return self._decode(text)
        except REFUSALS:
            return None

    def _suspects(self, texts: Sequence[bytes], lines: Sequence[Any]) -> set[int]:
        """Which of the accepted texts might have a doubled key, and which break a rule."""
        return self._doubts(texts, lines).union(self._violating(lines))

    def _uniform_suspects(self, texts: Sequence[bytes], lines: Sequence[Any], uniform: Uniform) -> set[int]:
        suspects = _with_more(texts, uniform)
        for column in uniform.columns:
            if not all(column) or any(map(str.isspace, column)):
                suspects.update(row for row, text in enumerate(column) if not text or text.isspace())
        says_something = next((line for row, line in enumerate(lines) if row not in suspects), None)
        if says_something is not None and any(True for _ in self.violations(says_something)):
            return set(range(len(lines)))  # it is the shape that breaks a rule
        return suspects

    def _violating(self, lines: Sequence[Any]) -> Iterator[int]:
        for row, line in enumerate(lines):
            for _ in self.violations(line):
                yield row
                break

    def _doubts(self, texts: Sequence[bytes], lines: Sequence[Any]) -> set[int]:
        # A line has at least the quotes of its structure; one that has no more holds no key twice.
        least = self._structure(lines)
        counted = list(map(count_in, texts, repeat('"')))
        return {
            row
            for row in compress(count(), map(operator.ne, counted, least))
            if counted[row] != self._encode(lines[row]).count(b'"')
            or (92 in texts[row] and b"u0022" in texts[row])
        }


def _with_more(texts: Sequence[bytes], uniform: Uniform) -> set[int]:
    """Which texts hold more than what their lines show, a key twice: they have more quotes than those of the shape.

    Every step goes over every row: `map` with functions of C takes half as long as comprehensions, and counting as
    bytes do it about twice as long.
    """
    shape = uniform.shape
    rows: Iterable[int] = range(len(texts))
    if shape.filled:
        # Where a key more would show in the length, few texts are left whose quotes must be counted.
        beside = map(utf8_count, texts)
        for column in uniform.columns:
            beside = map(operator.sub, beside, map(len, column))
        rows = list(compress(rows, map(operator.lt, repeat(shape.filled), beside)))
    quotes = list(map(count_in, map(texts.__getitem__, rows), repeat('"')))
    more = compress(zip(rows, quotes, strict=True), map(operator.ne, quotes, repeat(shape.quotes)))
    return {row for row, found in more if found != shape.quotes + _escaped_quotes(texts[row])}


def _escaped_quotes(raw: bytes) -> int:
    """How many quotes follow a backslash that is not itself escaped."""
    without = raw.replace(b"\\\\", b"") if contains(raw, "\\\\") else raw
    found: int = count_in(without, '\\"')
    return found


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
