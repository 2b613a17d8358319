"""Words for rules over several properties, some of which may not be known yet. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import UNKNOWN, is_unknown

Problems = Iterator[PropertyProblem]


def value_at(inputs: object, path: str) -> Any:
    """The value under a dotted path; None where there is none, UNKNOWN where it is not known yet."""
    for key in path.split("."):
        if is_unknown(inputs):
            return UNKNOWN
        inputs = inputs.get(key) if isinstance(inputs, Mapping) else None
    return inputs


def given(inputs: object, *paths: str) -> list[str]:
    """Those of the paths that have a value, known or not; what is inside an unknown value is not known to be given."""
    return [
        path
        for path in paths
        if value_at(inputs, path) is not None
        and ("." not in path or not is_unknown(value_at(inputs, path.rsplit(".", 1)[0])))
    ]


def missing(inputs: object, path: str) -> bool:
    """Whether a path surely has no value."""
    return value_at(inputs, path) is None


def exactly_one(inputs: object, at: str, *paths: str) -> Problems:
    """A problem at ``at`` where none of the paths has a value, at the second where several have."""
    found = given(inputs, *paths)
    words = ", ".join(path.rsplit(".", 1)[-1] for path in paths)
    if all(missing(inputs, path) for path in paths):
        yield PropertyProblem(at, f"exactly one is required of {words}")
    elif len(found) > 1:
        yield PropertyProblem(found[1], f"only one may be given of {words}; {found[0]} is there too")


def at_most_one(inputs: object, *paths: str) -> Problems:
    """A problem at the second of the paths that have a value."""
    if len(given(inputs, *paths)) > 1:
        yield from exactly_one(inputs, "", *paths)
