"""Small objects of Cloud Storage, read and written whole over the JSON API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tunestack.vertex.transport import Transport

GOOGLE = "https://storage.googleapis.com"


def split_uri(uri: str) -> tuple[str, str]:
    """``gs://bucket/name`` → ``("bucket", "name")``. Raises ValueError for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme != "gs" or not bucket:
        raise ValueError(f"{uri!r} is no Cloud Storage address: gs://bucket/name")
    return bucket, name


class ObjectStore:
    """Reads and writes objects by ``gs://`` address; meant for kilobytes, not for data sets of gigabytes."""

    def __init__(self, transport: Transport, *, endpoint: str | None = None) -> None:
        self._transport = transport
        self._base = (endpoint or GOOGLE).rstrip("/")

    async def read(self, uri: str) -> bytes:
        """The object's bytes. Raises ``NotFound``."""
        bucket, name = split_uri(uri)
        url = f"{self._base}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"
        response = await self._transport.request("GET", url, repeatable=True, params={"alt": "media"})
        return response.content

    async def write(self, uri: str, content: bytes, *, content_type: str) -> dict[str, Any]:
        """Writes an object whole (an existing one is replaced); gives its metadata."""
        bucket, name = split_uri(uri)
        response = await self._transport.request(
            "POST",
            f"{self._base}/upload/storage/v1/b/{quote(bucket, safe='')}/o",
            repeatable=True,
            params={"uploadType": "media", "name": name},
            content=content,
            content_type=content_type,
        )
        metadata = response.json()
        return metadata if isinstance(metadata, dict) else {}
