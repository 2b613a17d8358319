"""A job file, its compiled dataset and the catalog give a resolved plan: everything that decides the run.

Whatever would fail at Google after minutes or hours and can be known now is a problem here, all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from tunestack.catalog import ACCELERATORS, BASE_MODELS, TEMPLATES, Accelerator, BaseModel, PipelineTemplate
from tunestack.catalog.limits import LIMITS
from tunestack.dataset import CompiledDataset
from tunestack.plan.steps import StepPlan
from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.job import JobSpec
from tunestack.spec.spec_hash import spec_hash
from tunestack.spec.stack import StackSpec


@dataclass(frozen=True)
class ResolvedPlan:
    """One job, ready to be declared. ``identity`` holds all that decides its result; its hash names the run."""

    job: JobSpec
    dataset: CompiledDataset
    accelerator: Accelerator
    base_model: BaseModel
    template: PipelineTemplate
    steps: StepPlan

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides the tuned model, by name. Display names, labels and folders are left out."""
        job = self.job
        validation = self.dataset.validation
        return {
            "accelerator": f"{self.accelerator.kind} {self.accelerator.accelerator_type} × {self.accelerator.count}",
            "base_model": job.base_model,
            "batch_size": str(self.steps.batch_size),
            "dataset": self.dataset.train.digest,
            "early_stopping": str(job.evaluation.early_stopping).lower(),
            "evaluation_data": validation.digest if validation else "",
            "evaluation_interval": str(job.evaluation.interval),
            "learning_rate_multiplier": repr(job.learning_rate_multiplier),
            "method": job.method,
            "region": job.region,
            "template": self.template.uri,
            "train_steps": str(job.train_steps),
        }

    @property
    def spec_hash(self) -> str:
        """The run's identity as 32 hexadecimal digits."""
        return spec_hash(self.identity)

    def parameter_values(
        self, *, project: str, dataset_uri: str, evaluation_uri: str | None, tensorboard: str | None
    ) -> dict[str, object]:
        """Return the template's runtime parameters (vertex-pipelines reference, tune-large-model)."""
        job = self.job
        values: dict[str, object] = {
            "project": project,
            "location": job.region,
            "model_display_name": job.model_display_name,
            "large_model_reference": job.base_model,
            "dataset_uri": dataset_uri,
            "train_steps": job.train_steps,
            "learning_rate_multiplier": job.learning_rate_multiplier,
            "accelerator_type": job.accelerator,
            "enable_early_stopping": job.evaluation.early_stopping if evaluation_uri else False,
        }
        if evaluation_uri:
            values |= {"evaluation_data_uri": evaluation_uri, "evaluation_interval": job.evaluation.interval}
        if tensorboard:
            values["tensorboard_resource_id"] = tensorboard
        return values


def resolve(
    job: JobSpec,
    dataset: CompiledDataset,
    stack: StackSpec,
    *,
    today: date,
    where: Callable[[str], str] = lambda field: f"field {field}",
) -> ResolvedPlan:
    """Resolve ``job`` for ``stack``; ``where`` gives ``file:line:column`` of a field of the job file.

    Raises TunestackError with every problem found.
    """
    problems: list[Problem] = []

    by_region = {row.region: row for row in ACCELERATORS}
    accelerator = by_region.get(job.region)
    if accelerator is None:
        problems.append(
            Problem(
                "unknown-region",
                f"job {job.name}: no tuning pipeline runs in region {job.region!r}{_meant(job.region, by_region)}",
                where("region"),
                have=job.region,
                need=" or ".join(f"{row.region} ({row.description})" for row in ACCELERATORS),
                fix="set `region:` to one of these",
            )
        )
    else:
        if job.accelerator != accelerator.kind:
            fitting = next(row for row in ACCELERATORS if row.kind == job.accelerator)
            problems.append(
                Problem(
                    "accelerator-not-in-region",
                    f"job {job.name}: {job.region} has no {job.accelerator} for tuning",
                    where("accelerator"),
                    have=f"{job.accelerator} in {job.region}",
                    need=f"{accelerator.kind} in {job.region}, or {job.accelerator} in {fitting.region}",
                    fix=f"set `accelerator: {accelerator.kind}` or `region: {fitting.region}`",
                )
            )
        if job.region not in stack.regions:
            problems.append(
                Problem(
                    "region-not-in-stack",
                    f"job {job.name}: stack {stack.name} has no tuning environment in {job.region}",
                    where("region"),
                    have=", ".join(stack.regions),
                    need=job.region,
                    fix=f"add {job.region} to tunestack:regions in Pulumi.{stack.name}.yaml, or move the job",
                )
            )

    base_model = BASE_MODELS.get(job.base_model)
    if base_model is None:
        problems.append(
            Problem(
                "unknown-base-model",
                f"job {job.name}: unknown base model {job.base_model!r}{_meant(job.base_model, BASE_MODELS)}",
                where("base_model"),
                have=job.base_model,
                need=", ".join(BASE_MODELS),
                fix="name the model with its version",
            )
        )
    elif base_model.is_retired(today) and not stack.is_local:
        problems.append(
            Problem(
                "base-model-retired",
                f"job {job.name}: Google retired {job.base_model} on {base_model.retired}; it can no longer be tuned",
                where("base_model"),
                have=f"{job.base_model} on stack {stack.name} (Google)",
                need=f"a model that is offered, such as {base_model.replacement} (its backend, managed, is to come)",
                fix="tune on the local stack (`make up`), where an emulator plays this model",
            )
        )

    formats = [
        limits.format for limits in LIMITS if job.base_model in limits.models and limits.method == job.method
    ]
    if base_model is not None and dataset.format not in formats:
        problems.append(
            Problem(
                "dataset-format",
                f"job {job.name}: {job.method} tuning of {job.base_model} does not take the format of {dataset.name}",
                where("dataset"),
                have=dataset.format,
                need=" or ".join(formats),
                fix=f"set `format:` in datasets/{dataset.name}/dataset.yaml, or name another dataset",
            )
        )

    for rule in job.gate:
        if rule.set not in dataset.held_out:
            problems.append(
                Problem(
                    "unknown-held-out-set",
                    f"job {job.name}: the gate judges held-out set {rule.set!r}, which dataset {dataset.name} lacks"
                    + _meant(rule.set, dataset.held_out),
                    where("gate"),
                    have=rule.set,
                    need=", ".join(dataset.held_out) or "a held_out set in dataset.yaml",
                    fix=f"name a set of datasets/{dataset.name}/dataset.yaml",
                )
            )

    if problems or accelerator is None or base_model is None:
        raise TunestackError(*problems)
    return ResolvedPlan(
        job=job,
        dataset=dataset,
        accelerator=accelerator,
        base_model=base_model,
        template=TEMPLATES[base_model.template],
        steps=StepPlan(
            rows=dataset.train.rows, batch_size=accelerator.batch_size, train_steps=job.train_steps
        ),
    )


def _meant(given: str, allowed: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for a near miss, else nothing."""
    close = difflib.get_close_matches(given, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
