"""Prompts of the RLHF pipeline: `{"input_text"}` or `{"messages", "context"?}` a line, the user's turn last.

google-cloud-pipeline-components, `rlhf_pipeline`: the parameter `prompt_dataset`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tunestack.dataset.formats.format import Example, Facts, Format, Violation
from tunestack.dataset.formats.prompt import (
    PromptLine,
    prompt_fields,
    prompt_of,
    prompt_size,
    prompt_violations,
)


class Line(PromptLine, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A prompt that the model will be asked."""


class RlhfPrompt:
    """A prompt alone."""

    name = "rlhf-prompt"
    line = Line
    completion = False
    texts: Mapping[str, str] = {"$": "prompt"}

    def build(self, example: Example) -> Line:
        """The turns and the context."""
        return Line(**prompt_fields(example))

    def facts(self, lines: Sequence[Line]) -> Facts:
        """Prompts without answers."""
        return Facts([prompt_of(line) for line in lines], [""] * len(lines), [])

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of the prompt with its context."""
        return {"prompt": [prompt_size(line) for line in lines]}

    def violations(self, line: Line) -> Iterable[Violation]:
        """Not exactly one kind of prompt, texts that say nothing, turns out of turn."""
        return prompt_violations(line)


FORMATS: dict[str, Format] = {"rlhf-prompt": RlhfPrompt()}
