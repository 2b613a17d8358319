"""What the emulator does by itself: deliver what is due, evaluate what came in, close what is over.

A work is an async function that does what is to be done now and says when it wants to be called again by the
emulator's clock, if ever. It is called at the start, whenever something may have changed (`Background.wake`), and then.
It keeps nothing of its own: what it finds on disk is what is still to be done, so a kill in the middle loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Work = Callable[["State"], Awaitable[datetime | None]]

WORKS: list[Work] = []
_AFTER_A_DEFECT = timedelta(seconds=10)

log = logging.getLogger("tunestack.emulator")


def in_background(work: Work) -> Work:
    """Register a work, when its module is imported."""
    WORKS.append(work)
    return work


class Background:
    """Runs all works over one `State`, each at its own pace."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events: list[asyncio.Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for work in WORKS:
            event = asyncio.Event()
            self._events.append(event)
            self._tasks.append(asyncio.get_running_loop().create_task(self._run(work, event)))

    def wake(self) -> None:
        """Something changed: call it once the change is on disk."""
        for event in self._events:
            event.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._events.clear()

    async def _run(self, work: Work, event: asyncio.Event) -> None:
        while True:
            event.clear()
            try:
                again = await work(self._state)
            except Exception:
                log.exception("%s", work.__name__)
                again = self._state.clock() + _AFTER_A_DEFECT
            if again is None:
                await event.wait()
            else:
                await self._state.clock.wait_until(again, event)
