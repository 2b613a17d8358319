"""The state as it becomes: what is new, what is still old, what is under way.

A snapshot is the new generation in the order of completion, then whatever of the old one has been neither
replaced nor deleted. That order keeps every resource behind what it needs: a registration only arrives once
all it depends on has completed, and the old part keeps its own order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tunestack.engine.state import PendingOperation, Resource, Snapshot
from tunestack.engine.store import Store
from tunestack.engine.urns import ProviderReference


class Journal:
    """Collects what happened to `base`; with a store, every change is on disk before the caller goes on."""

    def __init__(self, base: Snapshot, store: Store | None, new_names: Mapping[str, str]) -> None:
        self._store = store
        unsure = _unsure(base.pending_operations)  # of the CLI, which does not mark the resources themselves
        for resource in base.resources:
            resource.refresh_before_update |= (resource.urn, resource.id) in unsure
        self._base = list(base.resources)
        self._gone: set[int] = set()
        self._new: list[Resource] = []
        # Only creates may have left something behind that nobody knows of.
        self._pending = [item for item in base.pending_operations if item.type == "creating"]
        self._earlier = list(self._pending)
        self._metadata = base.metadata
        self._new_names = new_names
        self._dirty = len(self._pending) != len(base.pending_operations)

    def snapshot(self) -> Snapshot:
        resources = self._new + self.remaining()
        if self._new_names:
            resources = [self._renamed(resource) for resource in resources]
        # Should these calls be cut off, nobody knows how much of them was done: whoever goes on is to look first.
        unsure = _unsure(self._pending)
        if unsure:
            resources = [
                item.copy(refresh_before_update=True) if (item.urn, item.id) in unsure else item
                for item in resources
            ]
        return Snapshot(resources, list(self._pending), self._metadata)

    def remaining(self) -> list[Resource]:
        """What is left of the old generation, in its order."""
        return [resource for resource in self._base if id(resource) not in self._gone]

    def _renamed(self, resource: Resource) -> Resource:
        """References by old names become references by new ones."""
        names = self._new_names

        def new_name(urn: str) -> str:
            return names.get(urn, urn)

        provider = resource.provider
        if provider:
            reference = ProviderReference.parse(provider)
            provider = f"{new_name(reference.urn)}::{reference.id}"
        return resource.copy(
            parent=new_name(resource.parent),
            provider=provider,
            dependencies=[new_name(urn) for urn in resource.dependencies],
            property_dependencies={
                key: [new_name(urn) for urn in urns] for key, urns in resource.property_dependencies.items()
            },
            deleted_with=new_name(resource.deleted_with),
            replace_with=[new_name(urn) for urn in resource.replace_with],
        )

    async def begin(self, resource: Resource, kind: str) -> PendingOperation:
        """Note that an operation is under way, before the provider hears of it."""
        pending = PendingOperation(resource.copy(), kind)
        self._pending.append(pending)
        await self._commit()
        return pending

    async def end(
        self,
        pending: PendingOperation | None = None,
        *,
        add: Resource | None = None,
        remove: Resource | None = None,
    ) -> None:
        """Note what came of it: `add` is live now, `remove` (of either generation) is no more."""
        if pending is not None:
            # By identity: a replacement's create and another's delete may share a URN.
            self._pending = [item for item in self._pending if item is not pending]
        self.apply(add=add, remove=remove)
        await self._commit()

    def apply(
        self, *, add: Resource | None = None, remove: Resource | None = None, quiet: bool = False
    ) -> None:
        """As `end`, to be written with the next commit; `quiet` says that nothing worth writing changed."""
        if remove is not None:
            if any(resource is remove for resource in self._new):
                self._new = [resource for resource in self._new if resource is not remove]
            else:
                self._gone.add(id(remove))
        if add is not None:
            self._new.append(add)
        self._dirty = self._dirty or not quiet

    def keep(self, resource: Resource, renamed: Resource | None = None) -> None:
        """Carry a resource of the old generation over as it is, behind what it needs of that generation."""
        if id(resource) in self._gone or not any(item is resource for item in self._base):
            return
        self._gone.add(id(resource))
        for urn in resource.needs():
            for other in self._base:
                if other.urn == urn and not other.delete:
                    self.keep(other)
        self._new.append(renamed or resource)

    def replace(self, old: Resource, new: Resource | None) -> None:
        """Put what a refresh found in the place of `old`; None: it is gone."""
        place = next(index for index, resource in enumerate(self._base) if resource is old)
        self._base[place : place + 1] = [] if new is None else [new]
        self._dirty = True

    def clear_pending(self) -> None:
        self._dirty = self._dirty or bool(self._pending)
        self._pending, self._earlier = [], []

    def interrupted(self, urn: str) -> list[Resource]:
        """What earlier operations were creating under a URN when they were cut off."""
        return [item.resource for item in self._earlier if item.resource.urn == urn]

    def settle(self, urn: str) -> None:
        """It is known now what became of the interrupted creates of a URN."""
        settled = [item for item in self._earlier if item.resource.urn == urn]
        self._pending = [item for item in self._pending if not any(item is other for other in settled)]
        self._earlier = [item for item in self._earlier if item.resource.urn != urn]

    def touch(self) -> None:
        """A resource was changed in place."""
        self._dirty = True

    @property
    def pending(self) -> list[PendingOperation]:
        return list(self._pending)

    async def _commit(self) -> None:
        self._dirty = True
        if self._store is not None:
            await self._store.commit(self.snapshot)

    async def finish(self) -> None:
        """Write what has not been written yet, if anything."""
        if self._dirty and self._store is not None:
            await self._store.commit(self.snapshot)


def _unsure(pending: Iterable[PendingOperation]) -> set[tuple[str, str]]:
    """URN and id of what was being changed or deleted."""
    return {
        (item.resource.urn, item.resource.id) for item in pending if item.type in ("updating", "deleting")
    }
