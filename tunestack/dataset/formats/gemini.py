"""Supervised tuning of Gemini: `{"systemInstruction"?, "contents": [{"role", "parts"}…]}` a line, the model last.

docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.contents import (
    UNSUPPORTED_FIELDS,
    Contents,
    Instruction,
    contents_of,
    contents_violations,
    context_of,
    instruction_of,
    instruction_violations,
    plain,
    size_of,
    text_of,
    turns_of,
)
from tunestack.dataset.formats.conversation import all_turns
from tunestack.dataset.formats.format import Example, Facts, Format, Violation, canonical_prompt


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A conversation whose last turn is the answer that is trained on."""

    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_FIELDS

    systemInstruction: Instruction | UnsetType = UNSET  # noqa: N815 - the service's own spelling
    contents: Contents


class Gemini:
    """Contents that end with the model."""

    name = "gemini"
    line = Line
    completion = True
    texts: Mapping[str, str] = {"$.contents": "prompt", "$.contents[-1].parts": "answer"}

    def build(self, example: Example) -> Line:
        """The turns, and the answer as the last one."""
        return Line(
            systemInstruction=instruction_of(example.context), contents=contents_of(all_turns(example))
        )

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The last turn is the answer and the label, what is before it the prompt."""
        answers = [text_of(line.contents[-1].parts) for line in lines]
        prompts = [
            canonical_prompt(context_of(line.systemInstruction), turns_of(line.contents[:-1]))
            for line in lines
        ]
        return Facts(prompts, answers, answers)

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of all that is before the answer, the system instruction too, and of the answer."""
        return {
            "prompt": [size_of(line.contents[:-1], line.systemInstruction) for line in lines],
            "answer": [len(text_of(line.contents[-1].parts)) for line in lines],
        }

    def violations(self, line: Line) -> Iterable[Violation]:
        """Texts that say nothing, turns out of turn."""
        contents = line.contents
        if len(contents) == 2 and line.systemInstruction is UNSET:
            # One question, one answer is what most lines are: told good at a glance.
            first, last = contents
            if first.role == "user" and last.role == "model" and plain(first.parts) and plain(last.parts):
                return ()
        return self._violations(line)

    def _violations(self, line: Line) -> Iterator[Violation]:
        yield from instruction_violations(line.systemInstruction, "$.systemInstruction")
        yield from contents_violations(line.contents, "model")


FORMATS: dict[str, Format] = {"gemini": Gemini()}
