"""The shape of a resource: what the servicer asks of it, and what it may answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol

from tunestack.provider.process_locks import Marks
from tunestack.provider.searching import JobSearches
from tunestack.provider.values import Properties, has_unknown, plain
from tunestack.provider.watching import JobWatches
from tunestack.vertex.timing import Timing

if TYPE_CHECKING:
    from tunestack.provider.configuration import Configuration
    from tunestack.vertex.client import VertexClient
    from tunestack.vertex.quota import QuotaClient
    from tunestack.vertex.storage import ObjectStore


class Change(Enum):
    """How a property changes; the names are those of ``pulumirpc.PropertyDiff.Kind``."""

    ADD = "ADD"
    ADD_REPLACE = "ADD_REPLACE"
    DELETE = "DELETE"
    DELETE_REPLACE = "DELETE_REPLACE"
    UPDATE = "UPDATE"
    UPDATE_REPLACE = "UPDATE_REPLACE"

    @property
    def replaces(self) -> bool:
        """Whether this change needs a new resource."""
        return self.value.endswith("_REPLACE")


@dataclass(frozen=True)
class Differences:
    """Property path → change, and the paths among them that exist only in the state and not in the inputs."""

    changes: Mapping[str, Change]
    in_state: frozenset[str] = frozenset()

    @property
    def replace(self) -> bool:
        """Whether any change needs a new resource."""
        return any(change.replaces for change in self.changes.values())


@dataclass(frozen=True)
class PropertyProblem:
    """One property that is wrong, and what would be right."""

    property: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """The inputs with defaults filled in; where ``problems`` is not empty they are not used."""

    inputs: Properties
    problems: Sequence[PropertyProblem] = ()


@dataclass(frozen=True)
class Created:
    """The id and the outputs of a resource that is as declared."""

    id: str
    outputs: Properties


@dataclass(frozen=True)
class Found:
    """What ``read`` found; ``inputs`` as the program would have to write them."""

    id: str
    outputs: Properties
    inputs: Properties


class InitFailed(Exception):
    """The resource exists and is not (yet) as declared: the engine keeps id and outputs, and the update is red.

    Becomes ``pulumirpc.ErrorResourceInitFailed``. Once a create call has left, nothing else may be raised.
    """

    def __init__(
        self, id_: str, outputs: Properties, reasons: Sequence[str], inputs: Properties | None = None
    ) -> None:
        self.id = id_
        self.outputs = outputs
        self.reasons = list(reasons)
        self.inputs = inputs
        super().__init__("; ".join(reasons))


class Refused(Exception):
    """Nothing was created or changed; ``status`` is the name of a gRPC status code.

    Never INTERNAL, DATA_LOSS or UNKNOWN: those make the engine doubt its state.
    """

    def __init__(self, status: str, message: str) -> None:
        self.status = status
        super().__init__(message)


class RowLog(Protocol):
    """Writes on a resource's row of the display."""

    async def status(self, message: str) -> None:
        """A line that the next one replaces."""
        ...

    async def info(self, message: str) -> None:
        """A line that stays among the diagnostics."""
        ...

    async def warning(self, message: str) -> None:
        """A warning that stays among the diagnostics."""
        ...


@dataclass(frozen=True)
class Call:
    """What every operation on one resource gets beside its properties. ``deadline``: seconds, None = the default."""

    urn: str
    name: str
    log: RowLog
    cancelled: asyncio.Event
    deadline: float | None = None


@dataclass
class Session:
    """What the resources of one configured provider share."""

    configuration: Configuration
    vertex: VertexClient
    storage: ObjectStore
    quotas: QuotaClient
    timing: Timing = field(default_factory=Timing)
    marks: Marks = field(init=False)
    watches: JobWatches = field(init=False)
    searches: JobSearches = field(init=False)

    def __post_init__(self) -> None:
        self.marks = Marks(self.configuration.endpoint or "")
        self.watches = JobWatches(self.vertex, self.timing)
        self.searches = JobSearches(self.vertex)

    async def pause(self, seconds: float, cancelled: asyncio.Event) -> None:
        """Sleeps, or less where the operation is cancelled meanwhile."""
        sleep = asyncio.ensure_future(self.timing.sleep(seconds))
        stop = asyncio.ensure_future(cancelled.wait())
        try:
            await asyncio.wait((sleep, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stop):
                task.cancel()


class Resource(ABC):
    """One class of resources. ``computed``: names of the outputs that are no inputs."""

    token: ClassVar[str]
    computed: ClassVar[tuple[str, ...]]

    def __init__(self, session: Session) -> None:
        self.session = session

    @abstractmethod
    def check(self, inputs: Properties) -> Checked:
        """Fills in defaults and finds every problem; unknown values pass. Deterministic, asks nothing of the cloud."""

    @abstractmethod
    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """What changes between the state (``olds``: outputs) and the new inputs."""

    @abstractmethod
    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Outputs as far as a preview can know them; ``olds`` where the resource exists."""

    @abstractmethod
    async def create(self, call: Call, inputs: Properties) -> Created:
        """Makes the resource. Raises ``Refused`` before, ``InitFailed`` after something exists."""

    @abstractmethod
    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """The resource as it is, or None where there is none. Without ``inputs`` it is an import."""

    @abstractmethod
    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """Goes on with what is not finished and takes over changes that need no replacement; gives the outputs."""

    @abstractmethod
    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Ends the resource; what is gone already is fine."""

    def seen(self, id_: str, urn: str, *, kept: bool) -> None:  # noqa: B027 - most resources need not know
        """Told of each Diff and each create: whether this update keeps the object ``id_`` for ``urn``."""


def compare(
    old: Mapping[str, object], new: Mapping[str, object], *, replaces: frozenset[str] = frozenset()
) -> dict[str, Change]:
    """Top-level changes between two property maps; a secret equals its value, unknown counts as changed."""
    changes = {}
    for key in sorted(old.keys() | new.keys()):
        before, after = plain(old.get(key)), plain(new.get(key))
        if before == after and not has_unknown(after):
            continue
        kind = "ADD" if before is None else "DELETE" if after is None else "UPDATE"
        changes[key] = Change(f"{kind}_REPLACE" if key in replaces else kind)
    return changes
