"""Preferences of the RLHF pipeline: a prompt, `candidate_0`, `candidate_1`, and the `choice`, 0 or 1.

google-cloud-pipeline-components, `rlhf_pipeline`: the parameter `preference_dataset`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, cast

import msgspec

from tunestack.dataset.formats.format import (
    Example,
    Facts,
    Format,
    Text,
    Violation,
    canonical,
    says_nothing,
)
from tunestack.dataset.formats.prompt import (
    PromptLine,
    prompt_fields,
    prompt_of,
    prompt_size,
    prompt_violations,
)

Choice = Literal[0, 1]


class Line(PromptLine, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A prompt with two answers, one of which was preferred."""

    candidate_0: Text
    candidate_1: Text
    choice: Annotated[Choice, msgspec.Meta(extra={"code": "choice-out-of-range"})]


class RlhfPreference:
    """Two answers and the choice between them."""

    name = "rlhf-preference"
    line = Line
    completion = False
    texts: Mapping[str, str] = {
        "$.input_text": "prompt",
        "$.candidate_0": "candidate 0",
        "$.candidate_1": "candidate 1",
    }

    def build(self, example: Example) -> Line:
        """The candidates stay in their order."""
        candidates = example.candidates or ("", "")
        return Line(
            **prompt_fields(example),
            candidate_0=candidates[0],
            candidate_1=candidates[1],
            choice=cast(Choice, example.preferred),
        )

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The preferred answer before the other one, so that the order of the candidates is no difference."""
        answers = [
            canonical(
                [line.candidate_1, line.candidate_0] if line.choice else [line.candidate_0, line.candidate_1]
            )
            for line in lines
        ]
        subjects = [canonical(sorted((line.candidate_0, line.candidate_1))) for line in lines]
        return Facts([prompt_of(line) for line in lines], answers, [], subjects)

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of the prompt with its context, and of the two candidates."""
        return {
            "prompt": [prompt_size(line) for line in lines],
            "candidate 0": [len(line.candidate_0) for line in lines],
            "candidate 1": [len(line.candidate_1) for line in lines],
        }

    def violations(self, line: Line) -> Iterator[Violation]:
        """Those of a prompt, candidates that say nothing or the same, and a choice of neither."""
        yield from prompt_violations(line)
        first, second = line.candidate_0, line.candidate_1
        for path, text in (("$.candidate_0", first), ("$.candidate_1", second)):
            if not text or text.isspace():
                yield says_nothing(path, text)
        if first == second:
            yield equal_candidates("$.candidate_1")
        if line.choice not in (0, 1):
            message = f"`choice` is {line.choice}, not one of 0, 1"
            yield Violation("$.choice", "choice-out-of-range", message, "write one of 0, 1")


def equal_candidates(path: str) -> Violation:
    """The violation of two candidates between which there is nothing to choose."""
    message = "both candidates are the same text"
    return Violation(path, "equal-candidates", message, "write two different ones, or delete the row")


FORMATS: dict[str, Format] = {"rlhf-preference": RlhfPreference()}
