"""What a handler is given and may answer, and the register of handlers by Google's method ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tunestack.emulator.documents import Method

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]


@dataclass(frozen=True)
class Incoming:
    """A request as it came in, from the wire or from a batch."""

    verb: str
    raw_path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]  # names in lower case
    stream: Callable[[], AsyncIterator[bytes]]
    base_url: str

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.stream()])

    def parameter(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name), None)


@dataclass
class Reply:
    """An answer that is more than a JSON body: ``body`` is JSON, bytes, or a part of a file."""

    body: Json | bytes | FilePart | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FilePart:
    """``length`` bytes of a file from ``start`` on."""

    path: Path
    start: int
    length: int


@dataclass
class Call:
    """One request that is a method's, canonical and checked.

    ``path`` holds the decoded path parameters, ``query`` the typed query parameters, ``body`` the canonical
    JSON body (empty for uploads, whose bytes are read from ``incoming``).
    """

    state: State
    method: Method
    incoming: Incoming
    path: dict[str, str]
    query: dict[str, Any]
    body: Json
    kind: str
    principal: str

    def parent(self, parameter: str = "parent") -> str:
        """The canonical name (project by number) in a path parameter."""
        return self.state.projects.canonical(self.path[parameter])

    def type_url(self, message: str) -> str:
        """``type.googleapis.com/…`` of a Vertex message, in the version that was called."""
        return f"type.googleapis.com/google.cloud.aiplatform.{self.method.version}.{message}"


Answer = Json | Reply
Handler = Callable[[Call], "Answer | Awaitable[Answer]"]
H = TypeVar("H", bound=Handler)
HANDLERS: dict[str, Handler] = {}


PARTS: dict[str, Handler] = {}


def continues(method_id: str) -> Callable[[H], H]:
    """Register who takes the parts of a method's resumable uploads: Google's documents have no entry for them."""

    def register(handler: H) -> H:
        PARTS[method_id] = handler
        return handler

    return register


def implements(*method_ids: str) -> Callable[[H], H]:
    """Register a handler for methods of Google's, by id.

    A plain function runs inside one database transaction; an ``async`` one opens its own.
    """

    def register(handler: H) -> H:
        for method_id in method_ids:
            if method_id in HANDLERS:
                raise ValueError(f"{method_id} has two handlers")
            HANDLERS[method_id] = handler
        return handler

    return register
