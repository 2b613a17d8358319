"""The emulator's time: the machine's, until a test moves it forward or holds it still.

Whatever waits for a moment waits for this clock. A moved clock is kept on disk, so that a restart does not go back.
Training takes the machine's time: no clock makes a processor faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tunestack.emulator.database import Database
from tunestack.emulator.errors import invalid

Json = dict[str, Any]

_KEY = "clock"


class Clock:
    """Called, it says what time it is (UTC). Time only goes forward."""

    def __init__(self, database: Database, real: Callable[[], datetime]) -> None:
        self._database = database
        self._real = real
        self._ahead = timedelta()
        self._stopped_at: datetime | None = None
        self._waiting: set[asyncio.Event] = set()
        row = database.one("SELECT value FROM meta WHERE key = ?", _KEY)
        if row:
            kept = orjson.loads(row[0])
            self._ahead = timedelta(seconds=kept["aheadSeconds"])
            self._stopped_at = datetime.fromisoformat(kept["stoppedAt"]) if kept["stoppedAt"] else None

    def __call__(self) -> datetime:
        return self._stopped_at or self._real().astimezone(UTC) + self._ahead

    def change(self, body: Json) -> None:
        """``{"set": RFC 3339}`` or ``{"advanceSeconds": n}``, and ``{"stopped": bool}``. Raises 400."""
        unknown = sorted(set(body) - {"set", "advanceSeconds", "stopped"})
        if unknown or {"set", "advanceSeconds"} <= set(body):
            raise invalid("a clock takes set or advanceSeconds, and stopped")
        now = self()
        moment = now + _seconds(body["advanceSeconds"]) if "advanceSeconds" in body else now
        if "set" in body:
            moment = _moment(body["set"])
        if moment < now:
            raise invalid(f"it is {now.isoformat()}: a clock does not go back to {moment.isoformat()}")
        stopped = body.get("stopped", self._stopped_at is not None)
        self._stopped_at = moment if stopped else None
        self._ahead = moment - self._real().astimezone(UTC)
        kept = {
            "aheadSeconds": self._ahead.total_seconds(),
            "stoppedAt": self._stopped_at.isoformat() if self._stopped_at else None,
        }
        text = orjson.dumps(kept).decode()
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", _KEY, text)
        for event in self._waiting:
            event.set()

    def to_json(self) -> Json:
        ahead = self() - self._real().astimezone(UTC)
        return {
            "now": self().isoformat(),
            "aheadSeconds": round(ahead.total_seconds(), 3),
            "stopped": self._stopped_at is not None,
        }

    async def wait_until(self, moment: datetime, interruption: asyncio.Event) -> bool:
        """Wait for a moment of this clock, or until ``interruption`` is set; whether it was."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while not interruption.is_set():
                left = (moment - self()).total_seconds()
                if left <= 0:
                    return False
                changed.clear()
                signals = [asyncio.ensure_future(event.wait()) for event in (changed, interruption)]
                try:
                    limit = None if self._stopped_at else left
                    await asyncio.wait(signals, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for signal in signals:
                        signal.cancel()
            return True
        finally:
            self._waiting.discard(changed)


def _seconds(value: Any) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**10:
        raise invalid(f"advanceSeconds is {value!r}; it must be a number from 0 on")
    return timedelta(seconds=value)


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise invalid(f"set is {value!r}; it must be a time as in 2026-12-24T18:00:00Z") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
