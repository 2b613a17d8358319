"""Thin asynchronous client of the parts of Vertex AI's REST surface that tunestack uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunestack.vertex.client import VertexClient
    from tunestack.vertex.storage import ObjectStore


@asynccontextmanager
async def open_vertex(
    *, endpoint: str | None = None, access_token: str | None = None
) -> AsyncIterator[VertexClient]:
    """A client for as long as the context lasts; ``endpoint`` and ``access_token`` as in ``VertexClient``
    and ``token_source``. The HTTP library is imported here: the state table next door does not need it."""
    from tunestack.vertex.client import VertexClient
    from tunestack.vertex.credentials import token_source
    from tunestack.vertex.transport import Transport

    async with Transport(token_source(endpoint, access_token)) as transport:
        yield VertexClient(transport, endpoint=endpoint)


@asynccontextmanager
async def open_object_store(
    *, endpoint: str | None = None, access_token: str | None = None
) -> AsyncIterator[ObjectStore]:
    """As open_vertex, for small objects of Cloud Storage; ``endpoint`` is where both are served."""
    from tunestack.vertex.credentials import token_source
    from tunestack.vertex.storage import ObjectStore
    from tunestack.vertex.transport import Transport

    async with Transport(token_source(endpoint, access_token)) as transport:
        yield ObjectStore(transport, endpoint=endpoint)
