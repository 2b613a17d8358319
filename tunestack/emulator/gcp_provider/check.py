"""Whether the program's properties are ones that the type has, and what is filled in for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunestack.emulator.gcp_provider.mapping import numbers_as_declared
from tunestack.emulator.gcp_provider.schema import Kind, Property, ResourceType
from tunestack.emulator.gcp_provider.values import UNKNOWN, Value, is_asset

_PYTHON: dict[Kind, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "map": (dict,),
    "labels": (dict,),
    "object": (dict,),
    "list": (list,),
}


def check(
    resource: ResourceType, name: str, seed: bytes, olds: Mapping[str, Value], news: Mapping[str, Value]
) -> tuple[dict[str, Value], list[tuple[str, str]]]:
    """The inputs with the automatic name, in declared types; and (property, reason) of each thing wrong.

    The same arguments give the same inputs: the name comes from the engine's seed, and an old one is kept.
    """
    declared = {item.name: item for item in resource.properties}
    inputs = {
        key: numbers_as_declared(declared[key], value) if key in declared else value
        for key, value in news.items()
        if value is not None
    }
    if (autoname := resource.autoname) is not None and not inputs.get(autoname.property):
        inputs[autoname.property] = olds.get(autoname.property) or autoname.name(name, seed)
    refused = {key: reason for key, reason in resource.refused.items() if inputs.get(key) is not None}
    failures = [(key, f"is not served by the stand-in: {reason}") for key, reason in refused.items()]
    served = {key: value for key, value in inputs.items() if key not in refused}
    failures += _failures(resource.properties, served, "")
    # The wire's maps have no order; a report should.
    return inputs, sorted(failures)


def _failures(
    properties: tuple[Property, ...], values: Mapping[str, Value], at: str
) -> Iterator[tuple[str, str]]:
    inputs = {item.name: item for item in properties if not item.output}
    for key, value in values.items():
        if key not in inputs and not key.startswith("__"):
            yield at + key, f"is no input here; there are {', '.join(sorted(inputs))}"
        elif key in inputs:
            yield from _of_value(inputs[key], value, at + key)
    for item in inputs.values():
        if item.required and values.get(item.name) is None:
            yield at + item.name, "is required"


def _of_value(item: Property, value: Any, at: str) -> Iterator[tuple[str, str]]:
    if value is None or value == UNKNOWN:
        return
    if item.kind == "asset":
        if not is_asset(value):
            yield at, "must be an asset (pulumi.FileAsset or pulumi.StringAsset)"
        return
    fits = isinstance(value, _PYTHON[item.kind]) and isinstance(value, bool) <= (item.kind == "boolean")
    if not fits:
        yield at, f"must be {_named(item.kind)}, not {value!r}"
    elif item.allowed and value not in item.allowed:
        yield at, f"must be one of {', '.join(item.allowed)}, not {value!r}"
    elif item.kind in ("map", "labels"):
        for key, entry in value.items():
            if not isinstance(entry, str):
                yield f"{at}.{key}", f"must be a text, not {entry!r}"
    elif item.kind == "object":
        yield from _failures(item.fields, value, at + ".")
    elif item.kind == "list" and item.fields:
        for index, entry in enumerate(value):
            if entry == UNKNOWN:
                continue
            if isinstance(entry, dict):
                yield from _failures(item.fields, entry, f"{at}[{index}].")
            else:
                yield f"{at}[{index}]", f"must be an object, not {entry!r}"


def _named(kind: Kind) -> str:
    return ("an " if kind[0] in "aeio" else "a ") + kind
