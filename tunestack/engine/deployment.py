"""What all steps of one operation share."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from tunestack.engine.answers import CheckFailure, ProviderError
from tunestack.engine.callbacks import Callbacks
from tunestack.engine.errors import EngineError, ResourceError
from tunestack.engine.events import Reporter, Step
from tunestack.engine.goals import Aliases, Goal
from tunestack.engine.journal import Journal
from tunestack.engine.registry import Registry
from tunestack.engine.state import DependencyGraph, PendingOperation, Resource, Snapshot
from tunestack.engine.targets import Scope
from tunestack.engine.urns import is_provider_type, name_of, type_of
from tunestack.engine.values import Secret, redacted


@dataclass(frozen=True)
class UnderWay:
    """A call to a provider that has not been answered yet. `kind` as of pending operations, `since` in seconds."""

    kind: str
    urn: str
    since: float


@dataclass
class Deployment:
    """One operation on one stack: the old state, the new one as it grows, and everything steps work with."""

    stack: str
    project: str
    preview: bool
    base: Snapshot
    registry: Registry
    reporter: Reporter
    journal: Journal
    callbacks: Callbacks
    aliases: Aliases
    slots: asyncio.Semaphore
    now: Callable[[], str]
    scope: Scope
    status_address: str = ""
    news: dict[str, Resource] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)  # the newest step of a registered resource
    deletes: set[str] = field(default_factory=set)  # URNs deleted, or to be deleted
    replaces: set[str] = field(default_factory=set)
    deleted_early: set[int] = field(default_factory=set)  # identities of what a replacement deleted
    replacing: asyncio.Lock = field(default_factory=asyncio.Lock)  # two may share dependents
    replace_keys: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # why a dependent was deleted early
    registered: set[str] = field(default_factory=set)  # URNs that the program has asked for
    complained: bool = False  # something is wrong that a preview need not stop for
    under_way: list[UnderWay] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    failed: bool = False
    cancelled: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.olds = self.base.live()
        self.graph = DependencyGraph(self.base.resources)
        self.old_providers = {
            f"{resource.urn}::{resource.id}": resource
            for resource in self.base.resources
            if is_provider_type(resource.type)
        }

    # -- going on or not --

    @property
    def stopping(self) -> bool:
        """True after the first failure or interrupt: what is under way ends, nothing more begins."""
        return self.failed or self.cancelled

    def fail(self, message: str = "", urn: str = "") -> None:
        """The operation has failed; say why unless it was said."""
        if message:
            self.reporter.error(message, urn)
        self.failed = True
        self.stopped.set()

    def complain(self, message: str, urn: str = "") -> None:
        """Say what is wrong. A preview goes on, so that it tells everything at once; what is real stops."""
        self.reporter.error(message, urn)
        self.complained = True
        if not self.preview:
            self.fail()

    def cancel(self) -> None:
        self.cancelled = True
        self.stopped.set()

    def waited_for(self) -> list[str]:
        """What providers have not answered yet, for a person who waits for the end."""
        now = self.clock()
        return [
            f"still {call.kind} {type_of(call.urn)} {name_of(call.urn)} ({now - call.since:.0f} s); interrupt again "
            "to leave it behind as pending"
            for call in self.under_way
        ]

    # -- what it is limited to --

    def unknown_targets(self) -> list[str]:
        """Targets that are neither in the old state nor asked for by the program."""
        return self.scope.targets.missing(self.olds.keys() | self.registered)

    def refuse_unknown(self) -> None:
        """Where no program can add to it, a selection names what is in the state, or nothing is done.

        Raises:
            EngineError: naming the first that is not.
        """
        for urn in [*self.scope.targets.missing(self.olds), *self.scope.excludes.missing(self.olds)]:
            raise EngineError(f"no resource named '{urn}' found")

    def could_not_find(self, urns: list[str]) -> None:
        for urn in urns:
            hint = "" if "$" in urn else " Did you forget to escape $ in your shell?"
            self.fail(f"Target '{urn}' could not be found in the stack.{hint}")

    # -- names --

    def seed(self, urn: str, old: Resource | None) -> bytes:
        """Check's random seed. Derived, not drawn: a create that was cut off finds the same name again."""
        return hashlib.sha256(f"{urn}\0{old.id if old else ''}".encode()).digest()

    # -- taking a step --

    @contextlib.asynccontextmanager
    async def calling(
        self, step: Step, kind: str, resource: Resource
    ) -> AsyncIterator[PendingOperation | None]:
        """Around a provider call that changes something: the slot, the pending operation, the failure.

        Raises:
            ResourceError: the call failed; it was reported, and the pending operation is gone unless nobody
                knows what became of it.
        """
        pending: PendingOperation | None = None
        async with self.slots:
            if self.stopping:
                raise ResourceError("the operation is ending")
            if not self.preview:
                pending = await self.journal.begin(resource, kind)
            call = UnderWay(kind, resource.urn, self.clock())
            self.under_way.append(call)
            try:
                yield pending
            except ProviderError as error:
                if error.settled and pending is not None:
                    await self.journal.end(pending)
                self.fail(str(error), step.resource.urn)
                self.reporter.failed(step)
                raise ResourceError(str(error)) from error
            except ResourceError:
                if pending is not None:
                    await self.journal.end(pending)
                raise
            finally:
                self.under_way.remove(call)

    @contextlib.contextmanager
    def asking(self, urn: str) -> Iterator[None]:
        """Around a provider call that changes nothing (check, diff): a failure fails the operation."""
        try:
            yield
        except (ProviderError, EngineError) as error:
            self.fail(str(error), urn)
            raise ResourceError(str(error)) from error

    def partial_failure(self, step: Step, reasons: list[str]) -> None:
        """The resource is there, and what it should come to is not."""
        count = f"{len(reasons)} error{'s' if len(reasons) > 1 else ''} occurred:"
        self.fail("\n".join([count, *(f"\t* {reason}" for reason in reasons)]) + "\n\n\n", step.resource.urn)
        self.reporter.failed(step, partial=True)

    def worded(self, resource: Resource, failures: list[CheckFailure]) -> list[str]:
        """What a provider finds wrong with inputs, in the CLI's words."""
        subject = f"{resource.type} resource '{name_of(resource.urn)}'"
        lines = []
        for failure in failures:
            value = _worded(resource.inputs.get(failure.property))
            lines.append(
                f"{subject}: property {failure.property} value {{{value}}} has a problem: {failure.reason}"
                if failure.property
                else f"{subject} has a problem: {failure.reason}"
            )
        return lines

    def check_failures(self, resource: Resource, failures: list[CheckFailure]) -> None:
        """Report what a provider finds wrong with inputs.

        Raises:
            ResourceError: there was something.
        """
        for line in self.worded(resource, failures):
            self.reporter.error(line, resource.urn)
        if failures:
            self.fail()
            raise ResourceError(f"{resource.urn} is invalid")


def settle_secrets(resource: Resource) -> None:
    """Mark outputs secret that were asked to be, and those whose input of the same name is."""
    for key, value in resource.outputs.items():
        wanted = key in resource.additional_secret_outputs or isinstance(resource.inputs.get(key), Secret)
        if wanted and not isinstance(value, Secret):
            resource.outputs[key] = Secret(value)


def _worded(value: object) -> str:
    plain = redacted(value)
    return "<nil>" if plain is None else str(plain)
