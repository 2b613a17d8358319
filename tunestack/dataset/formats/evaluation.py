"""Held-out sets: a prompt, the answer that is right (`output_text`), and every other right one (`references`).

`{"input_text", "output_text"?, "references"?}`, or with `messages` and `context`; the evaluation pipelines of
google-cloud-pipeline-components read `input_text` and `output_text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.format import Example, Facts, Format, Text, Violation, canonical, says_nothing
from tunestack.dataset.formats.prompt import (
    PromptLine,
    prompt_fields,
    prompt_of,
    prompt_size,
    prompt_violations,
)


class Line(PromptLine, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A prompt with what is held against the model's answer."""

    output_text: Text | UnsetType = UNSET
    references: Annotated[list[Text], msgspec.Meta(min_length=1)] | UnsetType = UNSET


class Evaluation:
    """A row that nothing is trained on."""

    name = "evaluation"
    line = Line
    completion = False
    texts: Mapping[str, str] = {"$": "prompt", "$.output_text": "answer"}

    def build(self, example: Example) -> Line:
        """The first target is the answer; several are the references."""
        targets = example.targets
        return Line(
            **prompt_fields(example),
            output_text=targets[0] if targets else UNSET,
            references=list(targets) if len(targets) > 1 else UNSET,
        )

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The answer, or all references in their order, is the answer; a single answer is the label."""
        return Facts(
            [prompt_of(line) for line in lines],
            [
                canonical(line.references)
                if line.references is not UNSET
                else ""
                if line.output_text is UNSET
                else line.output_text
                for line in lines
            ],
            [
                line.output_text
                for line in lines
                if line.output_text is not UNSET and line.references is UNSET
            ],
        )

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of the prompt with its context, and of the answer; 0 where there is none."""
        return {
            "prompt": [prompt_size(line) for line in lines],
            "answer": [0 if line.output_text is UNSET else len(line.output_text) for line in lines],
        }

    def violations(self, line: Line) -> Iterator[Violation]:
        """Those of a prompt, and answers that say nothing."""
        yield from prompt_violations(line)
        if line.output_text is not UNSET and (not line.output_text or line.output_text.isspace()):
            yield says_nothing("$.output_text", line.output_text)
        for number, text in enumerate(() if line.references is UNSET else line.references):
            if not text or text.isspace():
                yield says_nothing(f"$.references[{number}]", text)


FORMATS: dict[str, Format] = {"evaluation": Evaluation()}
