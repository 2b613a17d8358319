"""Where the curves of a region's tuning jobs go."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from tunestack.spec.stack import StackSpec


def tensorboard(region: str, stack: StackSpec, opts: pulumi.ResourceOptions) -> gcp.vertex.AiTensorboard:
    """Declare the Tensorboard of one region; a tuning job must use one of its own region."""
    return gcp.vertex.AiTensorboard(
        f"tensorboard-{region}",
        display_name=f"{stack.name}-tuning",
        description="Curves of tuning jobs",
        region=region,
        project=stack.project,
        labels=stack.labels,
        opts=opts,
    )
