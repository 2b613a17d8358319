"""Chat tuning: `{"context"?, "messages": [{"author", "content"}…]}` a line, the assistant's turn last.

The format of the PaLM 2 chat tuning pipeline (chat-bison).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.conversation import (
    Messages,
    all_turns,
    context_of,
    conversation_violations,
    messages_of,
    size_of,
    turns_of,
)
from tunestack.dataset.formats.format import Example, Facts, Format, Text, Violation, canonical_prompt


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A conversation whose last turn is the answer that is trained on."""

    context: Text | UnsetType = UNSET
    messages: Messages


class Chat:
    """A conversation that ends with the assistant."""

    name = "chat"
    line = Line
    completion = True
    texts: Mapping[str, str] = {"$.messages": "prompt", "$.messages[-1].content": "answer"}

    def build(self, example: Example) -> Line:
        """The turns, and the answer as the last one."""
        context = UNSET if example.context is None else example.context
        return Line(context=context, messages=messages_of(all_turns(example)))

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The last turn is the answer and the label, what is before it the prompt."""
        answers = [line.messages[-1].content for line in lines]
        prompts = [canonical_prompt(context_of(line.context), turns_of(line.messages[:-1])) for line in lines]
        return Facts(prompts, answers, answers)

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of all that is before the answer, the context too, and of the answer."""
        return {
            "prompt": [size_of(line.messages[:-1], line.context) for line in lines],
            "answer": [len(line.messages[-1].content) for line in lines],
        }

    def violations(self, line: Line) -> Iterable[Violation]:
        """Texts that say nothing, turns out of turn."""
        return conversation_violations(line.messages, line.context, "assistant")


FORMATS: dict[str, Format] = {"chat": Chat()}
