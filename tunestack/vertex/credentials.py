"""Where the access token comes from."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from tunestack.vertex.errors import NotSent, Unauthenticated
from tunestack.vertex.loopback import is_loopback

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class TokenSource(Protocol):
    """Gives a bearer token for the next request."""

    async def token(self, *, renew: bool = False) -> str:
        """The token; ``renew`` after Google answered 401, where a new one can be had."""
        ...


class StaticToken:
    """A token given in the configuration; it is not renewed."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def token(self, *, renew: bool = False) -> str:
        return self._value


class DefaultCredentials:
    """Application default credentials, found at the first use and refreshed off the event loop.

    google-auth blocks while it asks for a token, so that runs in a thread; the lock lets one refresh serve all
    the requests that wait for it. Raises ``Unauthenticated`` and ``NotSent``.
    """

    def __init__(self) -> None:
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def token(self, *, renew: bool = False) -> str:
        async with self._lock:
            if renew or self._credentials is None or not self._credentials.valid:
                await asyncio.to_thread(self._refresh)
            return str(self._credentials.token)

    def _refresh(self) -> None:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests

        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            self._credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.TransportError as error:
            raise NotSent(0, "UNAVAILABLE", f"no access token: {error}") from error
        except google.auth.exceptions.GoogleAuthError as error:
            message = f"no Google credentials: {error}. Run `gcloud auth application-default login`"
            raise Unauthenticated(401, "UNAUTHENTICATED", message) from error


LOCAL_TOKEN = "local"  # noqa: S105 - a stand-in on loopback takes any
"""Sent to a service on this machine, which must never get a token that Google accepts."""


def token_source(endpoint: str | None, access_token: str | None) -> TokenSource:
    """The given token; else one without meaning for loopback; else application default credentials."""
    if access_token is not None:
        return StaticToken(access_token)
    if endpoint is not None and is_loopback(endpoint):
        return StaticToken(LOCAL_TOKEN)
    return DefaultCredentials()
