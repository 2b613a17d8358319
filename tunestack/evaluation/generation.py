"""Scores of free text against references, and of its variety."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

METRICS = ("bleu", "commonest_opening", "copies_input", "distinct_1", "distinct_2", "rouge_l")

COPIED = 0.6
"""A reply copies its input when more than this share of its words stands in the input, in the same order."""


def generation_scores(
    replies: Sequence[str], references: Sequence[Sequence[str]], inputs: Sequence[str]
) -> dict[str, float]:
    """Scores in 0–1, by name (``METRICS``); the lists are parallel and not empty, each row has ≥ 1 reference.

    ``bleu``: corpus BLEU of sacrebleu (13a, exponential smoothing) / 100. ``rouge_l``: mean over the rows of the best
    F-measure against any reference (rouge_score, no stemming). ``copies_input``: share of replies whose ROUGE-L
    precision against their own prompt exceeds ``COPIED``. ``distinct_n``: distinct n-grams / n-grams over all replies
    (Li et al. 2016). ``commonest_opening``: share of the replies that begin with the commonest first word.
    Raises ValueError for empty or unequal lists and for a row without a reference.
    """
    if not replies or not len(replies) == len(references) == len(inputs) or not all(references):
        raise ValueError(
            f"{len(replies)} replies, {len(inputs)} inputs, {len(references)} rows of references"
        )
    words = [_words(reply) for reply in replies]
    openings = Counter(row[0] for row in words if row)
    return {
        "bleu": _bleu(replies, references),
        "commonest_opening": max(openings.values(), default=0) / len(replies),
        "copies_input": copies_input(replies, inputs),
        "distinct_1": distinct(words, 1),
        "distinct_2": distinct(words, 2),
        "rouge_l": _rouge_l(replies, references),
    }


def distinct(rows: Sequence[Sequence[str]], n: int) -> float:
    """Distinct n-grams among all n-grams of the rows; 0 where there is none."""
    grams = [tuple(row[start : start + n]) for row in rows for start in range(len(row) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def copies_input(replies: Sequence[str], inputs: Sequence[str]) -> float:
    """Share of the replies that mostly repeat their prompt."""
    scorer = _scorer()
    shares: list[float] = [
        scorer.score(prompt, reply)["rougeL"].precision for reply, prompt in zip(replies, inputs, strict=True)
    ]
    return sum(share > COPIED for share in shares) / len(shares)


def _bleu(replies: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    import sacrebleu

    most = max(len(row) for row in references)
    # sacrebleu wants streams of references; None fills the rows that have fewer.
    streams = [[row[index] if index < len(row) else None for row in references] for index in range(most)]
    score: float = sacrebleu.corpus_bleu(list(replies), streams).score  # type: ignore[arg-type]
    return min(1.0, score / 100)


def _rouge_l(replies: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    scorer = _scorer()
    total = 0.0
    for reply, row in zip(replies, references, strict=True):
        total += max(scorer.score(reference, reply)["rougeL"].fmeasure for reference in row)
    return total / len(replies)


def _scorer() -> Any:  # rouge_score has no types
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())
