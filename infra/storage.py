"""The buckets of one region: compiled datasets, and the working directories of tuning pipelines."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from tunestack.spec.stack import StackSpec


def bucket(purpose: str, region: str, stack: StackSpec, opts: pulumi.ResourceOptions) -> gcp.storage.Bucket:
    """Declare one bucket in ``region``. Names are global at Google, hence the project in them."""
    return gcp.storage.Bucket(
        f"{purpose}-{region}",
        name=f"{stack.project}-{purpose}-{region}",
        location=region.upper(),
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning={"enabled": True},
        force_destroy=not stack.keep_data,
        labels={**stack.labels, "purpose": purpose},
        opts=opts,
    )
