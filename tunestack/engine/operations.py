"""The steps that make, change, replace and take over resources, each with its place in state and events."""

from __future__ import annotations

from tunestack.engine.answers import Diff, Outcome
from tunestack.engine.callbacks import HookFailed
from tunestack.engine.creation import create
from tunestack.engine.deployment import Deployment, settle_secrets
from tunestack.engine.errors import EngineError, ResourceError
from tunestack.engine.events import Step
from tunestack.engine.goals import Goal
from tunestack.engine.provider import without_internal
from tunestack.engine.state import PendingOperation, Resource
from tunestack.engine.urns import is_provider_type
from tunestack.engine.values import equal


class Operations:
    """Takes steps. Every method returns the resource as it now is in state, or raises `ResourceError`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    # -- nothing to do --

    async def same(self, old: Resource, new: Resource) -> Resource:
        deployment = self._deployment
        new.refresh_before_update = old.refresh_before_update
        if equal(old.inputs, new.inputs):
            new.inputs = old.inputs  # with the ciphertexts it has
        if set(new.dependencies) == set(old.dependencies):
            new.dependencies = old.dependencies  # the SDK gives them in any order
        for key, urns in new.property_dependencies.items():
            if key in old.property_dependencies and set(urns) == set(old.property_dependencies[key]):
                new.property_dependencies[key] = old.property_dependencies[key]
        new.import_id = new.import_id or old.import_id
        step = self._begin(Step("same", old, new))
        new.id, new.outputs = old.id, old.outputs
        if is_provider_type(new.type):
            with deployment.asking(new.urn):
                await deployment.registry.same(new)
        settle_secrets(new)
        self._apply_same(old, new)
        deployment.reporter.done(step)
        return new

    def _apply_same(self, old: Resource, new: Resource) -> None:
        quiet = _as_written(old) == _as_written(new)
        self._deployment.journal.apply(add=new, remove=old, quiet=quiet)

    # -- create --

    async def create(self, new: Resource) -> Resource:
        step = self._begin(Step("create", None, new))
        await self._create(step, new)
        self._deployment.reporter.done(step)
        return new

    async def _create(self, step: Step, new: Resource, replaced: Resource | None = None) -> None:
        """Make the resource; `replaced` leaves the state at once, or is marked to be deleted by the caller."""
        deployment = self._deployment
        await self._hooks("BeforeCreate", step, new, None, outputs=False)
        if not new.custom:
            self._stamp(new, created=True)
            await self._made(step, new, replaced)
            return
        if is_provider_type(new.type):
            with deployment.asking(new.urn):
                new.id = await deployment.registry.create(new)
                if not deployment.preview:
                    await deployment.registry.get(f"{new.urn}::{new.id}").ready()
            new.outputs = without_internal(new.inputs)
            self._stamp(new, created=True)
            await self._made(step, new, replaced)
            return
        provider = deployment.registry.get(new.provider)
        async with deployment.calling(step, "creating", new) as pending:
            outcome = await create(deployment, provider, new)
        self._settle(new, outcome, created=True)
        new.id = outcome.id
        await self._made(step, new, replaced, pending)
        if outcome.failed:
            deployment.partial_failure(step, outcome.reasons)
            raise ResourceError("initialization failed")
        await self._hooks("AfterCreate", step, new, None, outputs=True)

    async def _made(
        self, step: Step, new: Resource, replaced: Resource | None, pending: PendingOperation | None = None
    ) -> None:
        if step.old is not None and replaced is None:
            # Also when initialisation failed: two live resources must not share a URN.
            step.old.delete = True
        await self._deployment.journal.end(pending, add=new, remove=replaced)

    # -- update --

    async def update(self, old: Resource, new: Resource, diff: Diff) -> Resource:
        deployment = self._deployment
        new.import_id = new.import_id or old.import_id
        step = self._begin(
            Step("update", old, new, diffs=tuple(sorted(diff.changed_keys)), detailed=diff.detailed)
        )
        new.id = old.id
        await self._hooks("BeforeUpdate", step, new, old, outputs=False)
        if not new.custom:
            new.outputs = old.outputs
            self._deployment.journal.apply(add=new, remove=old)
            deployment.reporter.done(step)
            return new
        if is_provider_type(new.type):
            with deployment.asking(new.urn):
                await deployment.registry.update(new)
            new.outputs = without_internal(new.inputs)
            self._stamp(new)
            await deployment.journal.end(add=new, remove=old)
            deployment.reporter.done(step)
            return new
        provider = deployment.registry.get(new.provider)
        async with deployment.calling(step, "updating", new) as pending:
            outcome = await provider.update(
                old, new, deployment.preview, new.ignore_changes, deployment.status_address
            )
        self._settle(new, outcome)
        if outcome.failed:
            # What exists was not made from the new inputs: keep the old ones, so that the next diff fires.
            new.inputs = old.inputs
        await deployment.journal.end(pending, add=new, remove=old)
        if outcome.failed:
            deployment.partial_failure(step, outcome.reasons)
            raise ResourceError("initialization failed")
        await self._hooks("AfterUpdate", step, new, old, outputs=True)
        deployment.reporter.done(step)
        return new

    # -- replace --

    async def replace(
        self, old: Resource, new: Resource, diff: Diff, delete_first: bool, because: tuple[str, ...] = ()
    ) -> Resource:
        """The create half of a replacement; the delete half came before, or comes at the end.

        `because` are the keys for which the resource was deleted with one that it depends on.
        """
        deployment = self._deployment
        deployment.replaces.add(new.urn)
        deployment.deletes.discard(new.urn)
        new.created = new.modified = ""
        keys, diffs = tuple(sorted(diff.replace_keys)), tuple(sorted(diff.changed_keys))
        new.rest = {}
        shown = Step("replace", old, new, keys, diffs, diff.detailed)
        made = Step("create-replacement", old, new, keys or because, diffs, diff.detailed, logical=False)
        if delete_first:
            self._begin(shown)
            deployment.reporter.done(shown)
        self._begin(made)
        await self._create(made, new, replaced=old if delete_first else None)
        deployment.reporter.done(made)
        if not delete_first:
            self._begin(shown)
            deployment.reporter.done(shown)
        deployment.steps[new.urn] = made
        return new

    # -- import --

    async def adopt(self, goal: Goal, new: Resource, old: Resource | None) -> Resource:
        """Take over what exists under ``import_id``: read it, and let the diff say what is different."""
        deployment = self._deployment
        replacing = old is not None
        step = self._begin(Step("import-replacement" if replacing else "import", old, new))
        provider = deployment.registry.get(new.provider)
        async with deployment.calling(step, "importing", new) as pending:
            outcome = await provider.read(new, goal.import_id, None, {}, deployment.status_address)
        if not outcome.id:
            message = f"resource '{goal.import_id}' does not exist"
            deployment.reporter.failed(step)
            if pending is not None:
                await deployment.journal.end(pending)
            deployment.fail(message, new.urn)
            raise ResourceError(message)
        if outcome.inputs is None:
            outcome.inputs = {}
            deployment.reporter.warning(
                "The provider did not return any inputs for the imported resource; it will be updated",
                new.urn,
            )
        imported = new.copy(inputs=outcome.inputs)
        self._settle(imported, outcome, created=True)
        imported.id, imported.import_id = outcome.id, goal.import_id
        if old is not None:
            old.delete = True
        await deployment.journal.end(pending, add=imported)
        step.new = imported
        deployment.reporter.done(step)
        return imported

    # -- read --

    async def read(self, new: Resource, identifier: str) -> Resource:
        """Bring what exists elsewhere into state as external: never changed, never deleted."""
        deployment = self._deployment
        old = deployment.olds.get(new.urn)
        new.external, new.id = True, identifier
        managed = old is not None and not old.external
        step = self._begin(Step("read-replacement" if managed else "read", old, new, logical=not managed))
        provider = deployment.registry.get(new.provider)
        async with deployment.calling(step, "reading", new) as pending:
            outcome = await provider.read(new, identifier, {}, new.inputs, deployment.status_address)
        if not outcome.id:
            message = f"resource '{identifier}' does not exist"
            deployment.reporter.failed(step)
            if pending is not None:
                await deployment.journal.end(pending)
            deployment.fail(message, new.urn)
            raise ResourceError(message)
        new.id, new.outputs = outcome.id, outcome.outputs
        new.inputs = outcome.inputs if outcome.inputs is not None else new.inputs
        settle_secrets(new)
        if managed and old is not None:
            old.delete = True  # it was ours; what the program reads now is not
        await deployment.journal.end(pending, add=new, remove=None if managed else old)
        deployment.reporter.done(step)
        return new

    # -- components --

    async def component_done(self, step: Step) -> None:
        """A component's hooks run once its children are there, which it says by registering its outputs."""
        kind = {"create": "AfterCreate", "create-replacement": "AfterCreate", "update": "AfterUpdate"}.get(
            step.op
        )
        if kind is not None and step.new is not None:
            await self._hooks(kind, step, step.new, step.old, outputs=True)

    # -- what they share --

    def _begin(self, step: Step) -> Step:
        if self._deployment.stopping:
            raise ResourceError("the operation is ending")
        self._deployment.steps[step.resource.urn] = step
        self._deployment.reporter.begin(step)
        return step

    def _settle(self, new: Resource, outcome: Outcome, created: bool = False) -> None:
        new.outputs = outcome.outputs
        new.init_errors = list(outcome.reasons)
        new.refresh_before_update = outcome.refresh_before_update
        self._stamp(new, created)
        settle_secrets(new)

    def _stamp(self, new: Resource, created: bool = False) -> None:
        new.modified = self._deployment.now()
        if created:
            new.created = new.modified

    async def _hooks(self, kind: str, step: Step, new: Resource, old: Resource | None, outputs: bool) -> None:
        deployment = self._deployment
        if not new.resource_hooks.get(kind):
            return

        def warn(message: str) -> None:
            deployment.reporter.warning(message, new.urn)

        try:
            await deployment.callbacks.run_hooks(kind, new, old, outputs, warn)
        except (HookFailed, EngineError) as error:
            deployment.fail(str(error), new.urn)
            if kind.startswith("Before"):
                deployment.reporter.failed(step)
                raise ResourceError(str(error)) from error


def _as_written(resource: Resource) -> dict[str, object]:
    """The resource as state shows it, secrets open: to see whether anything would be written differently."""
    return resource.to_json(lambda secret: {"secret": secret.value})
