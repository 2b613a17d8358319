"""IAM conditions: the part of CEL that grants are commonly limited with.

``&&``, ``||``, ``!`` and parentheses over ``true``, ``false``, comparisons of ``request.time`` with
``timestamp("…")``, and ``==``, ``!=``, ``startsWith``, ``endsWith`` on ``resource.name``, ``resource.type`` and
``resource.service`` (cloud.google.com/iam/docs/conditions-attribute-reference). Whatever else CEL has is refused when
the policy is set, so that no grant is wider or narrower than it reads. Written by hand: no CEL library is among the
dependencies, and this part is a page.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"[^\"\\]*\"|'[^'\\]*')|(?P<word>[A-Za-z_][\w.]*)|(?P<sign>&&|\|\||[=!<>]=|[<>!(),]))"
)
_COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ATTRIBUTES = ("name", "type", "service")


@dataclass(frozen=True)
class Request:
    """What a condition may ask about."""

    time: datetime
    name: str
    type: str
    service: str


Condition = Callable[[Request], bool]


class Unevaluated(ValueError):
    """An expression that is no CEL, or a part of CEL that is not evaluated here."""


def parse(expression: str) -> Condition:
    """The condition that an expression states. Raises `Unevaluated`."""
    parser = _Parser(_tokens(expression))
    condition = parser.alternatives()
    if parser.next is not None:
        raise Unevaluated(f"unexpected {parser.next!r}")
    return condition


def _tokens(expression: str) -> list[str]:
    tokens, place, text = [], 0, expression.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Unevaluated(f"unexpected {text[place:].strip()[:20]!r}")
        tokens.append(found.group(found.lastgroup or 0))
        place = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0

    @property
    def next(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def take(self, wanted: str | None = None) -> str:
        word = self.next
        if word is None or (wanted is not None and word != wanted):
            raise Unevaluated(f"{word!r} where {wanted or 'more'!r} is needed")
        self._place += 1
        return word

    def alternatives(self) -> Condition:
        parts = [self.together()]
        while self.next == "||":
            self.take()
            parts.append(self.together())
        return parts[0] if len(parts) == 1 else lambda request: any(part(request) for part in parts)

    def together(self) -> Condition:
        parts = [self.single()]
        while self.next == "&&":
            self.take()
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else lambda request: all(part(request) for part in parts)

    def single(self) -> Condition:
        word = self.take()
        if word == "!":
            inner = self.single()
            return lambda request: not inner(request)
        if word == "(":
            inner = self.alternatives()
            self.take(")")
            return inner
        if word in ("true", "false"):
            return lambda _: word == "true"
        if word == "request.time":
            return self.time()
        root, _, rest = word.partition(".")
        attribute, _, method = rest.partition(".")
        if root == "resource" and attribute in _ATTRIBUTES:
            return self.text(attribute, method)
        raise Unevaluated(f"{word!r} is not evaluated")

    def time(self) -> Condition:
        sign = self.take()
        compare = _COMPARISONS.get(sign)
        if compare is None:
            raise Unevaluated(f"request.time {sign!r} is not evaluated")
        self.take("timestamp")
        self.take("(")
        text = self.string()
        self.take(")")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise Unevaluated(f"{text!r} is no timestamp") from None
        if moment.tzinfo is None:
            raise Unevaluated(f"{text!r} has no time zone")
        return lambda request: compare(request.time, moment)

    def text(self, attribute: str, method: str) -> Condition:
        if method in ("startsWith", "endsWith"):
            self.take("(")
            wanted = self.string()
            self.take(")")
            if method == "startsWith":
                return lambda request: str(getattr(request, attribute)).startswith(wanted)
            return lambda request: str(getattr(request, attribute)).endswith(wanted)
        if method or (sign := self.take()) not in ("==", "!="):
            raise Unevaluated(f"resource.{attribute} is only compared, or asked for startsWith and endsWith")
        wanted = self.string()
        return lambda request: (getattr(request, attribute) == wanted) == (sign == "==")

    def string(self) -> str:
        word = self.take()
        if word[0] not in "\"'":
            raise Unevaluated(f"{word!r} is no string")
        return word[1:-1]
