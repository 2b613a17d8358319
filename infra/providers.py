"""The only places that make a provider: explicit project and region, one set of endpoints."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from tunestack.provider import Provider
from tunestack.spec.stack import StackSpec


def gcp_provider(region: str, stack: StackSpec, opts: pulumi.ResourceOptions) -> gcp.Provider:
    """Return the gcp provider of one region; on the local stack every endpoint is the emulator's."""
    name = f"gcp-{region}"
    if stack.endpoint is None:
        return gcp.Provider(name, project=stack.project, region=region, opts=opts)
    base = stack.endpoint
    return gcp.Provider(
        name,
        project=stack.project,
        region=region,
        # A static token keeps the real plugin from looking for an account; a foreign universe domain makes every
        # service without an endpoint below fail closed instead of reaching Google.
        access_token="local",  # noqa: S106 - no secret: the emulator takes any token
        universe_domain="local.invalid",
        user_project_override=False,
        storage_custom_endpoint=f"{base}/storage/v1/",
        vertex_ai_custom_endpoint=f"{base}/v1beta1/",
        resource_manager_custom_endpoint=f"{base}/v1/",
        iam_beta_custom_endpoint=f"{base}/v1/",
        iam_custom_endpoint=f"{base}/",
        service_usage_custom_endpoint=f"{base}/v1beta1/",
        opts=opts,
    )


def tunestack_provider(stack: StackSpec) -> Provider:
    """Return the provider of tuning jobs and evaluations, for all regions of the stack."""
    return Provider(
        "tuning",
        project=stack.project,
        endpoint=stack.endpoint,
        access_token="local" if stack.is_local else None,
    )
