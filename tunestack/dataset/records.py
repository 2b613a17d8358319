"""Records: the type that the declared columns make, the rules beyond it, and the values that templates see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.formats.format import Text, Turn, Violation, says_nothing

# Either word is common for the model's turns.
_Role = Annotated[Literal["user", "assistant", "model"], msgspec.Meta(extra={"code": "unknown-role"})]
Values = dict[str, Any]


class RecordTurn(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """One item of a `messages` column; exactly one of ``author`` and ``role`` is there."""

    author: _Role | UnsetType = UNSET
    role: _Role | UnsetType = UNSET
    content: Text


_TYPES: dict[str, Any] = {
    "string": Text,
    # Beyond 64 bits nothing can be told exactly of a number in JSON.
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": int | float,  # 3 stays 3 in a prompt and does not become 3.0
    "boolean": bool,
    "list[string]": Annotated[list[Text], msgspec.Meta(min_length=1)],
    "messages": Annotated[list[RecordTurn], msgspec.Meta(min_length=1)],
}


class Records:
    """Records with these columns, no more and no fewer. Made once in each process."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = dict(columns)
        self._renamed = any(self._name(column) != column for column in columns)
        self._conversations = [column for column, kind in columns.items() if kind == "messages"]

    @cached_property
    def type(self) -> type[msgspec.Struct]:
        """The type of one record."""
        # Python has a meaning for some names with underscores around them; columns may be called so.
        names = {self._name(column): column for column in self.columns}
        fields = [(name, _TYPES[self.columns[column]]) for name, column in names.items()]
        return msgspec.defstruct(
            "Record", fields, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True
        )

    @cached_property
    def acceptor(self) -> Acceptor:
        """What decodes records; of those with nothing but texts only the shape and empty texts can be wrong."""
        return Acceptor(self.type, self.violations, by_shape=set(self.columns.values()) == {"string"})

    def values(self, record: msgspec.Struct) -> Values:
        """The values by column, in the order of the columns: plain texts, numbers, lists; turns as dictionaries.

        A turn has its role under both names, `role` and `author`: `user` or `assistant`.
        """
        values = msgspec.structs.asdict(record)
        if self._renamed:
            values = dict(zip(self.columns, values.values(), strict=True))
        for column in self._conversations:
            values[column] = [_turn(turn) for turn in values[column]]
        return values

    def violations(self, record: msgspec.Struct) -> Iterator[Violation]:
        """Texts that say nothing, turns with two authors or none."""
        for column, kind in self.columns.items():
            value = getattr(record, self._name(column))
            path = f"$.{column}"
            if kind == "string":
                if value.isspace():
                    yield says_nothing(path, value)
            elif kind == "list[string]":
                for number, item in enumerate(value):
                    if item.isspace():
                        yield says_nothing(f"{path}[{number}]", item)
            elif kind == "messages":
                for number, turn in enumerate(value):
                    yield from _turn_violations(f"{path}[{number}]", turn)

    @staticmethod
    def _name(column: str) -> str:
        return f"column{column}" if column.startswith("__") else column


def turns_of(values: list[dict[str, str]]) -> tuple[Turn, ...]:
    """The turns of a `messages` column's values."""
    return tuple(
        [Turn("user" if each["role"] == "user" else "assistant", each["content"]) for each in values]
    )


def _turn(turn: RecordTurn) -> dict[str, str]:
    role = "user" if "user" in (turn.author, turn.role) else "assistant"
    return {"role": role, "author": role, "content": turn.content}


def _turn_violations(path: str, turn: RecordTurn) -> Iterator[Violation]:
    if turn.author is UNSET and turn.role is UNSET:
        message = f"`{path.removeprefix('$.')}` has no author"
        yield Violation(path, "missing-field", message, "add `author`: user or assistant")
    elif turn.author is not UNSET and turn.role is not UNSET:
        message = "`role` stands beside `author`"
        yield Violation(f"{path}.role", "unknown-field", message, "delete one of the two")
    if turn.content.isspace():
        yield says_nothing(f"{path}.content", turn.content)
