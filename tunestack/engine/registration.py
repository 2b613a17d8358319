"""From a goal to steps: what becomes of a resource that the program registers.

The decisions, and their order, are those of Pulumi's step generator (``pkg/resource/deploy``): what exists
already, under which name; what the provider makes of the inputs (Check); what differs (Diff); then same,
update, replace (create first or delete first), create or import.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tunestack.engine.answers import CheckFailure, Diff
from tunestack.engine.deletion import Deletion
from tunestack.engine.deployment import Deployment
from tunestack.engine.diffs import apply_replace_on_changes, known_diff
from tunestack.engine.errors import ResourceError
from tunestack.engine.events import Step
from tunestack.engine.goals import Goal, reset_paths
from tunestack.engine.operations import Operations
from tunestack.engine.refresh import refresh_resource
from tunestack.engine.state import Resource
from tunestack.engine.urns import ProviderReference, is_provider_type, make_urn
from tunestack.engine.values import UNKNOWN_STRING, Properties, contains_unknowns, equal, unwrap


@dataclass
class Registered:
    """What the program is told. `result` is ``success``, ``fail`` or ``skip``; `unknown`: it was left out."""

    urn: str
    id: str = ""
    outputs: Properties = field(default_factory=dict)
    result: str = "success"
    stables: tuple[str, ...] = ()
    unknown: bool = False


class Registrations:
    """Registers resources, each as far as it can get on its own; they wait for one another in the program."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._operations = Operations(deployment)
        self._deletion = Deletion(deployment)
        self._urns: set[str] = set()

    async def register(self, goal: Goal) -> Registered:
        """Bring one resource to its goal. Failures are reported, and answered with ``fail``."""
        deployment = self._deployment
        urn = make_urn(deployment.stack, deployment.project, goal.parent, goal.type, goal.name)
        if deployment.stopping:
            return Registered(urn, result="skip")
        if not deployment.preview and contains_unknowns(goal.inputs) and not deployment.scope.skipped:
            # Something it depends on failed: there is nothing to create it with.
            return Registered(urn, result="skip")
        if urn in self._urns:
            deployment.fail(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
            return Registered(urn, result="fail")
        self._urns.add(urn)
        deployment.registered.add(urn)
        try:
            new, stables = await self._bring_about(goal, urn)
        except ResourceError:
            return Registered(urn, result="skip" if not deployment.failed else "fail")
        deployment.news[urn], deployment.goals[urn] = new, goal
        outputs = new.outputs if new.custom else {}
        return Registered(urn, new.id, outputs, stables=stables, unknown=urn in deployment.scope.skipped)

    async def read(self, goal: Goal, identifier: str) -> Registered:
        """Look up a resource that something else manages (``Resource.get``)."""
        deployment = self._deployment
        urn = make_urn(deployment.stack, deployment.project, goal.parent, goal.type, goal.name)
        if deployment.stopping or (identifier in ("", UNKNOWN_STRING) and not deployment.preview):
            return Registered(urn, result="skip")
        if identifier in ("", UNKNOWN_STRING):
            return Registered(urn, outputs={})
        if urn in self._urns:
            deployment.fail(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
            return Registered(urn, result="fail")
        self._urns.add(urn)
        try:
            new = await self._operations.read(goal.resource(urn, deployment.olds.get(urn)), identifier)
        except ResourceError:
            return Registered(urn, result="fail")
        deployment.news[urn], deployment.goals[urn] = new, goal
        return Registered(urn, new.id, new.outputs)

    async def _bring_about(self, goal: Goal, urn: str) -> tuple[Resource, tuple[str, ...]]:
        deployment = self._deployment
        old = self._find_old(goal, urn)
        new = goal.resource(urn, old)
        included = deployment.scope.includes(new)
        if included:
            self._refuse_without_needs(new)
        if old is not None and old.refresh_before_update and not is_provider_type(old.type) and included:
            old = await self._refreshed(old)
            new = goal.resource(urn, old)
        known_id = (old.import_id or old.id) if old is not None else ""
        imported = False
        if (
            included
            and goal.custom
            and goal.import_id
            and (old is None or old.external or known_id != goal.import_id)
        ):
            old = await self._operations.adopt(goal, new, old)
            new = goal.resource(urn, old)
            imported = True
        recreating = old is not None and urn in deployment.deletes and not imported
        if not included and not recreating:
            return self._left_alone(old, new), ()
        forced = urn in deployment.scope.replaces
        fresh = old is None or recreating or old.external or forced
        news, unfit = (
            (goal.inputs, []) if old is None else reset_paths(goal.inputs, old.inputs, goal.ignore_changes)
        )
        if unfit:
            deployment.reporter.diagnostic(
                "info",
                f'cannot ignore changes in added or removed elements of the path: "{", ".join(unfit)}"',
                urn,
            )
        seed = deployment.seed(urn, old if recreating or forced else None)
        if included:
            new.inputs = await self._check(
                new, {} if fresh or old is None else old.inputs, goal.inputs if fresh else news, seed
            )
        elif old is not None:  # deleted with what it depends on: it comes back as it was
            new.inputs = old.inputs
        if old is None:
            return await self._operations.create(new), ()
        if recreating:
            keys = deployment.replace_keys.get(urn, ())
            return await self._operations.replace(old, new, Diff("some"), delete_first=True, because=keys), ()
        if old.external:
            return await self._operations.replace(old, new, Diff("some"), delete_first=False), ()
        return await self._from_diff(goal, old, new, imported)

    def _left_alone(self, old: Resource | None, new: Resource) -> Resource:
        """What the operation is not to touch: it stays as it is, or is not there."""
        deployment = self._deployment
        if old is None:
            deployment.scope.skipped.add(new.urn)
            step = Step("same", new.copy(), new)
        else:
            if old.provider and not deployment.registry.knows(old.provider):
                self._refuse(
                    f"provider {old.provider} for resource {new.urn} has not been registered yet, this is due to a "
                    "change of providers mixed with --target. Change your program back to the original providers",
                    new.urn,
                )
            # Under its new name where it has one: what is registered after it refers to it by that.
            new = old if old.urn == new.urn else old.copy(urn=new.urn)
            deployment.journal.keep(old, new)
            step = Step("same", old, new)
        deployment.steps[new.urn] = step
        deployment.reporter.begin(step)
        deployment.reporter.done(step)
        return new

    def _refuse_without_needs(self, new: Resource) -> None:
        """What is to be touched cannot be without what was left out."""
        scope, deployment = self._deployment.scope, self._deployment
        for urn in scope.lacks(new):
            how = (
                "which is excluded and not there yet; exclude both or neither"
                if scope.excludes
                else "which was was not specified in --target list."
            )
            deployment.complain(f"Resource '{new.urn}' depends on '{urn}' {how}", new.urn)
        if deployment.failed:
            raise ResourceError(f"{new.urn} needs what was left out")

    def _find_old(self, goal: Goal, urn: str) -> Resource | None:
        deployment = self._deployment
        old = deployment.olds.get(urn)
        if old is not None:
            claimed = deployment.aliases.new_names.get(urn)
            if claimed is not None and claimed != urn:
                self._refuse(
                    f"Duplicate resource '{urn}': it was already taken over by {claimed} as an alias", urn
                )
            return old
        for candidate in deployment.aliases.candidates(goal):
            old = deployment.olds.get(candidate)
            if old is None:
                continue
            claimed = deployment.aliases.new_names.get(candidate)
            if candidate in self._urns or claimed is not None:
                self._refuse(
                    f"Duplicate resource alias '{candidate}' applied to resource with URN '{urn}'", urn
                )
            deployment.aliases.record(urn, candidate)
            return old
        return None

    def _refuse(self, message: str, urn: str) -> None:
        self._deployment.fail(message, urn)
        raise ResourceError(message)

    async def _refreshed(self, old: Resource) -> Resource | None:
        """The provider asked to look again before this update (``refresh_before_update``)."""
        deployment = self._deployment
        found = await refresh_resource(deployment, old, shown=False)
        deployment.journal.replace(old, found)
        return found

    async def _check(self, new: Resource, olds: Properties, news: Properties, seed: bytes) -> Properties:
        deployment = self._deployment
        if not new.custom:
            return news
        failures: list[CheckFailure]
        with deployment.asking(new.urn):
            if is_provider_type(new.type):
                inputs, failures = await deployment.registry.check(new.urn, olds, news)
            else:
                provider = deployment.registry.get(new.provider)
                inputs, failures = await provider.check(new.urn, olds, news, seed)
        new.inputs = inputs
        deployment.check_failures(new, failures)
        return inputs

    # -- an old one exists ----------------------------------------------------------------------------------

    async def _from_diff(
        self, goal: Goal, old: Resource, new: Resource, imported: bool
    ) -> tuple[Resource, tuple[str, ...]]:
        deployment = self._deployment
        triggered = self._triggered(old, new)
        diff = Diff("some") if triggered else await self._diff(goal, old, new)
        if diff.unavailable:
            deployment.reporter.warning(diff.unavailable, new.urn)
        diff = apply_replace_on_changes(diff, goal.replace_on_changes, bool(old.init_errors))
        if diff.replace or triggered or old.pending_replacement:
            return await self._replace(goal, old, new, diff), ()
        if diff.changes == "some" or old.init_errors:
            # With errors from its initialisation, an unchanged resource is updated to go on with that.
            return await self._operations.update(old, new, diff), diff.stable_keys
        if imported:
            return old, ()
        return await self._operations.same(old, new), ()

    def _triggered(self, old: Resource, new: Resource) -> bool:
        trigger, before = unwrap(new.replacement_trigger), unwrap(old.replacement_trigger)
        if contains_unknowns(trigger) and not self._deployment.preview:
            self._refuse(f"replacement trigger contains unknowns for {new.urn}", new.urn)
        # A resource that had no trigger so far is not replaced for getting one.
        return trigger is not None and before is not None and not equal(trigger, before)

    async def _diff(self, goal: Goal, old: Resource, new: Resource) -> Diff:
        deployment = self._deployment
        if new.urn in deployment.scope.replaces:
            return Diff("some", ("id",))
        if deployment.replaces.intersection(new.replace_with):
            return Diff("some", ("replaceWith",))
        if new.deleted_with in deployment.replaces:
            return Diff("some", ("deletedWith",))
        with deployment.asking(new.urn):
            if await self._provider_changed(old, new):
                return Diff("some", ("provider",))
            if not new.custom:
                return Diff("none" if equal(old.inputs, new.inputs) else "some")
            if is_provider_type(new.type):
                return await deployment.registry.diff(old, new.inputs, goal.ignore_changes)
            provider = deployment.registry.get(new.provider)
            diff = await provider.diff(old, old.inputs, old.outputs, new.inputs, goal.ignore_changes)
        return known_diff(diff, old.inputs, new.inputs)

    async def _provider_changed(self, old: Resource, new: Resource) -> bool:
        """Whether another provider serves the resource now that cannot take over what the old one made."""
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        deployment = self._deployment
        before, after = ProviderReference.parse(old.provider), ProviderReference.parse(new.provider)
        if deployment.aliases.new_names.get(before.urn) == after.urn:
            return False
        old_provider = deployment.old_providers.get(old.provider)
        new_provider = deployment.news.get(after.urn)
        if old_provider is None or new_provider is None:
            return True
        diff = await deployment.registry.diff_config(new.provider, old_provider, new_provider.inputs)
        return diff.replace

    async def _replace(self, goal: Goal, old: Resource, new: Resource, diff: Diff) -> Resource:
        deployment = self._deployment
        urn = new.urn
        if old.protect and new.protect:
            message = (
                f'unable to replace resource "{urn}"\nas it is currently marked for protection. To unprotect the '
                "resource, remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
            )
            deployment.fail(message, urn)
            raise ResourceError(message)
        if goal.import_id:
            message = (
                "previously-imported resources that still specify an ID may not be replaced; please remove the "
                "`import` declaration from your program"
            )
            if not deployment.preview:
                self._refuse(message, urn)
            deployment.reporter.warning(message, urn)
        deployment.replaces.add(urn)
        if urn not in deployment.scope.replaces:
            # The inputs so far carried over the old resource's defaults (names, above all): take fresh ones.
            new.inputs = await self._check(new, {}, goal.inputs, deployment.seed(urn, old))
        wanted = goal.delete_before_replace
        delete_first = diff.delete_before_replace if wanted is None else wanted
        if old.pending_replacement:  # deleted by an earlier operation that did not get to the create
            return await self._operations.replace(old, new, diff, delete_first=True)
        if delete_first:
            await self._deletion.delete_for_replacement(old)
        return await self._operations.replace(old, new, diff, delete_first)
