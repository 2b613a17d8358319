"""The service account that runs tuning pipelines in one region, and what it may do: bucket by bucket."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from tunestack.spec.stack import StackSpec


def pipeline_runner(
    region: str, stack: StackSpec, opts: pulumi.ResourceOptions
) -> gcp.serviceaccount.Account:
    """Declare the runner's account; it gets no key, ever."""
    return gcp.serviceaccount.Account(
        f"pipeline-runner-{region}",
        account_id=f"tuning-{region}",
        display_name=f"Runs tuning pipelines in {region}",
        project=stack.project,
        opts=opts,
    )


def grant(
    name: str,
    bucket: gcp.storage.Bucket,
    role: str,
    account: gcp.serviceaccount.Account,
    opts: pulumi.ResourceOptions,
) -> gcp.storage.BucketIAMMember:
    """Let ``account`` use ``bucket`` with ``role``; never a role on the project."""
    return gcp.storage.BucketIAMMember(name, bucket=bucket.name, role=role, member=account.member, opts=opts)
