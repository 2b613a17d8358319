"""Times and durations as Google writes them: RFC 3339 in UTC, ``2592000s``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tunestack.emulator.errors import invalid


def seconds(duration: str) -> float:
    """``86400s`` as a number. Raises 400."""
    if not re.fullmatch(r"-?\d+(\.\d{1,9})?s", duration):
        raise invalid(f"Illegal duration format; duration must end with 's': '{duration}'")
    return float(duration[:-1])


def moment(text: str) -> datetime:
    """An RFC 3339 time. Raises 400."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(
            f"Illegal timestamp format; timestamps must end with 'Z' or have an offset: '{text}'"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(text: str, duration: float) -> str:
    """The time ``duration`` seconds after one."""
    return written(moment(text) + timedelta(seconds=duration))
