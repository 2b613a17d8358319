"""Tuned against base on the same rows, and the verdict of the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunestack.evaluation import classification, generation
from tunestack.evaluation.gate import GateResult, apply_rule
from tunestack.spec.job import GateRule

Task = Literal["classification", "generation"]
Verdict = Literal["PASS", "FAIL"]

METRICS: Mapping[str, tuple[str, ...]] = {
    "classification": classification.METRICS,
    "generation": generation.METRICS,
}
"""The metrics of each task, by the names that a gate may use."""

SAMPLES = 3
"""Rows of each set that are shown as examples: the first ones, so that every run shows the same."""


@dataclass(frozen=True)
class HeldOutRow:
    """A prompt as compiled, and the replies that would be right (a classification has one)."""

    input: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class HeldOutSet:
    """Rows that the model was not trained on; ``digest`` of the file they came from."""

    name: str
    uri: str
    digest: str
    rows: tuple[HeldOutRow, ...]


@dataclass(frozen=True)
class Replies:
    """What both models answered to the rows of one set, in the order of the rows."""

    tuned: tuple[str, ...]
    base: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """One row side by side."""

    set: str
    input: str
    base: str
    tuned: str
    reference: str


@dataclass(frozen=True)
class Judgement:
    """``scores``: set → ``tuned`` and ``base`` → metric → score in 0–1."""

    verdict: Verdict
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    gate: tuple[GateResult, ...]
    samples: tuple[Sample, ...]

    @property
    def lines(self) -> list[str]:
        """The gate for a person, one line a rule."""
        return [result.line for result in self.gate]


def judge(
    task: Task,
    labels: Sequence[str],
    sets: Sequence[HeldOutSet],
    replies: Mapping[str, Replies],
    rules: Sequence[GateRule],
) -> Judgement:
    """Scores both models on every set and applies the rules; without a rule nothing is asked, so it passes.

    Raises KeyError for a rule whose set or metric does not exist, ValueError for an empty set or missing replies.
    """
    scores = {
        held.name: {
            "tuned": _scores(task, labels, held, replies[held.name].tuned),
            "base": _scores(task, labels, held, replies[held.name].base),
        }
        for held in sets
    }
    results = tuple(apply_rule(rule, scores) for rule in rules)
    samples = tuple(
        Sample(held.name, row.input, base, tuned, row.references[0])
        for held in sets
        for row, base, tuned in list(
            zip(held.rows, replies[held.name].base, replies[held.name].tuned, strict=True)
        )[:SAMPLES]
    )
    verdict: Verdict = "PASS" if all(result.passed for result in results) else "FAIL"
    return Judgement(verdict, scores, results, samples)


def _scores(task: Task, labels: Sequence[str], held: HeldOutSet, replies: Sequence[str]) -> dict[str, float]:
    if task == "classification":
        due = [row.references[0] for row in held.rows]
        scores = classification.classification_scores(replies, due, labels)
    else:
        inputs = [row.input for row in held.rows]
        scores = generation.generation_scores(replies, [row.references for row in held.rows], inputs)
    # Six digits are more than any set of rows can tell apart, and the same on every machine.
    return {name: round(score, 6) for name, score in sorted(scores.items())}
