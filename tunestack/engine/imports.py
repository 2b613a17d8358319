"""Import: taking what exists already into state, by its id (``pulumi import TYPE NAME ID``).

As the CLI does it (``pkg/resource/deploy/import.go``): Read with the id alone, then Check of what was read,
whose failures are warnings; no program runs, and what is in state already stays as it is.
"""

from __future__ import annotations

import asyncio

from tunestack.engine.answers import ProviderError
from tunestack.engine.defaults import DefaultProviders
from tunestack.engine.deployment import Deployment, settle_secrets
from tunestack.engine.errors import EngineError, ResourceError
from tunestack.engine.events import Step
from tunestack.engine.options import Import
from tunestack.engine.registration import Registrations
from tunestack.engine.state import Resource
from tunestack.engine.urns import PROVIDER_PREFIX, ROOT_STACK_TYPE, make_urn, package_of

DEFAULT_PROVIDER = "default"


class Importer:
    """Imports resources into the state of one stack."""

    def __init__(
        self, deployment: Deployment, registrations: Registrations, defaults: DefaultProviders
    ) -> None:
        self._deployment = deployment
        self._registrations = registrations
        self._defaults = defaults

    async def import_all(self, imports: tuple[Import, ...]) -> None:
        """Import every one, side by side; the first that fails fails the operation, the others end."""
        for resource in list(self._deployment.base.resources):
            if not resource.delete:  # in its order, before all that is imported
                self._deployment.journal.keep(resource)
                self._same(resource)
        root = self._root()
        try:
            references = [await self._provider(item) for item in imports]
        except ResourceError:
            return
        await asyncio.gather(
            *(
                self._import(item, item.parent or root, reference)
                for item, reference in zip(imports, references, strict=True)
            )
        )

    def _same(self, resource: Resource) -> None:
        step = Step("same", resource, resource)
        self._deployment.reporter.begin(step)
        self._deployment.reporter.done(step)

    def _root(self) -> str:
        """The root stack, made where nothing was built yet."""
        deployment = self._deployment
        for resource in deployment.olds.values():
            if resource.type == ROOT_STACK_TYPE and not resource.parent:
                return resource.urn
        name = f"{deployment.project}-{deployment.stack}"
        urn = make_urn(deployment.stack, deployment.project, "", ROOT_STACK_TYPE, name)
        now = deployment.now()
        root = Resource(urn, ROOT_STACK_TYPE, custom=False, created=now, modified=now)
        step = Step("create", None, root)
        deployment.reporter.begin(step)
        deployment.journal.apply(add=root)
        deployment.reporter.done(step)
        return urn

    async def _provider(self, item: Import) -> str:
        """The reference of the provider that serves the import; a default one is made where there is none.

        Raises:
            ResourceError: there is no such provider; reported.
        """
        deployment = self._deployment
        package = package_of(item.type)
        urn = item.provider or make_urn(
            deployment.stack, deployment.project, "", PROVIDER_PREFIX + package, DEFAULT_PROVIDER
        )
        known = deployment.olds.get(urn)
        if known is None and item.provider:
            deployment.fail(f"provider {item.provider} does not exist in the stack")
            raise ResourceError(item.provider)
        if known is None:
            return await self._defaults.reference(package, "")
        reference = f"{urn}::{known.id}"
        with deployment.asking(urn):
            await deployment.registry.ensure(reference, deployment.old_providers)
        return reference

    async def _import(self, item: Import, parent: str, reference: str) -> None:
        deployment = self._deployment
        urn = make_urn(deployment.stack, deployment.project, parent, item.type, item.name)
        old = deployment.olds.get(urn)
        if old is not None and (old.import_id or old.id) == item.id:
            return  # it is there already
        new = Resource(urn, item.type, custom=True, parent=parent, protect=item.protect, provider=reference)
        step = Step("import", None, new)
        deployment.reporter.begin(step)
        try:
            if old is not None:
                raise EngineError(f"resource '{urn}' already exists")
            if parent not in deployment.olds and parent not in self._made():
                raise EngineError(f"unknown parent '{parent}' for resource '{urn}'")
            await self._take_over(new, item)
        except ResourceError:
            return  # reported
        except (EngineError, ProviderError) as error:
            deployment.fail(str(error), urn)
            deployment.reporter.failed(step)
            return
        step.old = new.copy(import_id=item.id)
        deployment.reporter.done(step)

    def _made(self) -> set[str]:
        return {resource.urn for resource in self._deployment.journal.snapshot().resources}

    async def _take_over(self, new: Resource, item: Import) -> None:
        deployment = self._deployment
        provider = deployment.registry.get(new.provider)
        async with deployment.calling(Step("import", None, new), "importing", new) as pending:
            outcome = await provider.read(new, item.id, None, {}, deployment.status_address)
            if not outcome.id:
                await deployment.journal.end(pending)
                raise EngineError(f"resource '{item.id}' does not exist")
            if outcome.inputs is None:
                await deployment.journal.end(pending)
                raise EngineError(
                    "provider does not support importing resources; "
                    f"please try updating the '{package_of(new.type)}' plugin"
                )
            new.id, new.inputs, new.outputs = outcome.id, outcome.inputs, outcome.outputs
            new.init_errors = list(outcome.reasons)
            new.refresh_before_update = outcome.refresh_before_update
            new.created = new.modified = deployment.now()
            settle_secrets(new)
            _inputs, failures = await provider.check(
                new.urn, new.inputs, new.inputs, deployment.seed(new.urn, None)
            )
            if failures:
                deployment.reporter.warning(
                    "One or more imported inputs failed to validate. This is almost certainly a bug in the "
                    f"`{package_of(new.type)}` provider. The import will still proceed, but you will need to edit "
                    "the generated code after copying it into your program.",
                    new.urn,
                )
            for line in deployment.worded(new, failures):
                deployment.reporter.warning(line, new.urn)
        await deployment.journal.end(pending, add=new)
