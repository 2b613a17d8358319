"""What a format is: one strict type for a line, how an example becomes a line, and what its checks need of it.

A format's type is its one declaration. msgspec accepts a line by it at the speed of parsing; `explain` walks the
same type (through `msgspec.inspect`) to say what is wrong with a line that was refused. What a type cannot say,
such as turns that alternate, is in `violations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

Role = Literal["user", "assistant"]


class Turn(NamedTuple):
    """One turn of a conversation, whatever the format calls its author."""

    role: Role
    text: str


@dataclass(frozen=True)
class Example:
    """One row as the templates rendered it, before any format: what every format is built from.

    ``turns`` end with the user's; a completion has a single one. ``targets`` hold the one answer that is trained
    on, or all the references of a held-out row; none for a prompt alone. ``preferred`` is 0 or 1, an index into
    ``candidates``.
    """

    turns: tuple[Turn, ...]
    context: str | None = None
    targets: tuple[str, ...] = ()
    candidates: tuple[str, str] | None = None
    preferred: int | None = None


class Violation(NamedTuple):
    """A rule that a line breaks though its type is right. ``path`` is the JSON path of the value within the line."""

    path: str
    code: str
    message: str
    fix: str


class Facts(NamedTuple):
    """What the checks across rows need of a batch of lines, one item a line in each list.

    ``prompts``: the prompt in the canonical form that splits, duplicates and leakage go by: the text itself where
    that is all there is, else compact JSON of context and turns. ``answers``: what the model shall answer, in a
    canonical form (for a preference: both candidates and the choice); empty for prompts alone. ``labels``: what
    class balance is counted on; empty where the format has no single text as the answer.
    """

    prompts: list[str]
    answers: list[str]
    labels: list[str]


class Format(Protocol):
    """One of the formats of `tunestack.dataset.formats.FORMATS`."""

    name: str
    line: type[msgspec.Struct]  # the type of one line: unknown fields forbidden, texts not empty
    texts: Mapping[str, str]  # the JSON paths whose lengths are measured, each with its name for people

    def build(self, example: Example) -> msgspec.Struct:
        """The line of an example."""
        ...

    def facts(self, lines: Sequence[Any]) -> Facts:
        """What the checks across rows need of these lines (of type ``line``)."""
        ...

    def lengths(self, lines: Sequence[Any]) -> Mapping[str, Sequence[int]]:
        """Characters of each measured text, by the names in ``texts``, one item a line."""
        ...

    def violations(self, line: Any) -> Iterable[Violation]:
        """Every rule that the line breaks, in the order of the line; nothing for a good one. Must be cheap."""
        ...


def encode(line: msgspec.Struct) -> bytes:
    """One compiled line with its line feed: compact UTF-8, absent fields left out."""
    return _ENCODER.encode(line) + b"\n"


_ENCODER = msgspec.json.Encoder()
