"""Scores of replies that should be one of a few labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunestack.evaluation.labels import is_label, read_label

METRICS = ("accuracy", "answered", "macro_f1", "majority")


def classification_scores(
    replies: Sequence[str], references: Sequence[str], labels: Sequence[str]
) -> dict[str, float]:
    """Scores in 0–1, by name (``METRICS``); ``replies`` and ``references`` are parallel and not empty.

    A reply that gives no label is wrong. ``answered``: the share of replies that are a label and nothing else.
    ``majority``: the accuracy of always giving the commonest reference. Raises ValueError for empty or unequal lists.
    """
    if not references or len(replies) != len(references):
        raise ValueError(f"{len(replies)} replies to {len(references)} references")
    given = [read_label(reply, labels) for reply in replies]
    right = sum(one == other for one, other in zip(given, references, strict=True))
    return {
        "accuracy": right / len(references),
        "answered": sum(is_label(reply, labels) for reply in replies) / len(replies),
        "macro_f1": macro_f1(given, references, labels),
        "majority": max(Counter(references).values()) / len(references),
    }


def macro_f1(given: Sequence[str | None], references: Sequence[str], labels: Sequence[str]) -> float:
    """Mean of the labels' F1, a label that is neither given nor due counting 0.

    Ten lines by hand: scikit-learn, which has it, would be the largest dependency of the package by far.
    """
    total = 0.0
    for label in labels:
        hits = sum(one == other == label for one, other in zip(given, references, strict=True))
        predicted = sum(one == label for one in given)
        due = sum(other == label for other in references)
        total += 2 * hits / (predicted + due) if predicted + due else 0.0
    return total / len(labels)
