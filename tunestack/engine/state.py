"""A stack's state: resources, their JSON form, and the order they must keep.

The JSON form is Pulumi's deployment, version 3 (``apitype.ResourceV3``): what ``pulumi stack export`` writes
and ``pulumi stack import`` takes. Keys this engine has no use for are carried along untouched.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tunestack.engine.errors import EngineRefused, StateError
from tunestack.engine.urns import ProviderReference
from tunestack.engine.values import Properties, Secret, from_json, to_json

ENGINE_VERSION: Final = "v3.260.0"  # whose behaviour and state format this engine keeps to
MAGIC: Final = hashlib.sha256(ENGINE_VERSION.encode()).hexdigest()

# attribute, JSON key; left out of the JSON when empty. Order is the CLI's.
_PLAIN: Final[tuple[tuple[str, str], ...]] = (
    ("delete", "delete"),
    ("id", "id"),
    ("type", "type"),
    ("inputs", "inputs"),
    ("outputs", "outputs"),
    ("parent", "parent"),
    ("protect", "protect"),
    ("external", "external"),
    ("dependencies", "dependencies"),
    ("init_errors", "initErrors"),
    ("provider", "provider"),
    ("property_dependencies", "propertyDependencies"),
    ("pending_replacement", "pendingReplacement"),
    ("additional_secret_outputs", "additionalSecretOutputs"),
    ("aliases", "aliases"),
    ("custom_timeouts", "customTimeouts"),
    ("import_id", "importID"),
    ("retain_on_delete", "retainOnDelete"),
    ("deleted_with", "deletedWith"),
    ("replace_with", "replaceWith"),
    ("created", "created"),
    ("modified", "modified"),
    ("ignore_changes", "ignoreChanges"),
    ("hide_diff", "hideDiff"),
    ("replace_on_changes", "replaceOnChanges"),
    ("replacement_trigger", "replacementTrigger"),
    ("refresh_before_update", "refreshBeforeUpdate"),
    ("resource_hooks", "resourceHooks"),
)
_VALUES: Final = frozenset({"inputs", "outputs", "replacement_trigger"})
_KNOWN_KEYS: Final = frozenset(key for _, key in _PLAIN) | {"urn", "custom"}
# Features whose state this engine would damage by ignoring it.
_REFUSED_KEYS: Final = {
    "viewOf": "views",
    "extensionRef": "provider extensions",
    "taint": "tainted resources",
}


@dataclass(eq=False)
class Resource:
    """One resource in state. Compared by identity: two generations of a resource may share a URN."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    delete: bool = False
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    dependencies: list[str] = field(default_factory=list)
    init_errors: list[str] = field(default_factory=list)
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""
    ignore_changes: list[str] = field(default_factory=list)
    hide_diff: list[Any] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    refresh_before_update: bool = False
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)  # keys of the CLI's that mean nothing to this engine

    def copy(self, **changes: Any) -> Resource:
        twin = copy.copy(self)
        for name, value in changes.items():
            setattr(twin, name, value)
        return twin

    def timeout(self, operation: str) -> float:
        """Seconds for ``create``, ``update``, ``delete`` or ``read``; 0 means the provider's default."""
        return float(self.custom_timeouts.get(operation, 0))

    def needs(self) -> Iterator[str]:
        """URNs that must come before this resource in state."""
        if self.parent:
            yield self.parent
        yield from self.dependencies
        for urns in self.property_dependencies.values():
            yield from urns
        if self.deleted_with:
            yield self.deleted_with
        yield from self.replace_with
        if self.provider:
            yield ProviderReference.parse(self.provider).urn

    def to_json(self, secret: Callable[[Secret], Any]) -> dict[str, Any]:
        document: dict[str, Any] = {"urn": self.urn, "custom": self.custom}
        values = vars(self)
        for attribute, key in _PLAIN:
            value = values[attribute]
            if value or key == "type":
                document[key] = to_json(value, secret) if attribute in _VALUES else value
        document.update(self.rest)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any], decrypt: Callable[[str], Any]) -> Resource:
        for key, what in _REFUSED_KEYS.items():
            if document.get(key):
                raise EngineRefused(f"{what} (in the state of {document.get('urn')})")
        try:
            resource = cls(urn=document["urn"], type=document["type"], custom=bool(document.get("custom")))
        except KeyError as error:
            raise StateError(f"a resource in the state has no {error}") from error
        for attribute, key in _PLAIN:
            if key in document and key != "type":
                value = document[key]
                setattr(resource, attribute, from_json(value, decrypt) if attribute in _VALUES else value)
        resource.rest = {key: value for key, value in document.items() if key not in _KNOWN_KEYS}
        return resource


@dataclass(eq=False)
class PendingOperation:
    """An operation that was under way when the engine last wrote: its outcome is not known."""

    resource: Resource
    type: str  # creating | updating | deleting | reading | importing

    def to_json(self, secret: Callable[[Secret], Any]) -> dict[str, Any]:
        return {"resource": self.resource.to_json(secret), "type": self.type}


@dataclass
class Snapshot:
    """All of a stack's state."""

    resources: list[Resource] = field(default_factory=list)
    pending_operations: list[PendingOperation] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def live(self) -> dict[str, Resource]:
        """The resources that are not waiting to be deleted, by URN."""
        return {resource.urn: resource for resource in self.resources if not resource.delete}

    def with_created(self, ids: Iterable[tuple[str, str]]) -> Snapshot:
        """This with pending creates as resources: `ids` are pairs of a URN and what the provider calls its resource.

        Raises:
            StateError: nothing is pending under a URN.
        """
        resources, pending = list(self.resources), list(self.pending_operations)
        for urn, identifier in ids:
            item = next(
                (item for item in pending if (item.resource.urn, item.type) == (urn, "creating")), None
            )
            if item is None:
                known = [other.resource.urn for other in pending if other.type == "creating"]
                raise StateError(
                    f"no create of {urn} is pending; those that are: {', '.join(known) or 'none'}"
                )
            pending.remove(item)
            resources.append(item.resource.copy(id=identifier))
        return Snapshot(resources, pending, self.metadata)


def verify(resources: Iterable[Resource]) -> None:
    """Check that every resource comes after what it needs and that no two live ones share a URN.

    Raises:
        StateError: naming the first resource that is out of order, in the CLI's words.
    """
    resources = list(resources)
    everywhere = {resource.urn for resource in resources}
    seen: set[str] = set()
    live: set[str] = set()
    providers: set[str] = set()
    for resource in resources:
        urn = resource.urn
        if not resource.custom and resource.id:
            raise StateError(f"resource '{urn}' has 'custom' false but non-empty ID")
        if resource.provider and resource.provider not in providers and not resource.pending_replacement:
            raise StateError(f"resource {urn} refers to unknown provider {resource.provider}")
        for subject, needed in _relations(resource):
            if needed not in seen:
                raise StateError(
                    f"{subject} {needed} comes after it"
                    if needed in everywhere
                    else f"{subject} {needed} is missing"
                )
        if not resource.delete:
            if urn in live:
                raise StateError(f"duplicate resource {urn} (not marked for deletion)")
            live.add(urn)
        seen.add(urn)
        if resource.type.startswith("pulumi:providers:"):
            providers.add(f"{urn}::{resource.id}")


def _relations(resource: Resource) -> Iterator[tuple[str, str]]:
    """What a resource needs, with the words that tell how it does."""
    urn = resource.urn
    if resource.parent:
        yield f"child resource {urn}'s parent", resource.parent
    for other in resource.dependencies:
        yield f"resource {urn}'s dependency", other
    for key, urns in resource.property_dependencies.items():
        for other in urns:
            yield f"resource {urn}'s property dependency (from property {key})", other
    if resource.deleted_with:
        yield f"resource {urn} is specified as being deleted with", resource.deleted_with
    for other in resource.replace_with:
        yield f"resource {urn} is specified as being replaced with", other


class DependencyGraph:
    """Who depends on whom in a snapshot, which is in topological order. Being a child is not depending."""

    def __init__(self, resources: list[Resource]) -> None:
        self._resources = resources
        self._needs = {id(resource): set(_depends_on(resource)) for resource in resources}

    def dependents(self, root: Resource, ignore: Callable[[str], bool]) -> list[Resource]:
        """All that depends on `root`, directly or not, in topological order."""
        reached = {root.urn}
        found: list[Resource] = []
        after = False
        for resource in self._resources:
            if resource is root:
                after = True
            elif after and not ignore(resource.urn) and self._needs[id(resource)] & reached:
                reached.add(resource.urn)
                found.append(resource)
        return found


def _depends_on(resource: Resource) -> Iterator[str]:
    return (urn for urn in resource.copy(parent="").needs())
