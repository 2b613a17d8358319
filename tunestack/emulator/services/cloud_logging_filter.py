"""The filters of Cloud Logging: ``resource.type="ml_job" severity>=ERROR "out of memory"``.

https://cloud.google.com/logging/docs/view/logging-query-language. Comparisons of texts do not mind the case, of
severities go by their order, of times by time. ``log_id`` and ``SEARCH`` of one text are known; the functions of
analysis (``sample``, ``ip_in_net``, ``source``, ``cast``, ``regexp_extract``) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from tunestack.emulator import list_filter
from tunestack.emulator.errors import invalid
from tunestack.emulator.list_filter import Language, Predicate, ordered
from tunestack.emulator.services.times import moment

Json = dict[str, Any]

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_TIMES = {"timestamp", "receiveTimestamp", "receive_timestamp"}


@lru_cache(maxsize=256)
def parse(text: str) -> Predicate:
    """A predicate on entries; sinks and metrics ask with the same few texts. Raises 400 INVALID_ARGUMENT."""
    without_comments = re.sub(r"(?m)^\s*--.*$", "", text)
    return list_filter.parse(without_comments, _FUNCTIONS, LANGUAGE)


def _compare(path: list[str], have: Any, operator: str, want: str) -> bool:
    if path == ["severity"]:
        wanted = want.upper()
        if wanted not in SEVERITIES:
            raise invalid(f'Invalid severity "{want}" in the filter.')
        at, to = SEVERITIES.index(have or "DEFAULT"), SEVERITIES.index(wanted)
        return ordered((at > to) - (at < to), operator)
    if len(path) == 1 and path[0] in _TIMES and have is not None and want != "*":
        at_time, to_time = moment(have), moment(want)
        return ordered((at_time > to_time) - (at_time < to_time), operator)
    if isinstance(have, str) and not (operator == ":" and want == "*"):
        have, want = have.lower(), want.lower()
        if operator == ":":
            return want in have
        if operator in ("=", "!="):
            return (have == want) is (operator == "=")
    if isinstance(have, dict) and operator == ":" and want != "*":
        return any(want.lower() in text.lower() for text in _texts(have))
    return list_filter.compare(path, have, operator, want)


def _anywhere(entry: Json, text: str) -> bool:
    return any(text.lower() in found.lower() for found in _texts(entry))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
    elif value is not None:
        yield str(value)


def _log_id(wanted: str) -> Predicate:
    return lambda entry: unquote(entry["logName"].partition("/logs/")[2]) == wanted


def _search(text: str) -> Predicate:
    """Every word of the text is somewhere in the entry."""
    return lambda entry: all(_anywhere(entry, word) for word in text.split())


LANGUAGE = Language(compare=_compare, anywhere=_anywhere, patterns=True)
_FUNCTIONS = {"log_id": _log_id, "LOG_ID": _log_id, "SEARCH": _search}
