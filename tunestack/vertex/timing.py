"""Clock, sleep and chance, passed in: so that no test waits, and no wait depends on the hour of the day."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """``monotonic`` and ``sleep`` in seconds; ``wall`` in seconds since the epoch; ``chance`` in [0, 1)."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


def backoff(attempt: int, timing: Timing, *, first: float = 0.5, ceiling: float = 20.0) -> float:
    """Seconds to wait before try ``attempt + 1``: exponential with full jitter over its upper half."""
    bound = min(ceiling, first * 2.0 ** min(attempt, 60))  # a wait of hours has thousands of attempts
    return bound * (0.5 + 0.5 * timing.chance())
