"""The service account that runs tuning pipelines in one region, and what it may do."""

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


def may_tune(
    region: str, stack: StackSpec, account: gcp.serviceaccount.Account, opts: pulumi.ResourceOptions
) -> gcp.projects.IAMMember:
    """Let ``account`` make the jobs, models and endpoints of a pipeline's steps.

    Vertex AI makes them in its name and asks for this role on the project: there is none for less
    (cloud.google.com/vertex-ai/docs/pipelines/configure-project#service-account).
    """
    return gcp.projects.IAMMember(
        f"runner-tunes-{region}",
        project=stack.project,
        role="roles/aiplatform.user",
        member=account.member,
        opts=opts,
    )


def grant(
    name: str,
    bucket: gcp.storage.Bucket,
    role: str,
    account: gcp.serviceaccount.Account,
    opts: pulumi.ResourceOptions,
) -> gcp.storage.BucketIAMMember:
    """Let ``account`` use ``bucket`` with ``role``: what it reads and writes is granted bucket by bucket."""
    return gcp.storage.BucketIAMMember(name, bucket=bucket.name, role=role, member=account.member, opts=opts)
