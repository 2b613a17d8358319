"""What a format is: one strict type for a line, how an example becomes a line, and what its checks need of it.

A format's type is its one declaration. msgspec accepts a line by it at the speed of parsing; `explain` walks the
same type (through `msgspec.inspect`) to say what is wrong with a line that was refused. What a type cannot say,
such as turns that alternate, is in `violations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
import msgspec.inspect

Role = Literal["user", "assistant"]

Text = Annotated[str, msgspec.Meta(min_length=1)]  # that it is not only spaces is the first of the violations


class Turn(NamedTuple):
    """One turn of a conversation, whatever the format calls its author."""

    role: Role
    text: str


class Example(msgspec.Struct, frozen=True, gc=False):
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
    """What the checks across rows need of a batch of lines.

    ``prompts``, one a line: the prompt in the canonical form that splits, duplicates and leakage go by: the text
    itself where that is all there is, else compact JSON of context and turns; the same in every format.
    ``answers``, one a line: what the model shall answer, in a canonical form (of a preference the preferred and
    the other one, as compact JSON); "" for prompts alone. ``labels``: what class balance is counted on, of the
    lines that have a single text as the answer; an empty list where the format has none. ``subjects``, one a
    line, of preferences: the two candidates in an order of their own. Only what is said of the same two can
    contradict each other there; of the other formats (empty) a prompt has one answer.
    """

    prompts: list[str]
    answers: list[str]
    labels: list[str]
    subjects: Sequence[str] = ()


class Format(Protocol):
    """One of the formats of `tunestack.dataset.formats.FORMATS`."""

    @property
    def name(self) -> str:
        """As dataset.yaml and the command line have it."""
        ...

    @property
    def line(self) -> type[msgspec.Struct]:
        """The type of one line: unknown fields forbidden, texts not empty."""
        ...

    @property
    def completion(self) -> bool:
        """Whether a line is a prompt and the answer that is trained on.

        Then a line with two texts and no more has the facts (prompt, answer, answer), and what `violations` tells of
        a line follows from its keys, its roles and how many there are, and from texts that say nothing.
        """
        ...

    @property
    def texts(self) -> Mapping[str, str]:
        """The JSON paths whose lengths are measured, each with its name for people."""
        ...

    def build(self, example: Example) -> msgspec.Struct:
        """The line of an example. It may break the rules that `violations` tells of, and its texts be empty."""
        ...

    def facts(self, lines: Sequence[Any]) -> Facts:
        """What the checks across rows need of these lines (of type ``line``, without violations)."""
        ...

    def lengths(self, lines: Sequence[Any], facts: Facts) -> Mapping[str, Sequence[int]]:
        """Characters of each measured text, by the names in ``texts``, one item a line; ``facts`` are
        what `facts` gave for these lines."""
        ...

    def violations(self, line: Any) -> Iterable[Violation]:
        """Every rule that the line breaks, in the order of the line; nothing for a good one. Must be cheap."""
        ...


def cell_kinds(line: type[msgspec.Struct]) -> dict[str, str]:
    """What a table's cells hold by the names of the fields that are not text: a whole number, or JSON."""
    kinds = {}
    for field in msgspec.inspect.type_info(line).fields:  # type: ignore[attr-defined]
        info = field.type.type if isinstance(field.type, msgspec.inspect.Metadata) else field.type
        if isinstance(info, msgspec.inspect.ListType | msgspec.inspect.StructType):
            kinds[field.encode_name] = "json"
        elif isinstance(info, msgspec.inspect.IntType) or 0 in getattr(info, "values", ()):
            kinds[field.encode_name] = "integer"
    return kinds


def encode(line: msgspec.Struct) -> bytes:
    """One compiled line with its line feed: compact UTF-8, absent fields left out."""
    return _ENCODER.encode(line) + b"\n"


def canonical(value: Any) -> str:
    """Compact JSON, for facts that are more than one text."""
    return _ENCODER.encode(value).decode()


def canonical_prompt(context: str | None, turns: Sequence[tuple[str, str]]) -> str:
    """The prompt that splits, duplicates and leakage go by, of roles (user, assistant) with their texts."""
    if context is None and len(turns) == 1:
        return turns[0][1]
    return canonical([context, turns])


def says_nothing(path: str, text: str) -> Violation:
    """The violation of a text that is empty or nothing but spaces."""
    what = "nothing but spaces" if text else "empty"
    message = f"`{path.removeprefix('$.')}` is {what}"
    return Violation(path, "empty-text", message, "write the text or delete the row")


_ENCODER = msgspec.json.Encoder()
