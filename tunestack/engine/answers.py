"""What a provider answers: failures of a check, differences, what an operation left, and errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import grpc
import grpc.aio
from google.rpc import status_pb2

from tunestack.engine.protocol import provider_pb2
from tunestack.engine.values import Properties


@dataclass(frozen=True)
class CheckFailure:
    """One input that the provider finds wrong; `property` is empty when it is about all of them."""

    property: str
    reason: str


@dataclass(frozen=True)
class PropertyDiff:
    """`kind` is ``add``, ``delete`` or ``update``, with ``-replace`` where the change asks for a replacement."""

    kind: str
    input_diff: bool = False

    @property
    def replaces(self) -> bool:
        return self.kind.endswith("-replace")

    def to_replace(self) -> PropertyDiff:
        return self if self.replaces else replace(self, kind=f"{self.kind}-replace")

    def inverted(self) -> PropertyDiff:
        swapped = self.kind.replace("add", "\0").replace("delete", "add").replace("\0", "delete")
        return replace(self, kind=swapped)


_KINDS: Final = ("add", "add-replace", "delete", "delete-replace", "update", "update-replace")


@dataclass(frozen=True)
class Diff:
    """What a provider says about old against new. `changes`: ``unknown``, ``none`` or ``some``."""

    changes: str = "none"
    replace_keys: tuple[str, ...] = ()
    stable_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    detailed: dict[str, PropertyDiff] | None = None
    delete_before_replace: bool = False
    unavailable: str = ""  # why the provider could not be asked

    @property
    def replace(self) -> bool:
        return self.changes == "some" and bool(self.replace_keys)


@dataclass
class Outcome:
    """What Create, Update or Read left: `reasons` says that initialisation failed (a partial failure)."""

    id: str = ""
    outputs: Properties = field(default_factory=dict)
    inputs: Properties | None = None
    reasons: list[str] = field(default_factory=list)
    refresh_before_update: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.reasons)


class ProviderError(Exception):
    """A call failed. `settled` is False when nobody knows whether the provider did what it was asked."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code

    @property
    def settled(self) -> bool:
        return self.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def initialization_failure(error: grpc.aio.AioRpcError) -> provider_pb2.ErrorResourceInitFailed | None:
    """The partial failure that came as this error, if it is one: the resource is there, and not what it should be."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                if detail.Is(provider_pb2.ErrorResourceInitFailed.DESCRIPTOR):
                    failure = provider_pb2.ErrorResourceInitFailed()
                    detail.Unpack(failure)
                    return failure
    return None


def diff_of(answer: Any) -> Diff:
    """The answer to Diff or DiffConfig."""
    detailed = None
    if answer.hasDetailedDiff or answer.detailedDiff:
        detailed = {
            key: PropertyDiff(_KINDS[difference.kind], difference.inputDiff)
            for key, difference in answer.detailedDiff.items()
        }
    return Diff(
        ("unknown", "none", "some")[answer.changes],
        tuple(answer.replaces),
        tuple(answer.stables),
        tuple(answer.diffs),
        detailed,
        answer.deleteBeforeReplace,
    )
