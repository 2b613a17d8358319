"""Lines of one shape: the same keys, as many turns, the same roles. What is asked of each is asked of columns of texts.

Most files hold nothing else, and a look at columns costs a fraction of a look at lines. A shape is a type of its own,
narrower than the format's: decoding by it is what proves that a line has the shape. It is for any type of line that
msgspec describes; lines of several shapes are looked at one by one instead.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from keyword import iskeyword
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect

_Columns: TypeAlias = Callable[[Sequence[Any]], list[list[str]]]

# Batches of so many shapes are met in one file at most; more are no shapes but variety.
MOST_SHAPES = 64


class Shape(NamedTuple):
    """What lines of one shape have in common.

    ``decode`` takes texts of this shape alone, to lines that have all that the format's have; ``columns`` gives of each
    text in them a column, in the order of the type. Beside its texts a line has so many ``quotes``; and so many
    characters that one member more fits in only if there are more than ``filled`` (0: spaces alone can be as many).
    """

    decode: Callable[[bytes], Any]
    columns: _Columns
    quotes: int
    filled: int


class Uniform(NamedTuple):
    """Lines of one shape: of each of its texts a column, in the order of the type."""

    shape: Shape
    columns: list[list[str]]


class Shapes:
    """The shapes that lines of one type were met in."""

    def __init__(self, type_: Any) -> None:
        self._info = inspect.type_info(type_)
        self._least_member = _least_member(self._info)
        self._known: dict[bytes, Shape] = {}

    def of(self, line: Any) -> Shape | None:
        """The shape of a line; None where its type has more than texts, roles, numbers, lists and structs."""
        try:
            blank = msgspec.json.encode(_blank(self._info, line))
        except TypeError:
            return None
        if blank not in self._known:
            if len(self._known) == MOST_SHAPES:
                return None
            self._known[blank] = self._shape(blank, line)
        return self._known[blank]

    def _shape(self, blank: bytes, line: Any) -> Shape:
        narrow = _narrow(self._info, line)
        columns = _columns(list(_texts(self._info, line, "")))
        decode = msgspec.json.Decoder(narrow).decode
        filled = len(blank.decode()) + self._least_member - 1
        spaced = len(msgspec.json.format(blank, indent=0).decode()) + len("\r\n")
        return Shape(decode, columns, blank.count(b'"'), filled if spaced <= filled else 0)


def _columns(ways: Sequence[str]) -> _Columns:
    """What is at the end of each way. A comprehension of one expression takes a third of the time of its steps."""
    if any(iskeyword(way.removeprefix(".")) for way in ways):  # as columns of records may be called
        get = [operator.attrgetter(way.removeprefix(".")) for way in ways]
        return lambda lines: [list(map(of_field, lines)) for of_field in get]
    texts = ", ".join(f"[line{way} for line in lines]" for way in ways)
    columns: _Columns = eval(f"lambda lines: [{texts}]", {})  # noqa: S307
    return columns


def _bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def _members(info: inspect.StructType, value: Any) -> Iterator[tuple[inspect.Field, Any]]:
    """The fields that are there. Raises TypeError where a value cannot tell whether they are."""
    for field in info.fields:
        if not field.required and not field.default is field.default_factory is msgspec.NODEFAULT:
            raise TypeError
        member = getattr(value, field.name)
        if member is not msgspec.UNSET:
            yield field, member


def _blank(info: inspect.Type, value: Any) -> Any:
    """The value with empty texts and numbers of one digit, as plain dicts and lists. Raises TypeError."""
    info = _bare(info)
    if isinstance(info, inspect.StructType):
        return {field.encode_name: _blank(field.type, member) for field, member in _members(info, value)}
    if isinstance(info, inspect.ListType):
        return [_blank(info.item_type, item) for item in value]
    if isinstance(info, inspect.LiteralType):
        return value
    if isinstance(info, inspect.StrType):
        return ""
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return 0
    raise TypeError


def _texts(info: inspect.Type, value: Any, path: str) -> Iterator[str]:
    """The way to each text of a line, as an expression."""
    info = _bare(info)
    if isinstance(info, inspect.StructType):
        for field, member in _members(info, value):
            yield from _texts(field.type, member, f"{path}.{field.name}")
    elif isinstance(info, inspect.ListType):
        for number, item in enumerate(value):
            yield from _texts(info.item_type, item, f"{path}[{number}]")
    elif isinstance(info, inspect.StrType):
        yield path


def _narrow(info: inspect.Type, value: Any) -> Any:
    """The type of values that differ from this one in texts and numbers alone."""
    info = _bare(info)
    if isinstance(info, inspect.StructType):
        if all(field.required and isinstance(field.type, inspect.StrType) for field in info.fields):
            return info.cls  # it has one shape
        there = {field.name: _narrow(field.type, member) for field, member in _members(info, value)}
        fields = [(name, there.get(name, msgspec.UnsetType)) for name in info.cls.__struct_fields__]
        return msgspec.defstruct(
            info.cls.__name__,
            [(name, type_) if name in there else (name, type_, msgspec.UNSET) for name, type_ in fields],
            bases=(info.cls,),
            kw_only=True,
            gc=False,
        )
    if isinstance(info, inspect.ListType):
        return tuple[tuple(_narrow(info.item_type, item) for item in value)]  # type: ignore[misc]
    if isinstance(info, inspect.LiteralType):
        return Literal[value]
    if isinstance(info, inspect.StrType):
        return Annotated[str, msgspec.Meta(min_length=info.min_length)] if info.min_length else str
    return int if isinstance(info, inspect.IntType) else float


def _least_member(info: inspect.Type) -> int:
    """Characters of the shortest member that the type knows, with its comma: `"key":"",`, of numbers `"key":0,`."""
    info = _bare(info)
    if isinstance(info, inspect.ListType):
        return _least_member(info.item_type)
    if not isinstance(info, inspect.StructType):
        return 1 << 30
    return min(
        [least for field in info.fields for least in (len(field.encode_name) + 5, _least_member(field.type))],
        default=1 << 30,
    )
