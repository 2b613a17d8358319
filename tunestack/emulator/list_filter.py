"""List filters (AIP-160): ``labels.env="dev" AND state=PIPELINE_STATE_RUNNING``.

Parsed by recursive descent; no maintained Python parser of AIP-160 was found. Comparisons of strings and
timestamps are by text (RFC 3339 in UTC sorts as text), of numbers by value. ``*`` in a value of ``=`` or ``:``
matches any text, and ``field:*`` asks whether the field is there. A part of a path may be quoted
(``metadata."field:1".number_value``), and a service may know functions (``in_context("…")``). Cloud Logging and
Cloud Monitoring have more words in the same grammar: a `Language` says which.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.schema import camel

Json = dict[str, Any]
Predicate = Callable[[Json], bool]
Functions = Mapping[str, Callable[[str], Predicate]]
"""What a word with an argument in brackets means."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|=~|!~|[=<>:()])|(?P<word>[^\s"'=<>!:()]+))"""
)
# How the value of a google.protobuf.Struct is named in a path: ``metadata.loss.number_value < 2``.
_STRUCT_VALUES: dict[str, tuple[type, ...]] = {
    "number_value": (int, float),
    "string_value": (str,),
    "bool_value": (bool,),
}


def compare(path: list[str], have: Any, operator: str, want: str) -> bool:
    """Whether the value at ``path`` stands to the text as ``operator`` says. Raises 400 on a word for a number."""
    if operator == ":" and want == "*":
        return have is not None
    if have is None:
        return operator == "!="
    if isinstance(have, bool):
        equal = want.lower() == str(have).lower()
        return equal if operator in "=:" else operator == "!=" and not equal
    if isinstance(have, list):
        return operator == ":" and any(compare(path, item, "=", want) for item in have)
    if isinstance(have, dict):
        return operator == ":" and want in have
    if isinstance(have, int | float):
        try:
            number = float(want)
        except ValueError:
            raise invalid(f'Invalid filter value "{want}": expected a number') from None
        return ordered((have > number) - (have < number), operator)
    text = str(have)
    if operator in ("=", ":", "!="):
        equal = (
            fnmatch.fnmatchcase(text, want)
            if "*" in want
            else text == want or (operator == ":" and want in text)
        )
        return equal is (operator != "!=")
    return ordered((text > want) - (text < want), operator)


def ordered(order: int, operator: str) -> bool:
    """Whether -1, 0 or 1 is the order that an operator asks for."""
    return {
        "=": order == 0,
        ":": order == 0,
        "!=": order != 0,
        "<": order < 0,
        ">": order > 0,
        "<=": order <= 0,
        ">=": order >= 0,
    }[operator]


@dataclass(frozen=True)
class Language:
    """What a service's filters can say beyond those of lists.

    ``compare`` stands for this module's; ``tests`` are functions in a value's place (``metric.type =
    starts_with("x")``), on the value and their arguments; ``anywhere`` looks for a text that stands alone in a
    row; ``patterns`` allows ``=~`` and ``!~``.
    """

    compare: Callable[[list[str], Any, str, str], bool] = compare
    tests: Mapping[str, Callable[[Any, list[str]], bool]] = field(default_factory=dict)
    anywhere: Callable[[Json, str], bool] | None = None
    patterns: bool = False


LISTS = Language()
_OPEN, _CLOSE = ("operator", "("), ("operator", ")")


def parse(text: str, functions: Functions | None = None, language: Language = LISTS) -> Predicate:
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
            token = re.sub(r"\\([\"'\\])", r"\1", token[1:-1])
        tokens.append((kind, token))
        position = found.end()
    parser = _Parser(tokens, text, functions or {}, language)
    predicate = parser.expression()
    if parser.tokens:
        raise parser.error()
    return predicate


class _Parser:
    def __init__(
        self, tokens: list[tuple[str, str]], text: str, functions: Functions, language: Language
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.functions = functions
        self.language = language

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
        if kind == "operator":
            raise self.error()
        if kind == "word" and path in self.functions and self._peek() == _OPEN:
            arguments = self._arguments()
            if len(arguments) != 1:
                raise self.error()
            return self.functions[path](arguments[0])
        parts = self._path(path) if kind == "word" else [path]
        operator_kind, operator = self._peek()
        if operator_kind != "operator" or operator in "()":
            anywhere = self.language.anywhere
            if anywhere is None or (operator_kind, operator) == _OPEN:
                raise self.error()
            return lambda row: anywhere(row, path)
        self._take()
        if kind != "word" or (operator in ("=~", "!~") and not self.language.patterns):
            raise self.error()
        return self._wanted(parts, operator)

    def _wanted(self, parts: list[str], operator: str) -> Predicate:
        """What stands behind an operator: a text, a pattern, a function, or alternatives in brackets."""
        if self._peek() == _OPEN and self.language.anywhere:
            return self._alternatives(parts, operator)
        kind = self._peek()[0]
        value = self._value()
        if kind == "word" and self._peek() == _OPEN:
            test = self.language.tests.get(value)
            if test is None or operator not in ("=", "!="):
                raise self.error()
            arguments = self._arguments()
            return lambda row: test(_field(row, parts), arguments) is (operator == "=")
        if operator in ("=~", "!~"):
            try:
                pattern = re.compile(value)
            except re.error as error:
                raise invalid(f'Invalid regular expression "{value}": {error}') from None
            return lambda row: _found(pattern, _field(row, parts)) is (operator == "=~")
        compare = self.language.compare
        return lambda row: compare(parts, _field(row, parts), operator, value)

    def _alternatives(self, parts: list[str], operator: str) -> Predicate:
        """``severity = (ERROR OR WARNING)``."""
        self._take()
        terms = [self._wanted(parts, operator)]
        join = any
        while (token := self._take()) != _CLOSE:
            if token not in (("word", "OR"), ("word", "AND")):
                raise self.error()
            join = all if token[1] == "AND" else any
            terms.append(self._wanted(parts, operator))
        return lambda row: join(term(row) for term in terms)

    def _arguments(self) -> list[str]:
        self._take()
        arguments: list[str] = []
        while (token := self._take()) != _CLOSE:
            if token[0] == "operator":
                raise self.error()
            arguments += (
                [token[1]] if token[0] == "quoted" else [part for part in token[1].split(",") if part]
            )
        return arguments

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


def _found(pattern: re.Pattern[str], value: Any) -> bool:
    return value is not None and pattern.search(str(value)) is not None
