"""Deletes: in the order that dependencies ask for, side by side where they allow it."""

from __future__ import annotations

import asyncio
import contextlib

from tunestack.engine.callbacks import HookFailed
from tunestack.engine.deployment import Deployment
from tunestack.engine.diffs import apply_replace_on_changes, known_diff
from tunestack.engine.errors import EngineError, ResourceError
from tunestack.engine.events import Step
from tunestack.engine.state import Resource
from tunestack.engine.urns import is_provider_type
from tunestack.engine.values import UNKNOWN, Properties


class Deletion:
    """Deletes what is no longer wanted."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    # -- at the end of an update, or of everything --

    async def delete_unwanted(self) -> None:
        """Delete what the program did not ask for again, and old generations, as far as the scope goes."""
        deployment = self._deployment
        resources, unasked = deployment.scope.to_delete(
            deployment.journal.remaining(), deployment.base.resources
        )
        for urn in unasked:
            deployment.complain(
                f"Resource '{urn}' will be destroyed but was not specified in --target list.\n"
                "Either include resource in --target list or pass --target-dependents to proceed.",
                urn,
            )
        if deployment.stopping:
            return
        going = {id(resource) for resource in resources}
        for resource in deployment.journal.remaining():
            if id(resource) not in going and not resource.delete:
                untouched = Step("same", resource, resource)
                deployment.reporter.begin(untouched)
                deployment.reporter.done(untouched)
        await self._delete_all(resources)

    async def _delete_all(self, resources: list[Resource]) -> None:
        """Delete `resources` (in the order of the state), each after everything that depends on it."""
        deployment = self._deployment
        deployment.deletes |= {resource.urn for resource in resources}
        protected = [resource for resource in resources if self._protected(resource)]
        if protected:
            return
        finished: dict[int, asyncio.Task[bool]] = {}
        for index in range(len(resources) - 1, -1, -1):
            resource = resources[index]
            dependents = [
                finished[id(other)] for other in resources[index + 1 :] if _depends(other, resource)
            ]
            finished[id(resource)] = asyncio.create_task(self._delete_after(resource, dependents))
        await asyncio.gather(*finished.values())

    async def _delete_after(self, resource: Resource, dependents: list[asyncio.Task[bool]]) -> bool:
        if not all([await dependent for dependent in dependents]):
            return False
        if self._deployment.stopping and not self._deployment.preview:
            return False
        try:
            await self._delete(resource)
        except ResourceError:
            return False
        except Exception as error:  # whatever it was: what this needs must not be deleted under it
            self._deployment.fail(f"{type(error).__name__}: {error}", resource.urn)
            return False
        return True

    def _protected(self, resource: Resource) -> bool:
        if not resource.protect or resource.pending_replacement:
            return False
        self._deployment.fail(
            f'resource "{resource.urn}" cannot be deleted\nbecause it is protected. To unprotect the resource, '
            "either remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the "
            f"command:\n`pulumi state unprotect '{resource.urn}'`",
            resource.urn,
        )
        return True

    # -- before a replacement --

    async def delete_for_replacement(self, old: Resource) -> None:
        """Delete `old` now, and before it everything that must be replaced because of that."""
        deployment = self._deployment
        async with deployment.replacing:
            for dependent, keys in reversed(await self._dependents_to_replace(old)):
                if self._protected(dependent):
                    raise ResourceError(f"{dependent.urn} is protected")
                deployment.replace_keys[dependent.urn] = keys
                await self._delete_early(dependent)
            with deployment.asking(old.urn):
                await deployment.registry.ensure(old.provider, deployment.old_providers)
            await self._delete_early(old)

    async def _delete_early(self, resource: Resource) -> None:
        deployment = self._deployment
        if id(resource) in deployment.deleted_early:
            return
        deployment.deletes.add(resource.urn)
        deployment.deleted_early.add(id(resource))
        await self._delete(resource, pending_replacement=not resource.delete)

    async def _dependents_to_replace(self, root: Resource) -> list[tuple[Resource, tuple[str, ...]]]:
        """Those of the root's dependents that a change of what they depend on would replace."""
        deployment = self._deployment
        replaced = {root.urn}
        found: list[tuple[Resource, tuple[str, ...]]] = []

        def registered(urn: str) -> bool:
            return urn in deployment.steps  # so it cannot depend on what is only registered now

        for dependent in deployment.graph.dependents(root, registered):
            keys = await self._replaced_by(dependent, replaced)
            if keys is not None:
                replaced.add(dependent.urn)
                found.append((dependent, keys))
        return found

    async def _replaced_by(self, resource: Resource, replaced: set[str]) -> tuple[str, ...] | None:
        deployment = self._deployment
        if not resource.custom or resource.external:
            return None
        if resource.provider.rpartition("::")[0] in replaced or resource.deleted_with in replaced:
            return ()
        if replaced.intersection(resource.replace_with):
            return ()
        inputs: Properties = dict(resource.inputs)
        touched = [
            key
            for key, urns in resource.property_dependencies.items()
            if replaced & set(urns) and key in inputs
        ]
        if not touched:
            return None
        inputs.update(dict.fromkeys(touched, UNKNOWN))
        with deployment.asking(resource.urn):
            if is_provider_type(resource.type):
                await deployment.registry.ensure(f"{resource.urn}::{resource.id}", deployment.old_providers)
                diff = await deployment.registry.diff(resource, inputs, resource.ignore_changes)
            else:
                await deployment.registry.ensure(resource.provider, deployment.old_providers)
                provider = deployment.registry.get(resource.provider)
                diff = await provider.diff(
                    resource, resource.inputs, resource.outputs, inputs, resource.ignore_changes
                )
                diff = known_diff(diff, resource.inputs, inputs)
        diff = apply_replace_on_changes(diff, resource.replace_on_changes, False)
        return diff.replace_keys if diff.replace else None

    # -- one resource --

    async def _delete(self, old: Resource, pending_replacement: bool = False) -> None:
        deployment = self._deployment
        if old.pending_replacement:  # deleted already, and never replaced
            await deployment.journal.end(remove=old)
            return
        replacing = old.delete or pending_replacement
        op = "delete-replaced" if replacing else "delete"
        if old.external:
            op = "discard-replaced" if replacing else "discard"
        step = Step(op, old, None, logical=not replacing)
        deployment.reporter.begin(step)
        await self._hooks("BeforeDelete", step, old)
        if deployment.preview:
            old.pending_replacement = pending_replacement
            deployment.reporter.done(step)
            return
        kept = old.external or old.retain_on_delete or old.deleted_with in deployment.deletes
        if old.custom and not is_provider_type(old.type) and not kept:
            with deployment.asking(old.urn):
                await deployment.registry.ensure(old.provider, deployment.old_providers)
            async with deployment.calling(step, "deleting", old) as pending:
                await deployment.registry.get(old.provider).delete(old, deployment.status_address)
        else:
            pending = None
        if pending_replacement:
            old.pending_replacement = True
            await deployment.journal.end(pending)
        else:
            await deployment.journal.end(pending, remove=old)
        deployment.reporter.done(step)
        with contextlib.suppress(ResourceError):
            await self._hooks("AfterDelete", step, old)

    async def _hooks(self, kind: str, step: Step, old: Resource) -> None:
        deployment = self._deployment
        if not old.resource_hooks.get(kind):
            return

        def warn(message: str) -> None:
            deployment.reporter.warning(message, old.urn)

        try:
            await deployment.callbacks.run_hooks(kind, old, None, False, warn)
        except (HookFailed, EngineError) as error:
            deployment.reporter.failed(step)
            deployment.fail(str(error), old.urn)
            raise ResourceError(str(error)) from error


def _depends(resource: Resource, other: Resource) -> bool:
    return any(urn == other.urn for urn in resource.needs())
