"""What one request that was turned away for its rate means for the others to the same address.

A server that says "not now" to one of five hundred creates says it to all of them: sent all the same, each would
be turned away in its turn, and use up its own attempts against the same minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tunestack.vertex.errors import GoogleError, ResourceExhausted
from tunestack.vertex.timing import Timing, backoff

RATE_LIMIT_REASON = "RATE_LIMIT_EXCEEDED"
"""``google.rpc.ErrorInfo.reason`` of too many requests (googleapis ``google/api/error_reason.proto``)."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds that we let a server hold us back at once, whatever it asks for."""

FIRST_PAUSE, LONGEST_PAUSE = 4.0, 60.0
"""Seconds without a request where the server does not say how long: Vertex AI counts requests by the minute."""


@dataclass(eq=False)
class _Limit:
    """A limit in force: nobody passes before ``until``, and then one at a time until one was answered."""

    error: GoogleError
    until: float = 0.0
    refusals: int = 0
    given_up: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Turn:
    """The right to send one request. What came of it is told before ``end``, which must be called in any case."""

    def __init__(self, turns: Turns, address: str | None, first: _Limit | None = None) -> None:
        self._turns = turns
        self._address = address
        self._first = first

    def refused(self, error: GoogleError) -> bool:
        """The request was turned away. Whether that was for its rate, and so holds the others back too."""
        if self._address is None or not is_rate_limit(error):
            return False
        self._turns.hold(self._address, error, follows=self._first is not None)
        return True

    @property
    def in_vain(self) -> bool:
        """Whether the limit was given up with this request: it is not to be sent again either."""
        return self._first is not None and self._first.given_up

    def answered(self) -> None:
        """The others may follow at once."""
        if self._address is not None and self._first is not None:
            self._turns.lift(self._address, self._first)

    def end(self) -> None:
        """Lets the next one have its turn."""
        self._turns.places.release()
        if self._first is not None:
            self._first.turn.release()


class Turns:
    """Who may send when: so many at once, and by address (method and URL without parameters) as its limits allow."""

    def __init__(self, timing: Timing, *, at_once: int, most: int) -> None:
        """After ``most`` refusals in a row whoever waits is told so, unsent; whoever comes later begins anew."""
        self.places = asyncio.Semaphore(at_once)
        self._timing = timing
        self._most = most
        self._limits: dict[str, _Limit] = {}

    async def turn(self, address: str | None) -> Turn:
        """Waits until a request may be sent; without ``address`` only for a place.

        Raises the ``GoogleError`` with which all others to this address were turned away.
        """
        while address is not None:
            first = await self._first(address)
            try:
                await self.places.acquire()
            except BaseException:
                if first is not None:
                    first.turn.release()
                raise
            if first is not None or address not in self._limits:
                return Turn(self, address, first)
            self.places.release()  # a limit was met while we waited for a place
        await self.places.acquire()
        return Turn(self, address)

    async def _first(self, address: str) -> _Limit | None:
        """The limit, held, where this one is to go ahead of the others; None where there is none (any more)."""
        limit = self._limits.get(address)
        if limit is None:
            return None
        await limit.turn.acquire()
        try:
            if limit.given_up:
                raise copied(limit.error)
            if self._limits.get(address) is limit:
                await self._timing.sleep(max(0.0, limit.until - self._timing.monotonic()))
                return limit
        except BaseException:
            limit.turn.release()
            raise
        limit.turn.release()
        return None

    def hold(self, address: str, error: GoogleError, *, follows: bool) -> None:
        """Holds everyone back. ``follows``: the request was sent after the refusal before it, not along with it."""
        limit = self._limits.setdefault(address, _Limit(error))
        if follows or limit.refusals == 0:
            limit.refusals += 1
        pause = self._pause(error, limit.refusals)
        limit.error, limit.until = error, max(limit.until, self._timing.monotonic() + pause)
        if limit.refusals >= self._most:
            limit.given_up = True
            del self._limits[address]

    def lift(self, address: str, limit: _Limit) -> None:
        """Holds nobody back any longer."""
        if self._limits.get(address) is limit:
            del self._limits[address]

    def _pause(self, error: GoogleError, refusals: int) -> float:
        if error.retry_after is not None:
            return min(error.retry_after, LONGEST_RETRY_AFTER)
        return backoff(refusals - 1, self._timing, first=FIRST_PAUSE, ceiling=LONGEST_PAUSE)


def is_rate_limit(error: GoogleError) -> bool:
    """Whether a refusal is of all requests of its kind, and not of what this one asks for (so many accelerators)."""
    if not isinstance(error, ResourceExhausted):
        return False
    reasons = [detail.get("reason") for detail in error.details]
    return error.retry_after is not None or RATE_LIMIT_REASON in reasons


def copied(error: GoogleError) -> GoogleError:
    """The same error for someone else to raise: an exception that two tasks raise gathers both their frames."""
    copy = type(error)(error.http_status, error.status, error.message, error.details, request=error.request)
    copy.retry_after = error.retry_after
    return copy
