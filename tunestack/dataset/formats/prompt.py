"""A prompt without its answer: one `input_text`, or `messages` that end with the user's and perhaps a `context`.

So the RLHF pipeline takes prompts (google-cloud-pipeline-components, `rlhf_pipeline`), and so held-out rows have
them here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.conversation import (
    Messages,
    context_of,
    conversation_violations,
    messages_of,
    size_of,
    turns_of,
)
from tunestack.dataset.formats.format import (
    Example,
    Text,
    Violation,
    canonical_prompt,
    says_nothing,
)


class PromptLine(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """The fields of the prompt; exactly one of ``input_text`` and ``messages`` is there."""

    input_text: Text | UnsetType = UNSET
    messages: Messages | UnsetType = UNSET
    context: Text | UnsetType = UNSET


def prompt_fields(example: Example) -> dict[str, Any]:
    """The prompt's fields of an example: the bare text where that is all there is."""
    if example.context is None and len(example.turns) == 1:
        return {"input_text": example.turns[0].text}
    context = UNSET if example.context is None else example.context
    return {"messages": messages_of(example.turns), "context": context}


def prompt_of(line: PromptLine) -> str:
    """The prompt in its canonical form."""
    if line.messages is UNSET:
        return "" if line.input_text is UNSET else line.input_text
    return canonical_prompt(context_of(line.context), turns_of(line.messages))


def prompt_size(line: PromptLine) -> int:
    """Characters of the prompt."""
    if line.messages is UNSET:
        return 0 if line.input_text is UNSET else len(line.input_text)
    return size_of(line.messages, line.context)


def prompt_violations(line: PromptLine) -> Iterator[Violation]:
    """Not exactly one kind of prompt, texts that say nothing, turns out of turn."""
    text, messages = line.input_text, line.messages
    if text is UNSET and messages is UNSET:
        message = "neither `input_text` nor `messages` is there"
        yield Violation("$", "missing-field", message, "add `input_text`, or `messages`")
    elif text is not UNSET and messages is not UNSET:
        message = "`messages` stands beside `input_text`"
        yield Violation("$.messages", "unknown-field", message, "delete one of the two")
    elif line.context is not UNSET and messages is UNSET:
        message = "`context` stands beside `input_text`, and belongs to `messages`"
        yield Violation("$.context", "unknown-field", message, "delete it, or write `messages`")
    if text is not UNSET and (not text or text.isspace()):
        yield says_nothing("$.input_text", text)
    if messages is not UNSET:
        yield from conversation_violations(messages, line.context, "user")
    elif line.context is not UNSET and (not line.context or line.context.isspace()):
        yield says_nothing("$.context", line.context)
