"""The properties of a type: what pulumi-gcp declares, and what a table adds to it.

``declarations.json`` (written by ``tools/gcp_declarations.py`` from the pulumi-gcp package) has names, kinds and
nesting; a table names the few properties of which more is to be said.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tunestack.emulator.gcp_provider.schema import DELETION_POLICY, PROJECT, Kind, Property
from tunestack.emulator.gcp_provider.values import Value

#: Outputs that an update changes although the program does not.
_VOLATILE = frozenset({"etag", "generation", "lastModifiedTime", "metageneration", "updateTime", "updated"})


class TableError(ValueError):
    """A table speaks of a property that the type does not have."""


@functools.cache
def declarations() -> Mapping[str, Any]:
    """``resources`` by type token: ``inputs``, ``outputs``, ``secret``; ``functions`` by token: the answer's shape."""
    return cast(Mapping[str, Any], json.loads(Path(__file__).with_name("declarations.json").read_text()))


def declared(
    token: str,
    *,
    address: str = "",
    replaces: str = "",
    server: str = "",
    output: str = "",
    int64: str = "",
    unordered: str = "",
    volatile: str = "",
    kept: str = "",
    refused: str = "",
    default: Mapping[str, Value] | None = None,
    rest: Mapping[str, str | None] | None = None,
    also: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Property, ...]:
    """The properties of type ``token``. The rest are paths, separated by blanks: ``name schemaSettings.encoding``.

    ``address``: only part of an address or of how requests are made, never of a body; ``replaces``: a change makes
    a new resource (of an object: whatever changes in it); ``server``: the server fills it in where the program is
    silent; ``output``: the server alone decides it; ``refused``: left out, for the stand-in does not serve it;
    ``default``, ``rest``, ``also``: documented defaults, Google's name where it is another, and any other field of
    ``Property``. ``int64``, ``unordered``, ``volatile``, ``kept`` as there.
    Raises TableError for a path that the type does not have.
    """
    said = declarations()["resources"][token]
    labelled = "effectiveLabels" in said["outputs"]
    changes: dict[str, dict[str, Any]] = {}

    def change(path: str, **fields: Any) -> None:
        changes.setdefault(path, {}).update(fields)

    for path in address.split():
        change(path, rest=None)
    for flag, paths in (
        ("replaces", replaces),
        ("server_default", server),
        ("output", output),
        ("int64", int64),
        ("unordered", unordered),
        ("volatile", volatile),
        ("kept", kept),
    ):
        for path in paths.split():
            change(path, **{flag: True})
    for path, value in (default or {}).items():
        change(path, default=value)
    for path, name in (rest or {}).items():
        change(path, rest=name)
    for path, fields in (also or {}).items():
        change(path, **fields)

    left_out = set(refused.split())
    properties = [
        item
        for part in ("inputs", "outputs")
        for item in _properties(said[part], output=part == "outputs", at="", changes=changes)
        if item.name not in left_out
    ]
    if changes:
        raise TableError(f"{token} has no {', '.join(sorted(changes))}")
    return tuple(_usual(item, labelled, item.name in said["secret"]) for item in properties)


def _properties(
    shapes: Mapping[str, Any], *, output: bool, at: str, changes: dict[str, dict[str, Any]]
) -> Iterator[Property]:
    for key, shape in shapes.items():
        name = key.removesuffix("!")
        inner = shape[0] if isinstance(shape, list) else shape
        # What only the server says is handed on as it is, unless the table knows better.
        fields = inner if isinstance(inner, dict) and not output else {}
        yield replace(
            Property(
                name=name,
                kind=_kind(shape),
                required=key.endswith("!"),
                output=output,
                volatile=output and name in _VOLATILE,
                fields=tuple(_properties(fields, output=False, at=f"{at}{name}.", changes=changes)),
            ),
            **changes.pop(at + name, {}),
        )


def _kind(shape: Any) -> Kind:
    if isinstance(shape, str):
        return cast(Kind, shape)
    return "list" if isinstance(shape, list) else "object"


def _usual(item: Property, labelled: bool, secret: bool) -> Property:
    """What nearly every type has in common."""
    if item == Property(name="deletionPolicy"):
        return DELETION_POLICY
    if item == Property(name="project"):
        return PROJECT
    if labelled and item.name == "labels":
        item = replace(item, kind="labels", rest=None)
    if item.name == "pulumiLabels":
        item = replace(item, rest=None)
    if item.name == "effectiveLabels":
        item = replace(item, rest="labels")
    return replace(item, secret=True) if secret else item
