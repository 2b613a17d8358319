"""List filters (AIP-160): ``labels.env="dev" AND state=PIPELINE_STATE_RUNNING``.

Parsed by recursive descent; no maintained Python parser of AIP-160 was found. Comparisons of strings and
timestamps are by text (RFC 3339 in UTC sorts as text), of numbers by value. ``*`` in a value of ``=`` or ``:``
matches any text, and ``field:*`` asks whether the field is there. A part of a path may be quoted
(``metadata."field:1".number_value``), and a service may know functions (``in_context("…")``).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.schema import camel

Json = dict[str, Any]
Predicate = Callable[[Json], bool]
Functions = Mapping[str, Callable[[str], Predicate]]
"""What a word with an argument in brackets means."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|[=<>:()])|(?P<word>[^\s"'=<>!:()]+))"""
)
# How the value of a google.protobuf.Struct is named in a path: ``metadata.loss.number_value < 2``.
_STRUCT_VALUES: dict[str, tuple[type, ...]] = {
    "number_value": (int, float),
    "string_value": (str,),
    "bool_value": (bool,),
}


def parse(text: str, functions: Functions | None = None) -> Predicate:
    """A predicate on rows. Raises 400 INVALID_ARGUMENT on what is not a filter."""
    if not text.strip():
        return lambda row: True
    tokens: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise invalid(f'Invalid filter at position {position}: "{text}"')
        kind = str(found.lastgroup)
        token = found.group(kind)
        if kind == "quoted":
            token = re.sub(r"\\(.)", r"\1", token[1:-1])
        tokens.append((kind, token))
        position = found.end()
    parser = _Parser(tokens, text, functions or {})
    predicate = parser.expression()
    if parser.tokens:
        raise parser.error()
    return predicate


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], text: str, functions: Functions) -> None:
        self.tokens = tokens
        self.text = text
        self.functions = functions

    def error(self) -> Exception:
        return invalid(f'Invalid filter: "{self.text}"')

    def _peek(self) -> tuple[str, str]:
        return self.tokens[0] if self.tokens else ("end", "")

    def _take(self) -> tuple[str, str]:
        if not self.tokens:
            raise self.error()
        return self.tokens.pop(0)

    def expression(self) -> Predicate:
        """Google's precedence: OR binds more tightly than AND."""
        terms = [self._either()]
        while True:
            if self._peek() == ("word", "AND"):
                self._take()
            elif self._peek()[0] in ("end", "operator") and self._peek()[1] != "(":
                break
            terms.append(self._either())
        return lambda row: all(term(row) for term in terms)

    def _either(self) -> Predicate:
        terms = [self._term()]
        while self._peek() == ("word", "OR"):
            self._take()
            terms.append(self._term())
        return lambda row: any(term(row) for term in terms)

    def _term(self) -> Predicate:
        kind, word = self._peek()
        if kind == "word" and (word == "NOT" or (word.startswith("-") and len(word) > 1)):
            self._take()
            if word != "NOT":
                self.tokens.insert(0, ("word", word[1:]))
            inner = self._term()
            return lambda row: not inner(row)
        if (kind, word) == ("operator", "("):
            self._take()
            inner = self.expression()
            if self._take() != ("operator", ")"):
                raise self.error()
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        kind, path = self._take()
        if kind != "word":
            raise self.error()
        if path in self.functions and self._peek() == ("operator", "("):
            self._take()
            argument = self._value()
            if self._take() != ("operator", ")"):
                raise self.error()
            return self.functions[path](argument)
        parts = self._path(path)
        operator_kind, operator = self._take()
        if operator_kind != "operator" or operator in "()":
            raise self.error()
        value = self._value()
        return lambda row: _compare(_field(row, parts), operator, value)

    def _path(self, start: str) -> list[str]:
        """``metadata."field:1".number_value``, whose quoted parts are tokens of their own."""
        parts = start.split(".")
        while parts[-1] == "" and self._peek()[0] == "quoted":
            parts[-1] = self._take()[1]
            if self._peek()[0] == "word" and self._peek()[1].startswith("."):
                parts += self._take()[1][1:].split(".")
        return parts

    def _value(self) -> str:
        kind, value = self._take()
        if kind == "operator":
            raise self.error()
        return value


def _field(row: Json, parts: list[str]) -> Any:
    value: Any = row.get(camel(parts[0]))
    rest = parts[1:]
    while rest and isinstance(value, dict):
        # A label's key may hold dots and underscores: the rest is one key where it is one.
        whole, head = ".".join(rest), rest[0]
        if whole in value:
            return value[whole]
        value, rest = value.get(head, value.get(camel(head))), rest[1:]
    if len(rest) == 1 and rest[0] in _STRUCT_VALUES:
        fits = isinstance(value, _STRUCT_VALUES[rest[0]]) and (
            isinstance(value, bool) is (rest[0] == "bool_value")
        )
        return value if fits else None
    return None if rest else value


def _compare(have: Any, operator: str, want: str) -> bool:
    if operator == ":" and want == "*":
        return have is not None
    if have is None:
        return operator == "!="
    if isinstance(have, bool):
        equal = want.lower() == str(have).lower()
        return equal if operator in "=:" else operator == "!=" and not equal
    if isinstance(have, list):
        return operator == ":" and any(_compare(item, "=", want) for item in have)
    if isinstance(have, dict):
        return operator == ":" and want in have
    if isinstance(have, int | float):
        try:
            number = float(want)
        except ValueError:
            raise invalid(f'Invalid filter value "{want}": expected a number') from None
        order = (have > number) - (have < number)
    else:
        text = str(have)
        if operator in ("=", ":", "!="):
            equal = (
                fnmatch.fnmatchcase(text, want)
                if "*" in want
                else text == want or (operator == ":" and want in text)
            )
            return equal is (operator != "!=")
        order = (text > want) - (text < want)
    return {
        "=": order == 0,
        ":": order == 0,
        "!=": order != 0,
        "<": order < 0,
        ">": order > 0,
        "<=": order <= 0,
    }.get(operator, order >= 0)
