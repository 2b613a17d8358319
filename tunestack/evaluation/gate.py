"""What a tuned model must reach, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tunestack.spec.job import GateRule

Scores = Mapping[str, Mapping[str, float]]
"""``{"tuned": {metric: score}, "base": {metric: score}}`` of one held-out set."""

TOLERANCE = 1e-9
"""Scores are sums of floats: a bound that is met exactly must not fail by the last bit."""


@dataclass(frozen=True)
class GateResult:
    """One rule and what came of it; ``line`` is for a person."""

    rule: GateRule
    passed: bool
    tuned: float
    base: float

    @property
    def line(self) -> str:
        """``PASS plain accuracy 0.90, needs ≥ 0.85 (base 0.00)``."""
        rule, base = self.rule, f"{self.base:.2f}"
        if rule.at_least is not None:
            need = f"≥ {rule.at_least:.2f} (base {base})"
        elif rule.at_most is not None:
            need = f"≤ {rule.at_most:.2f} (base {base})"
        elif rule.above_base is not None:
            need = f"≥ {self.base + rule.above_base:.2f} (base {base} + {rule.above_base:.2f})"
        else:
            below = rule.below_base or 0.0
            need = f"≤ {self.base - below:.2f} (base {base} − {below:.2f})"
        metric = rule.metric.replace("_", " ")
        return f"{'PASS' if self.passed else 'FAIL'} {rule.set} {metric} {self.tuned:.2f}, needs {need}"


def apply_rule(rule: GateRule, scores: Mapping[str, Scores]) -> GateResult:
    """Raises KeyError where the set or the metric was not measured."""
    tuned, base = scores[rule.set]["tuned"][rule.metric], scores[rule.set]["base"][rule.metric]
    if rule.at_least is not None:
        distance = tuned - rule.at_least
    elif rule.at_most is not None:
        distance = rule.at_most - tuned
    elif rule.above_base is not None:
        distance = tuned - base - rule.above_base
    else:
        distance = base - tuned - (rule.below_base or 0.0)
    return GateResult(rule, distance >= -TOLERANCE, tuned, base)
