"""One HTTP call to a Google API: credentials, retries, typed errors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tunestack.vertex.credentials import TokenSource
from tunestack.vertex.errors import GoogleError, NotSent, ServiceFault, Unauthenticated, google_error
from tunestack.vertex.loopback import is_loopback
from tunestack.vertex.rate_limit import LONGEST_RETRY_AFTER, Turn, Turns
from tunestack.vertex.timing import Timing, backoff

if TYPE_CHECKING:
    import httpx

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which a repeatable request is sent again (AIP-194 and the Cloud Storage retry strategy)."""

ATTEMPTS = 6

CONNECTIONS = 24
"""Most sockets of one process, and requests at once: hundreds of jobs submitted together wait for a place.

More would bring little: at 200 ms an answer these are 7,000 requests a minute, ten times what Vertex AI allows. And
httpcore's pool goes through all connections and all who wait for one at each request: with 500 who wait it takes 22 ms
of processor time a request instead of 4. So the waiting is done here.
"""

T = TypeVar("T")


class _Stopped(Exception):
    """The caller has no more use for a request that waits."""


class Transport:
    """Sends requests over one shared pool of connections.

    A request is repeated only where that is safe: those that the caller calls ``repeatable``, and any that was
    never sent (connection refused) or turned away unseen (429). What came of another request that broke is not
    known: the caller gets ``ServiceFault`` and has to look. A rate limit that one request meets holds back all
    others to the same address (``rate_limit``).
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
        self._turns = Turns(self._timing, at_once=CONNECTIONS, most=attempts)
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
        stopped: asyncio.Event | None = None,
    ) -> httpx.Response:
        """The successful answer. Raises ``GoogleError``; ``ServiceFault`` where nothing came back.

        ``attempts``: how often it is sent at most, where that is not the transport's own rule; what is sent only once
        is not held back by others' rate limits. ``stopped`` ends the waiting before an attempt: raised is what came
        of the attempt before, ``NotSent`` where there was none.
        """
        what = f"{method} {url}"
        parts = {"params": params, "json": json, "content": content}
        most = attempts or self._attempts
        failure: GoogleError = NotSent(0, "CANCELLED", "stopped before it was sent", request=what)
        attempt, pause = 0, 0.0
        while True:
            attempt += 1
            try:
                turn = await _unless(stopped, self._turn(what, pause, shared=most > 1))
            except _Stopped:
                raise failure from None
            try:
                response = await self._send(method, url, parts, content_type, timeout)
            except GoogleError as error:
                limited = turn.refused(error)
                if attempt >= most or turn.in_vain or not _again(error, repeatable):
                    raise
                failure, pause = error, 0.0 if limited else self._pause(error, attempt)
            else:
                turn.answered()
                return response
            finally:
                turn.end()

    async def _turn(self, what: str, pause: float, *, shared: bool) -> Turn:
        if pause:
            await self._timing.sleep(pause)
        return await self._turns.turn(what if shared else None)

    async def _send(
        self,
        method: str,
        url: str,
        parts: Mapping[str, Any],
        content_type: str | None,
        timeout: float | None,
    ) -> httpx.Response:
        """Sends it once; once more, with a new token, where the old one had ended."""
        import httpx

        what = f"{method} {url}"
        headers = {"content-type": content_type} if content_type is not None else {}
        options: dict[str, Any] = {} if timeout is None else {"timeout": httpx.Timeout(timeout, pool=None)}
        renew = False
        while True:
            headers["authorization"] = f"Bearer {await self._tokens.token(renew=renew)}"
            try:
                response = await self._client(url).request(method, url, headers=headers, **parts, **options)
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                kind = NotSent if never_sent else ServiceFault
                reason = str(error) or type(error).__name__
                raise kind(0, "UNAVAILABLE", f"no answer: {reason}", request=what) from error
            if response.is_success:
                return response
            failure = google_error(response.status_code, _body(response), request=what)
            failure.retry_after = retry_after(response.headers.get("retry-after"), self._timing.wall())
            if renew or not isinstance(failure, Unauthenticated):
                raise failure
            renew = True

    def _pause(self, failure: GoogleError, attempt: int) -> float:
        asked = failure.retry_after
        return backoff(attempt - 1, self._timing) if asked is None else min(asked, LONGEST_RETRY_AFTER)


def _again(failure: GoogleError, repeatable: bool) -> bool:
    """Whether a request may be sent again: nobody has seen it, or it is ``repeatable`` and another time may do."""
    unseen = isinstance(failure, NotSent) or failure.http_status == 429
    return unseen or (repeatable and (failure.http_status in RETRIED_STATUS or failure.http_status == 0))


async def _unless(stopped: asyncio.Event | None, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``. Raises ``_Stopped`` where the caller has no more use for it meanwhile."""
    if stopped is None:
        return await work
    task, stop = asyncio.ensure_future(work), asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _Stopped
    finally:
        task.cancel()
        stop.cancel()


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
