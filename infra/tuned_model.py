"""TunedModel: a dataset's objects → the tuning job → its evaluation → the aliases of its version."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_gcp as gcp
from environment import TuningEnvironment

from tunestack.dataset import CompiledFile
from tunestack.dataset.upload import CONTENT_TYPES, object_name
from tunestack.plan import ResolvedPlan
from tunestack.provider import Evaluation, ModelVersion, PipelineJob, Provider
from tunestack.spec.stack import StackSpec


def first_of_each_set(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first sample of each held-out set."""
    return list({sample["set"]: sample for sample in reversed(samples or [])}.values())


class TunedModel(pulumi.ComponentResource):
    """One tuned, judged and served model."""

    def __init__(
        self,
        name: str,
        *,
        plan: ResolvedPlan,
        stack: StackSpec,
        environment: TuningEnvironment,
        provider: Provider,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("tunestack:infra:TunedModel", name, None, opts)
        job, dataset = plan.job, plan.dataset
        # What was paid for: where it is protected, a change that would train it again is refused.
        tuned = pulumi.ResourceOptions(parent=self, provider=provider, protect=stack.protects_models)

        generations: dict[str, pulumi.Input[int]] = {}

        def uploaded(part: str, file: CompiledFile) -> pulumi.Output[str]:
            """Return the gs:// address of ``file``: an object under its digest, or where it lies already."""
            if file.path is None:
                generations[part] = file.generation or 0
                return pulumi.Output.from_input(file.uri or "")
            held = gcp.storage.BucketObject(
                f"{name}-{part}",
                bucket=environment.datasets.name,
                name=object_name(dataset.name, part, file.digest, file.path.suffix),
                source=pulumi.FileAsset(str(file.path)),
                content_type=CONTENT_TYPES[file.path.suffix],
                opts=pulumi.ResourceOptions(parent=self, provider=environment.gcp),
            )
            generations[part] = held.generation
            return pulumi.Output.concat("gs://", held.bucket, "/", held.output_name)

        train = uploaded("train", dataset.train)
        validation = uploaded("validation", dataset.validation) if dataset.validation else None
        held_out = {
            held: uploaded(f"held-out-{held}", file) for held, file in sorted(dataset.held_out.items())
        }
        # The prompt goes with the model: a template edited later does not change how this model is asked.
        prompt = uploaded("prompt", dataset.prompt) if dataset.prompt else None

        self.job = PipelineJob(
            name,
            location=job.region,
            display_name=job.model_display_name,
            template_uri=plan.template.uri,
            parameter_values=plan.parameter_values(
                project=stack.project,
                dataset_uri=train,
                evaluation_uri=validation,
                tensorboard=environment.tensorboard.id,
            ),
            gcs_output_directory=pulumi.Output.concat(environment.pipelines.url, "/", name),
            service_account=environment.runner.email,
            labels={**stack.labels, "tuned-by": "tunestack", "job": name},
            identity=plan.identity,
            on_cancel=job.on_cancel,
            retry_failed=name in stack.retry_failed,
            deletion_policy="ABANDON" if stack.keep_models else "DELETE",
            opts=tuned.merge(
                pulumi.ResourceOptions(
                    depends_on=environment.grants,
                    # An `up` that resumes updates what an earlier one created.
                    custom_timeouts=pulumi.CustomTimeouts(create=job.deadline, update=job.deadline),
                )
            ),
        )
        self.evaluation = Evaluation(
            name,
            location=job.region,
            endpoint=self.job.endpoint,
            base_model=plan.base_model.resource,
            task="classification" if dataset.labels else "generation",
            labels=list(dataset.labels) or None,
            held_out=[
                {"name": held, "uri": uri, "digest": dataset.held_out[held].digest}
                for held, uri in held_out.items()
            ],
            gate=[rule.model_dump(exclude_none=True) for rule in job.gate],
            max_output_tokens=job.max_output_tokens,
            report_directory=pulumi.Output.concat(environment.pipelines.url, "/", name, "/evaluations"),
            opts=tuned,
        )
        # It waits for the verdict: whoever asks for the model by an alias gets the old one until the new one passed.
        aliases = (stack.name,) if job.aliases is None else job.aliases
        self.version = (
            ModelVersion(
                name,
                location=job.region,
                source_model=self.job.model,
                aliases=list(aliases),
                opts=tuned.merge(pulumi.ResourceOptions(depends_on=[self.evaluation])),
            )
            if aliases
            else None
        )
        pulumi.log.info(
            f"{plan.steps.sentence()} on {plan.accelerator.description} in {job.region}",
            self.job,
            ephemeral=True,
        )

        self.summary: dict[str, Any] = {
            "region": job.region,
            "accelerator": plan.accelerator.description,
            "base_model": job.base_model,
            # What a local figure means is said where it is shown.
            "simulated_by": "SmolLM2-135M-Instruct, LoRA" if stack.is_local else None,
            "job": self.job.name,
            "state": self.job.state,
            "adopted": self.job.adopted,
            "model": self.job.model,
            "endpoint": self.job.endpoint,
            "version": self.version.name if self.version else None,
            "aliases": list(aliases),
            "spec_hash": plan.spec_hash,
            "prompt": prompt,
            "dataset": {
                "name": dataset.name,
                "digest": dataset.digest,
                "rows": dataset.train.rows,
                "generations": generations,
            },
            "plan": {
                "batch_size": plan.steps.batch_size,
                "steps_per_epoch": plan.steps.steps_per_epoch,
                "train_steps": plan.steps.train_steps,
                "epochs": plan.steps.epochs,
            },
            "tuning": self.job.tuning,
            "duration_seconds": self.job.duration_seconds,
            "verdict": self.evaluation.verdict,
            "gate": self.evaluation.gate_results,
            "scores": self.evaluation.scores,
            # One a set: all of them are in the report.
            "samples": self.evaluation.samples.apply(first_of_each_set),
            "report": self.evaluation.report_uri,
        }
        self.register_outputs({"model": self.job.model, "endpoint": self.job.endpoint})
