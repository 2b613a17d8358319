"""What a call of the engine can end in beside success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunestack.emulator.gcp_provider.values import Value

#: HTTP status of a Google API -> the gRPC status that the engine is told. Never INTERNAL, UNKNOWN or DATA_LOSS
#: for something understood: those make the engine hold its state for corrupt (pulumi pkg/engine/update.go).
#: 501 is not UNIMPLEMENTED, which the engine takes for a missing method of the plugin.
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ProviderError(Exception):
    """A failure that is understood: a gRPC status by name and a message for a person."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(http_status: int) -> str:
    return STATUS.get(http_status, "FAILED_PRECONDITION")


@dataclass
class InitFailed(Exception):
    """The resource exists, but is not as it should be; the engine keeps its id and tries again by Update."""

    id: str
    outputs: Mapping[str, Value]
    secrets: frozenset[str]
    inputs: Mapping[str, Value]
    reasons: list[str] = field(default_factory=list)
