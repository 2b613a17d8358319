"""The Pulumi program: one TuningEnvironment for each region, one TunedModel for each job of the stack."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pulumi
from configuration import read_stack
from environment import TuningEnvironment
from providers import tunestack_provider
from tuned_model import TunedModel

from tunestack.plan import ResolvedPlan
from tunestack.plan.project import resolve_jobs
from tunestack.spec.errors import TunestackError


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    stack = read_stack(root)
    # Everything that can be refused is refused here, before a single resource is registered.
    plans: list[ResolvedPlan] = resolve_jobs(root, stack, today=datetime.now(UTC).date())

    tuning = tunestack_provider(stack)
    environments = {region: TuningEnvironment(region, stack=stack) for region in stack.regions}
    models = {
        plan.job.name: TunedModel(
            plan.job.name, plan=plan, stack=stack, environment=environments[plan.job.region], provider=tuning
        )
        for plan in plans
    }

    pulumi.export(
        "environments", {region: environment.summary for region, environment in environments.items()}
    )
    pulumi.export("models", {name: model.summary for name, model in models.items()})


try:
    main()
except TunestackError as error:
    # A RunError is shown as its message alone: the reader needs the list, not our call stack.
    raise pulumi.RunError(str(error)) from None
