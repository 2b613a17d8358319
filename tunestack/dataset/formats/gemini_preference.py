"""Preference tuning of Gemini: `contents` that end with the user's, and two scored `completions`.

google-genai, `GeminiPreferenceExample`: exactly one completion is preferred (score 1), the other is not (score 0).
docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-preference-tuning (`system_instruction` is in
snake case there, unlike in supervised tuning).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.contents import (
    UNSUPPORTED_FIELDS,
    Contents,
    Instruction,
    Part,
    Parts,
    contents_of,
    contents_violations,
    context_of,
    instruction_of,
    instruction_violations,
    parts_violations,
    size_of,
    text_of,
    turns_of,
)
from tunestack.dataset.formats.format import (
    Example,
    Facts,
    Format,
    Violation,
    canonical,
    canonical_prompt,
)
from tunestack.dataset.formats.rlhf_preference import equal_candidates


class Reply(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The model's turn."""

    role: Annotated[Literal["model"], msgspec.Meta(extra={"code": "unknown-role"})]
    parts: Parts


class Completion(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One of the two answers; its score says whether it was preferred."""

    score: float
    completion: Reply


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A prompt with two answers, one of which was preferred."""

    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_FIELDS

    system_instruction: Instruction | UnsetType = UNSET
    contents: Contents
    completions: Annotated[list[Completion], msgspec.Meta(min_length=1)]


class GeminiPreference:
    """Contents that end with the user, and two completions."""

    name = "gemini-preference"
    line = Line
    completion = False
    texts: Mapping[str, str] = {
        "$.contents": "prompt",
        "$.completions[0].completion": "completion 0",
        "$.completions[1].completion": "completion 1",
    }

    def build(self, example: Example) -> Line:
        """The preferred candidate is the first completion."""
        first, second = example.candidates or ("", "")
        ranked = ((1.0, second), (0.0, first)) if example.preferred else ((1.0, first), (0.0, second))
        return Line(
            system_instruction=instruction_of(example.context),
            contents=contents_of(example.turns),
            completions=[Completion(score, Reply("model", [Part(text)])) for score, text in ranked],
        )

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The preferred answer before the other one, so that the order of the completions is no difference."""
        prompts = [
            canonical_prompt(context_of(line.system_instruction), turns_of(line.contents)) for line in lines
        ]
        answers = [
            canonical(
                [
                    text_of(each.completion.parts)
                    for each in sorted(line.completions, key=lambda each: -each.score)
                ]
            )
            for line in lines
        ]
        subjects = [
            canonical(sorted(text_of(each.completion.parts) for each in line.completions)) for line in lines
        ]
        return Facts(prompts, answers, [], subjects)

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of the prompt with its system instruction, and of the two completions."""
        return {
            "prompt": [size_of(line.contents, line.system_instruction) for line in lines],
            **{
                f"completion {number}": [
                    len(text_of(line.completions[number].completion.parts)) for line in lines
                ]
                for number in (0, 1)
            },
        }

    def violations(self, line: Line) -> Iterator[Violation]:
        """Texts that say nothing, turns out of turn, and completions that are not one better and one worse."""
        yield from instruction_violations(line.system_instruction, "$.system_instruction")
        yield from contents_violations(line.contents, "user")
        completions = line.completions
        for number, each in enumerate(completions):
            yield from parts_violations(each.completion.parts, f"$.completions[{number}].completion")
        scores = [each.score for each in completions]
        if scores not in ([1.0, 0.0], [0.0, 1.0]):
            yield _score_violation(scores)
        if len(completions) == 2 and text_of(completions[0].completion.parts) == text_of(
            completions[1].completion.parts
        ):
            yield equal_candidates("$.completions[1].completion")


def _score_violation(scores: Sequence[float]) -> Violation:
    fix = "give the preferred completion the score 1 and the other one 0"
    if len(scores) != 2:
        message = f"`completions` has {len(scores)} of them, not two"
        return Violation("$.completions", "scores", message, "keep the preferred one and another one")
    for number, score in enumerate(scores):
        if score not in (0.0, 1.0):
            path = f"$.completions[{number}].score"
            return Violation(path, "scores", f"the score is {score:g}, not 0 or 1", fix)
    which = "both completions have" if scores[0] else "neither completion has"
    return Violation("$.completions[1].score", "scores", f"{which} the score 1", fix)


FORMATS: dict[str, Format] = {"gemini-preference": GeminiPreference()}
