"""Job + dataset + catalog → resolved plan: steps, identity, spec hash, template parameters."""

from tunestack.plan.resolve import ResolvedPlan, resolve
from tunestack.plan.steps import StepPlan

__all__ = ["ResolvedPlan", "StepPlan", "resolve"]
