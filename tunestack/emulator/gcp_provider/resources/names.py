"""How Google's names and durations are compared, where several spellings mean the same."""

from __future__ import annotations

from collections.abc import Callable

from tunestack.emulator.gcp_provider.values import Value

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def last_part(name: Value) -> str:
    """A full name and its last part name the same thing."""
    return str(name).rstrip("/").rpartition("/")[2]


def seconds(duration: Value) -> float | str:
    """A duration as seconds, so that ``7d`` and ``604800s`` are equal; what is none stays as it is."""
    text = str(duration)
    try:
        return float(text[:-1]) * _SECONDS[text[-1:]]
    except (ValueError, KeyError):
        return text


def full(prefix: str) -> Callable[[Value], str]:
    """The comparison of full names with those that leave ``prefix`` out."""
    return lambda name: str(name).removeprefix(prefix)
