"""One HTTP call to a Google API: credentials, retries, typed errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tunestack.vertex.credentials import TokenSource
from tunestack.vertex.errors import GoogleError, NotSent, ServiceFault, Unauthenticated, google_error
from tunestack.vertex.loopback import is_loopback
from tunestack.vertex.timing import Timing, backoff

if TYPE_CHECKING:
    import httpx

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which a repeatable request is sent again (AIP-194 and the Cloud Storage retry strategy)."""

ATTEMPTS = 6
LONGEST_RETRY_AFTER = 120.0

CONNECTIONS = 64
"""Most sockets of one process: hundreds of jobs submitted at once wait their turn for one, however long that takes."""


class Transport:
    """Sends requests over one shared pool of connections.

    A request is repeated only where that is safe: those that the caller calls ``repeatable``, and any that was
    never sent (connection refused) or turned away unseen (429). What came of another request that broke is not
    known: the caller gets ``ServiceFault`` and has to look.
    """

    def __init__(
        self,
        tokens: TokenSource,
        *,
        timing: Timing | None = None,
        http: httpx.AsyncClient | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._tokens = tokens
        self._timing = timing or Timing()
        self._attempts = attempts
        # Made at the first request: a run that changes nothing sends none, and need not load the library.
        self._direct = http
        self._proxied = http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        for client in (self._direct, self._proxied):
            if client is not None:
                await client.aclose()

    def _client(self, url: str) -> httpx.AsyncClient:
        """A proxy from the environment is right for Google and wrong for loopback."""
        import httpx

        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        # The wait for a free connection has no limit: a request that never left would read as one whose answer is lost.
        timeout = httpx.Timeout(60.0, connect=10.0, pool=None)
        if is_loopback(url):
            self._direct = self._direct or httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
            return self._direct
        self._proxied = self._proxied or httpx.AsyncClient(timeout=timeout, limits=limits)
        return self._proxied

    async def request(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool,
        params: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        content_type: str | None = None,
        timeout: float | None = None,
        attempts: int | None = None,
    ) -> httpx.Response:
        """The successful answer. Raises ``GoogleError``; ``ServiceFault`` where nothing came back.

        ``attempts``: how often it is sent at most, where that is not the transport's own rule.
        """
        import httpx

        what = f"{method} {url}"
        most = attempts or self._attempts
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            headers = {"authorization": f"Bearer {await self._tokens.token()}"}
            if content_type is not None:
                headers["content-type"] = content_type
            options: dict[str, Any] = (
                {} if timeout is None else {"timeout": httpx.Timeout(timeout, pool=None)}
            )
            try:
                response = await self._client(url).request(
                    method, url, params=params, json=json, content=content, headers=headers, **options
                )
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if (repeatable or never_sent) and attempt < most:
                    await self._timing.sleep(backoff(attempt - 1, self._timing))
                    continue
                reason = str(error) or type(error).__name__
                kind = NotSent if never_sent else ServiceFault
                raise kind(0, "UNAVAILABLE", f"no answer: {reason}", request=what) from error
            if response.is_success:
                return response
            failure = google_error(response.status_code, _body(response), request=what)
            failure.retry_after = retry_after(response.headers.get("retry-after"), self._timing.wall())
            if isinstance(failure, Unauthenticated) and not renewed:
                renewed = True
                await self._tokens.token(renew=True)
                continue
            unseen = response.status_code == 429
            if ((repeatable and response.status_code in RETRIED_STATUS) or unseen) and attempt < most:
                await self._timing.sleep(self._pause(failure, attempt))
                continue
            raise failure

    def _pause(self, failure: GoogleError, attempt: int) -> float:
        asked = failure.retry_after
        return backoff(attempt - 1, self._timing) if asked is None else min(asked, LONGEST_RETRY_AFTER)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110 §10.2.3: seconds or a date); None if it asks nothing."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())


def _body(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return response.text
