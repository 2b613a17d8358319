"""TuningEnvironment: everything in one region that a tuning job needs around it."""

from __future__ import annotations

from typing import Any

import pulumi
from identity import grant, may_tune, pipeline_runner
from observability import tensorboard
from providers import gcp_provider
from storage import bucket

from tunestack.catalog import accelerator_in
from tunestack.spec.stack import StackSpec


class TuningEnvironment(pulumi.ComponentResource):
    """Buckets, the runner's identity and the Tensorboard of one region, with a provider of their own."""

    def __init__(self, region: str, *, stack: StackSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("tunestack:infra:TuningEnvironment", f"tuning-{region}", None, opts)
        self.region = region
        self.gcp = gcp_provider(region, stack, pulumi.ResourceOptions(parent=self))
        inside = pulumi.ResourceOptions(parent=self, provider=self.gcp)

        self.datasets = bucket("datasets", region, stack, inside)
        self.pipelines = bucket("pipelines", region, stack, inside)
        self.runner = pipeline_runner(region, stack, inside)
        # The runner reads what it is tuned on and writes what it makes, nothing else.
        self.grants = [
            may_tune(region, stack, self.runner, inside),
            grant(
                f"runner-reads-datasets-{region}",
                self.datasets,
                "roles/storage.objectViewer",
                self.runner,
                inside,
            ),
            grant(
                f"runner-writes-pipelines-{region}",
                self.pipelines,
                "roles/storage.objectUser",
                self.runner,
                inside,
            ),
        ]
        self.tensorboard = tensorboard(region, stack, inside)

        accelerator = accelerator_in(region)
        self.summary: dict[str, Any] = {
            "datasets_bucket": self.datasets.url,
            "pipelines_bucket": self.pipelines.url,
            "service_account": self.runner.email,
            "tensorboard": self.tensorboard.name,
            "accelerator": accelerator.description if accelerator else "none",
            "data_residency": accelerator.data_residency if accelerator else "unknown",
        }
        self.register_outputs(self.summary)
