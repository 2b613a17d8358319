"""Refresh: what the providers say about what is in state."""

from __future__ import annotations

import asyncio
import contextlib

from tunestack.engine.answers import Diff, ProviderError
from tunestack.engine.deployment import Deployment, settle_secrets
from tunestack.engine.diffs import invert
from tunestack.engine.errors import EngineError, ResourceError
from tunestack.engine.events import Step
from tunestack.engine.state import Resource
from tunestack.engine.urns import is_provider_type
from tunestack.engine.values import equal


async def refresh_all(deployment: Deployment) -> None:
    """Read every resource; state then holds what was found, and not what is gone."""
    live = [resource for resource in deployment.base.resources if not resource.delete]
    resources = deployment.scope.to_refresh(live)
    await asyncio.gather(*(_refresh_into_state(deployment, resource) for resource in resources))
    _forget_missing(deployment)


async def _refresh_into_state(deployment: Deployment, resource: Resource) -> None:
    with contextlib.suppress(ResourceError):
        found = await refresh_resource(deployment, resource, shown=True)
        if found is not resource:
            deployment.journal.replace(resource, found)


def _forget_missing(deployment: Deployment) -> None:
    """Cut references to what is gone: state may not name what it does not have."""
    snapshot = deployment.journal.snapshot()
    there = {resource.urn for resource in snapshot.resources}
    for resource in snapshot.resources:
        if all(urn in there for urn in resource.needs()):
            continue
        kept = resource.copy(
            parent=resource.parent if resource.parent in there else "",
            dependencies=[urn for urn in resource.dependencies if urn in there],
            property_dependencies={
                key: [urn for urn in urns if urn in there]
                for key, urns in resource.property_dependencies.items()
            },
            deleted_with=resource.deleted_with if resource.deleted_with in there else "",
            replace_with=[urn for urn in resource.replace_with if urn in there],
        )
        deployment.journal.replace(resource, kept)


async def refresh_resource(deployment: Deployment, old: Resource, shown: bool) -> Resource | None:
    """The resource as it is now: the same object when nothing can be read, None when it is gone.

    Raises:
        ResourceError: it could not be read; reported.
    """
    step = Step("refresh", old, old, logical=False)
    if shown:
        deployment.reporter.begin(step)
    if not old.custom or is_provider_type(old.type) or old.pending_replacement:
        if shown:
            deployment.reporter.done(step, "same")
        return old
    try:
        await deployment.registry.ensure(old.provider, deployment.old_providers)
        provider = deployment.registry.get(old.provider)
        async with deployment.slots:
            if deployment.stopping:
                raise ResourceError("the operation is ending")
            outcome = await provider.read(old, old.id, old.inputs, old.outputs, deployment.status_address)
        if outcome.failed:
            reasons = "\n* ".join(outcome.reasons)
            deployment.reporter.warning(f"Refreshed resource is in an unhealthy state:\n* {reasons}", old.urn)
        if not outcome.id:
            if shown:
                deployment.reporter.done(Step("refresh", old, None, logical=False), "delete")
            return None
        found = old.copy(
            id=outcome.id,
            inputs=old.inputs if outcome.inputs is None else outcome.inputs,
            outputs=outcome.outputs,
            init_errors=list(outcome.reasons),
            refresh_before_update=outcome.refresh_before_update,
        )
        settle_secrets(found)
        changed = not equal(found.inputs, old.inputs) or not equal(found.outputs, old.outputs)
        if changed:
            found.modified = deployment.now()
        else:
            found.inputs, found.outputs = old.inputs, old.outputs
        diff = Diff()
        if not old.external:
            # What would `up` change back? Seen from here, that is the drift the other way around.
            diff = await provider.diff(found, found.inputs, found.outputs, old.inputs, old.ignore_changes)
            diff = invert(diff)
    except (ProviderError, EngineError) as error:
        if shown:
            deployment.reporter.failed(step)
        deployment.fail(str(error), old.urn)
        raise ResourceError(str(error)) from error
    if shown:
        drifted = diff.changes == "some" or (diff.changes == "unknown" and changed)
        keys = tuple(sorted(diff.changed_keys))
        result = Step("refresh", old, found, (), keys, diff.detailed, logical=False)
        deployment.reporter.done(result, "update" if drifted else "same")
    return found
