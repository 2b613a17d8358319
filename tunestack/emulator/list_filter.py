"""List filters (AIP-160): ``labels.env="dev" AND state=PIPELINE_STATE_RUNNING``.

Parsed by recursive descent; no maintained Python parser of AIP-160 was found. Comparisons of strings and
timestamps are by text (RFC 3339 in UTC sorts as text), of numbers by value. ``*`` in a value of ``=`` or ``:``
matches any text, and ``field:*`` asks whether the field is there.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.schema import camel

Json = dict[str, Any]
Predicate = Callable[[Json], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|[=<>:()])|(?P<word>[^\s"'=<>!:()]+))"""
)


def parse(text: str) -> Predicate:
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
    parser = _Parser(tokens, text)
    predicate = parser.expression()
    if parser.tokens:
        raise parser.error()
    return predicate


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens = tokens
        self.text = text

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
        operator_kind, operator = self._take()
        if kind != "word" or operator_kind != "operator" or operator in "()":
            raise self.error()
        value_kind, value = self._take()
        if value_kind == "operator":
            raise self.error()
        return lambda row: _compare(_field(row, path), operator, value)


def _field(row: Json, path: str) -> Any:
    head, _, rest = path.partition(".")
    value: Any = row.get(camel(head))
    if rest and isinstance(value, dict):
        # A label's key may hold dots and underscores: the rest is one key where it is one.
        return value[rest] if rest in value else _field(value, rest)
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
