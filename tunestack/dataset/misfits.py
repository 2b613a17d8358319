"""Why a JSON value is not of a type: a walk over the type, as `msgspec.inspect` describes it, beside the value.

The type is the only declaration. What it takes for a message to say more than "not of the type" stands in it: a
`Meta(extra={"code": …})` names the finding's code, a `min_length` of 1 says that a text must say something, and a
struct's `unsupported` names fields that exist elsewhere and are not taken here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from tunestack.dataset.findings import quoted
from tunestack.dataset.positions import NotANumber, Positions, member_path
from tunestack.spec.suggestion import listed, nearest

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
_MEND_TEXT = "write the text or delete the row"


class Misfit(NamedTuple):
    """One thing about a value that its type does not allow. ``offset`` counts characters of the text from 0."""

    offset: int
    code: str
    path: str
    message: str
    fix: str


@cache
def described(type_: Any) -> inspect.Type:
    """The type as `msgspec.inspect` sees it."""
    return inspect.type_info(type_)


def misfits(type_: Any, positions: Positions) -> Iterator[Misfit]:
    """Everything in a parsed text that is not of the type; nothing where it is."""
    yield from _Walk(positions).value(positions.value, "$", described(type_))


def kind_of(value: Any) -> str:
    """What a JSON value is, in a word for people."""
    return "null" if value is None else _KINDS.get(type(value), "not JSON")


class _Walk:
    def __init__(self, positions: Positions) -> None:
        self.values, self.keys = positions.values, positions.keys

    def value(self, value: Any, path: str, type_: inspect.Type) -> Iterator[Misfit]:
        code = ""
        while isinstance(type_, inspect.Metadata):
            code = (type_.extra or {}).get("code", code)
            type_ = type_.type
        if isinstance(value, NotANumber) or isinstance(type_, inspect.AnyType):
            return  # NaN has been told of
        match type_:
            case inspect.UnionType():
                yield from self.union(value, path, type_)
            case inspect.StructType():
                yield from self.struct(value, path, type_)
            case inspect.StrType():
                yield from self.text(value, path, type_)
            case inspect.ListType() | inspect.VarTupleType():
                yield from self.list(value, path, type_)
            case inspect.LiteralType():
                yield from self.literal(value, path, type_, code)
            case inspect.IntType() | inspect.FloatType():
                yield from self.number(value, path, type_)
            case inspect.BoolType():
                if not isinstance(value, bool):
                    yield self.wrong(value, path, "true or false", "write true or false, without quotes")
            case inspect.NoneType():
                if value is not None:
                    yield self.wrong(value, path, "null", "write null")
            case inspect.DictType():
                if not isinstance(value, dict):
                    yield self.wrong(value, path, "an object", "write an object")
                else:
                    for key, member in value.items():
                        yield from self.value(member, member_path(path, key), type_.value_type)

    def at(self, path: str, code: str, message: str, fix: str) -> Misfit:
        return Misfit(self.values[path], code, path, message, fix)

    def wrong(self, value: Any, path: str, need: str, fix: str) -> Misfit:
        return self.at(path, "wrong-type", f"{_name(path)} is {kind_of(value)}, not {need}", fix)

    def union(self, value: Any, path: str, type_: inspect.UnionType) -> Iterator[Misfit]:
        """The misfits to the alternative that comes nearest; none if one alternative fits."""
        if _is_number(value) and any(isinstance(each, inspect.FloatType) for each in type_.types):
            yield from self.number(value, path, inspect.FloatType())
            return
        tagged = [each for each in type_.types if isinstance(each, inspect.StructType) and each.tag_field]
        if tagged and isinstance(value, dict):
            field = tagged[0].tag_field or ""
            for each in tagged:
                if value.get(field) == each.tag:
                    yield from self.struct(value, path, each)
                    return
            tags = listed([str(each.tag) for each in tagged])
            if field in value:
                message = f"{_name(member_path(path, field))} is none of its kinds"
                yield self.at(member_path(path, field), "wrong-type", message, f"write {tags}")
            else:
                yield self.missing(path, field)
            return
        least: list[Misfit] | None = None
        for alternative in type_.types:
            found = list(self.value(value, path, alternative))
            if least is None or _weight(found, path) < _weight(least, path):
                least = found
        yield from least or ()

    def struct(self, value: Any, path: str, type_: inspect.StructType) -> Iterator[Misfit]:
        fields = {field.encode_name: field for field in type_.fields}
        known = [*([type_.tag_field] if type_.tag_field else []), *fields]
        if not isinstance(value, dict):
            fix = f"write an object with the fields {', '.join(known)}"
            if path == "$":
                message = f"the record is {kind_of(value)}, not an object"
                yield self.at(path, "not-an-object", message, fix)
            else:
                yield self.wrong(value, path, "an object", fix)
            return
        missing = {name for name, field in fields.items() if field.required and name not in value}
        absent = [name for name in fields if name not in value]
        unsupported: Mapping[str, str] = getattr(type_.cls, "unsupported", {})
        for key in value if type_.forbid_unknown_fields else ():
            if key in fields or key == type_.tag_field:
                continue
            inner = member_path(path, key)
            if (reason := unsupported.get(key)) is not None:
                message, fix = f"`{key}` is not supported: {reason}", "delete it"
            else:
                meant = nearest(key, sorted(missing) or absent)
                missing.discard(meant or "")
                message = f"unknown field {quoted(key)}"
                fix = f"write `{meant}`" if meant else f"delete it; the fields are {', '.join(known)}"
            yield Misfit(self.keys[inner], "unknown-field", inner, message, fix)
        for name, field in fields.items():
            if name in value:
                inner = member_path(path, name)
                for misfit in self.value(value[name], inner, field.type):
                    optional = value[name] is None and not field.required
                    yield misfit._replace(fix="leave the field out") if optional else misfit
            elif name in missing:
                yield self.missing(path, name)

    def missing(self, path: str, name: str) -> Misfit:
        message = f"the field `{name}` is missing"
        return Misfit(self.values[path], "missing-field", member_path(path, name), message, f"add `{name}`")

    def text(self, value: Any, path: str, type_: inspect.StrType) -> Iterator[Misfit]:
        if not isinstance(value, str):
            fix = 'put it in double quotes ("…")' if isinstance(value, bool | int | float) else "write a text"
            yield self.wrong(value, path, "text", fix)
        elif type_.min_length and not value:
            yield self.at(path, "empty-text", f"{_name(path)} is empty", _MEND_TEXT)
        elif type_.min_length and value.isspace():
            yield self.at(path, "empty-text", f"{_name(path)} is nothing but spaces", _MEND_TEXT)

    def list(self, value: Any, path: str, type_: inspect.ListType | inspect.VarTupleType) -> Iterator[Misfit]:
        item = type_.item_type
        of = " of texts" if isinstance(item, inspect.StrType) else ""
        if not isinstance(value, list):
            yield self.wrong(value, path, "a list", f"write a list{of}")
        elif len(value) < (type_.min_length or 0):
            least = f"at least {'one' if type_.min_length == 1 else type_.min_length}"
            message = f"{_name(path)} is an empty list" if not value else f"{_name(path)} is too short a list"
            yield self.at(path, "empty-text", message, f"give {least}{' text' if of else ''}")
        else:
            for number, each in enumerate(value):
                yield from self.value(each, f"{path}[{number}]", item)

    def literal(self, value: Any, path: str, type_: inspect.LiteralType, code: str) -> Iterator[Misfit]:
        # true is 1 to Python, and 0.0 is 0; to JSON and to msgspec they are not.
        if any(type(value) is type(allowed) and value == allowed for allowed in type_.values):
            return
        allowed = [str(each) for each in sorted(type_.values, key=str)]
        need, number = listed(allowed), not any(isinstance(each, str) for each in type_.values)
        if number and isinstance(value, str) and value in allowed:
            yield self.wrong(value, path, "a number", f"write {value}, without quotes")
        elif number != _is_number(value) or isinstance(value, bool):
            yield self.wrong(value, path, "a number" if number else "text", f"write {need}")
        else:
            meant = nearest(value, allowed) if isinstance(value, str) else None
            shown = quoted(value) if isinstance(value, str) else value
            message = f"{_name(path)} is {shown}, not {need}"
            yield self.at(
                path, code or "wrong-type", message, f"write `{meant}`" if meant else f"write {need}"
            )

    def number(self, value: Any, path: str, type_: inspect.IntType | inspect.FloatType) -> Iterator[Misfit]:
        whole = isinstance(type_, inspect.IntType)
        need = "a whole number" if whole else "a number"
        if not _is_number(value):
            yield self.wrong(value, path, need, f"write {need}, without quotes")
        elif whole and isinstance(value, float):
            yield self.at(
                path, "wrong-type", f"{_name(path)} is not {need}", f"write {need}, without a point"
            )
        elif (isinstance(value, float) and math.isinf(value)) or not _within(value, type_):
            message = f"{_name(path)} is out of range"
            bounds = [
                f"{word} {bound:g}" if isinstance(bound, float) else f"{word} {bound}"
                for word, bound in (
                    ("at least", type_.ge),
                    ("more than", type_.gt),
                    ("at most", type_.le),
                    ("less than", type_.lt),
                )
                if bound is not None
            ]
            yield self.at(
                path, "wrong-type", message, f"write {need} of {' and '.join(bounds)}".removesuffix(" of ")
            )


def _within(value: float, type_: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (type_.ge is None or value >= type_.ge)
        and (type_.gt is None or value > type_.gt)
        and (type_.le is None or value <= type_.le)
        and (type_.lt is None or value < type_.lt)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weight(found: list[Misfit], path: str) -> tuple[int, int]:
    """How far a value is from an alternative: of another kind as a whole, or how many misfits within."""
    return sum(each.path == path for each in found), len(found)


def _name(path: str) -> str:
    return "the record" if path == "$" else f"`{path.removeprefix('$.')}`"


def _mended(value: Any, type_: inspect.Type) -> Any:
    """The value without the fields that its type does not know, and with a space in each empty text."""
    while isinstance(type_, inspect.Metadata):
        type_ = type_.type
    if isinstance(type_, inspect.StructType) and isinstance(value, dict):
        return {
            field.encode_name: _mended(value[field.encode_name], field.type)
            for field in type_.fields
            if field.encode_name in value
        }
    if isinstance(type_, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        return [_mended(each, type_.item_type) for each in value]
    return " " if isinstance(type_, inspect.StrType) and type_.min_length and value == "" else value


def as_type(value: Any, type_: Any) -> Any:
    """The parsed value as the type, as if unknown fields were not there and empty texts were a space.

    So that the rules beyond the type can be told of too. Raises msgspec.ValidationError where it is of another type,
    UnicodeEncodeError where half of a character keeps it from being compared with what the type names.
    """
    return msgspec.convert(_mended(value, described(type_)), type_)
