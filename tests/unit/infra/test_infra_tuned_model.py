"""A tuned model as the program declares it, under Pulumi's own mocks: what waits for what, what is protected."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, settings, stack
from pydantic import ValidationError

from tunestack.plan.project import resolve_jobs
from tunestack.plan.resolve import ResolvedPlan
from tunestack.spec.job import JobSpec
from tunestack.spec.stack import StackSpec

ROOT = Path(__file__).resolve().parents[3]
JOB, EVALUATION, VERSION = (
    f"tunestack:vertex:{kind}" for kind in ("PipelineJob", "Evaluation", "ModelVersion")
)
LOCAL = StackSpec(
    name="local",
    project="tunestack-local",
    regions=("us-central1",),
    jobs=("sarcasm-classification",),
    endpoint="http://127.0.0.1:8571",
)
MODEL = "projects/p/locations/us-central1/models/1"


class Answers(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        computed = {"model": MODEL, "samples": [], "outputName": "o", "generation": 1, "url": "gs://bucket"}
        return f"{args.name}-id", {**args.inputs, **computed}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        return {}


class Monitor(mocks.MockMonitor):
    """Keeps what the program registers, by type."""

    def __init__(self) -> None:
        super().__init__(Answers())
        self.registered: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.registered[request.type] = request
        return super().RegisterResource(request)


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    # Pulumi keeps its monitor and options in globals; each program gets a loop and globals of its own.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    sys.path.insert(0, str(ROOT / "infra"))
    monitor = Monitor()
    mocks.set_mocks(Answers(), monitor=monitor)
    yield monitor
    sys.path.remove(str(ROOT / "infra"))
    settings.reset_options()
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture(scope="module")
def plan() -> ResolvedPlan:
    (plan,) = resolve_jobs(ROOT, LOCAL, today=date(2025, 1, 1))
    return plan


def declare(spec: StackSpec, plan: ResolvedPlan, **job: Any) -> Any:
    """The stack's one job, as the program declares it; returns the component."""
    import environment
    import providers
    import tuned_model

    plan = replace(plan, job=plan.job.model_copy(update=job))
    made: list[Any] = []

    async def whole() -> None:
        around = environment.TuningEnvironment("us-central1", stack=spec)
        provider = providers.tunestack_provider(spec)
        made.append(
            tuned_model.TunedModel(
                plan.job.name, plan=plan, stack=spec, environment=around, provider=provider
            )
        )

    asyncio.get_event_loop().run_until_complete(stack.run_pulumi_func(whole))
    return made[0]


def test_the_alias_waits_for_the_verdict(monitor: Monitor, plan: ResolvedPlan) -> None:
    declare(LOCAL, plan)
    version = monitor.registered[VERSION]
    assert list(version.object["aliases"]) == ["local"]
    assert version.object["sourceModel"] == MODEL
    assert [urn for urn in version.dependencies if f"${EVALUATION}::" in urn]


def test_the_job_file_names_other_aliases_or_none(monitor: Monitor, plan: ResolvedPlan) -> None:
    model = declare(LOCAL, plan, aliases=("candidate", "eu"))
    assert list(monitor.registered.pop(VERSION).object["aliases"]) == ["candidate", "eu"]
    assert model.summary["aliases"] == ["candidate", "eu"]
    model = declare(LOCAL, plan, aliases=())
    assert VERSION not in monitor.registered
    assert (model.summary["aliases"], model.summary["version"]) == ([], None)


@pytest.mark.parametrize("alias", ["default", "7", "Prod", "a_b"])
def test_an_alias_that_vertex_ai_does_not_take_is_refused_in_the_job_file(
    plan: ResolvedPlan, alias: str
) -> None:
    with pytest.raises(ValidationError, match="aliases"):
        JobSpec.model_validate({**plan.job.model_dump(), "aliases": [alias]})


@pytest.mark.parametrize(
    ("changes", "protected"),
    [
        ({}, False),
        ({"name": "prod"}, True),
        ({"name": "prod", "protect": False}, False),
        ({"name": "staging", "protect": True}, True),
    ],
)
def test_what_a_model_stands_on_is_protected_in_prod(
    monitor: Monitor, plan: ResolvedPlan, changes: dict[str, Any], protected: bool
) -> None:
    declare(LOCAL.model_copy(update=changes), plan)
    assert {kind: monitor.registered[kind].protect for kind in (JOB, EVALUATION, VERSION)} == dict.fromkeys(
        (JOB, EVALUATION, VERSION), protected
    )
    assert not monitor.registered["gcp:storage/bucketObject:BucketObject"].protect
