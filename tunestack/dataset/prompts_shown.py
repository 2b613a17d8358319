"""What tells prompts of one template apart: the words of the template, which all have, are not shown each time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile


def common_lines(prompts: Sequence[str]) -> tuple[int, int]:
    """How many characters all prompts begin with and end with, in whole lines; none of a single prompt."""
    if len(set(prompts)) < 2:
        return 0, 0
    start = prompts[0][: _same_start(prompts)].rfind("\n") + 1
    backwards = [prompt[start:][::-1] for prompt in prompts]
    return start, backwards[0][: _same_start(backwards)].rfind("\n") + 1


def own_part(prompt: str, start: int, end: int) -> str:
    """A prompt without what it has in common with the others; all of it where that leaves nothing."""
    return prompt[start : len(prompt) - end].strip() or prompt


def _same_start(texts: Sequence[str]) -> int:
    # What the first and the last in order have in common, all between them have.
    pairs = zip(min(texts), max(texts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
