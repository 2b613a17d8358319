"""What the emulator does by itself: deliver what is due, evaluate what came in, close what is over.

A work is an async function that does what is to be done now and says when it wants to be called again by the
emulator's clock, if ever. It is called at the start, whenever something may have changed (`Background.wake`), and then.
It keeps nothing of its own: what it finds on disk is what is still to be done, so a kill in the middle loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

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
        self._beside: dict[str, asyncio.Task[bool]] = {}

    def start(self) -> None:
        for work in WORKS:
            event = asyncio.Event()
            self._events.append(event)
            self._tasks.append(asyncio.get_running_loop().create_task(self._run(work, event)))

    def wake(self) -> None:
        """Something changed: call it once the change is on disk."""
        for event in self._events:
            event.set()

    def beside(self, name: str, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Do what may take long (a call to somebody else) beside the works, unless one of that name is under way.

        It says whether there was anything to do: then all works are woken when it has ended.
        """
        if name in self._beside:
            return

        def ended(task: asyncio.Task[bool]) -> None:
            self._beside.pop(name, None)
            if task.cancelled():
                return
            if task.exception():
                log.error("%s", name, exc_info=task.exception())
            elif task.result():
                self.wake()

        task = self._beside[name] = asyncio.get_running_loop().create_task(work())
        task.add_done_callback(ended)

    async def stop(self) -> None:
        tasks = [*self._tasks, *self._beside.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
