"""Supervised text and code tuning: `{"input_text", "output_text"}` a line.

The format of the PaLM 2 tuning pipelines (`tune-large-model`, and its sibling for code models).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tunestack.dataset.formats.format import Example, Facts, Format, Text, Violation, says_nothing


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A prompt and its answer."""

    input_text: Text
    output_text: Text


class Supervised:
    """One prompt, one answer."""

    line = Line
    completion = True
    texts: Mapping[str, str] = {"$.input_text": "prompt", "$.output_text": "answer"}

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, example: Example) -> Line:
        """The last turn is the prompt: this format has no other turns and no context."""
        return Line(example.turns[-1].text, example.targets[0])

    def facts(self, lines: Sequence[Line]) -> Facts:
        """Prompts and answers as they stand; the answers are the labels."""
        answers = [line.output_text for line in lines]
        return Facts([line.input_text for line in lines], answers, answers)

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of prompt and answer."""
        return {"prompt": list(map(len, facts.prompts)), "answer": list(map(len, facts.answers))}

    def violations(self, line: Line) -> Iterable[Violation]:
        """Texts that say nothing."""
        prompt, answer = line.input_text, line.output_text
        if prompt and answer and not prompt.isspace() and not answer.isspace():
            return ()
        texts: Mapping[str, str] = {"$.input_text": prompt, "$.output_text": answer}
        return [says_nothing(path, text) for path, text in texts.items() if not text or text.isspace()]


FORMATS: dict[str, Format] = {name: Supervised(name) for name in ("supervised", "code")}
