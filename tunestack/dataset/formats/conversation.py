"""Conversations as `messages` of authors, and the rules of taking turns, whatever a format calls its authors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.format import Example, Role, Text, Turn, Violation, says_nothing


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One turn."""

    author: Annotated[Role, msgspec.Meta(extra={"code": "unknown-role"})]
    content: Text


Messages = Annotated[list[Message], msgspec.Meta(min_length=1)]


def messages_of(turns: Iterable[Turn]) -> list[Message]:
    """The turns as messages."""
    return [Message(role, text) for role, text in turns]


def turns_of(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """The messages as roles with their texts, for the canonical form."""
    return [(message.author, message.content) for message in messages]


def context_of(context: str | UnsetType) -> str | None:
    """The context, None where there is none."""
    return None if context is UNSET else context


def size_of(messages: Iterable[Message], context: str | UnsetType) -> int:
    """Characters of the messages and of the context."""
    return sum([len(message.content) for message in messages]) + (0 if context is UNSET else len(context))


def all_turns(example: Example) -> list[Turn]:
    """The turns with the answer as the last one, where there is an answer."""
    answer = [Turn("assistant", example.targets[0])] if example.targets else []
    return [*example.turns, *answer]


def conversation_violations(
    messages: Sequence[Message], context: str | UnsetType, last: Role
) -> Iterator[Violation]:
    """Texts that say nothing and turns out of turn; ``last`` is who has the last word."""
    if context is not UNSET and (not context or context.isspace()):
        yield says_nothing("$.context", context)
    roles = [message.author for message in messages]
    for number in out_of_turn(roles, "assistant", last):
        yield turn_violation(roles, number, f"$.messages[{number}].author", last)
    for number, message in enumerate(messages):
        if not message.content or message.content.isspace():
            yield says_nothing(f"$.messages[{number}].content", message.content)


def out_of_turn(roles: Sequence[str], model: str, last: str) -> Iterable[int]:
    """Which turns are not the one whose turn it is: the user begins, ``model`` answers, ``last`` is last."""
    if roles == _in_turn(len(roles), model) and roles[-1:] == [last]:
        return ()
    wrong = [number for number, role in enumerate(roles) if role == (roles[number - 1] if number else model)]
    if roles and roles[-1] != last and wrong[-1:] != [len(roles) - 1]:
        wrong.append(len(roles) - 1)
    return wrong


def turn_violation(roles: Sequence[str], number: int, path: str, last: str) -> Violation:
    """What is wrong with the turn that `out_of_turn` names."""
    role = roles[number]
    if number and role == roles[number - 1]:
        message, fix = f"two turns of the {role} in a row", "join them, or put the other's turn between them"
    elif not number and role != "user":
        message, fix = f"the first turn is the {role}'s", "begin with the user's turn"
    else:
        message, fix = f"the last turn is the {role}'s", f"end with the {last}'s turn"
    return Violation(path, "roles-out-of-turn", message, fix)


@cache
def _in_turn(turns: int, model: str) -> list[str]:
    return [model if number % 2 else "user" for number in range(turns)]
