"""What the typed resources of a Pulumi program share: snake_case in the program, camelCase on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import pulumi
from pulumi import Output
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class OutputOf(Generic[T]):
    """An output under its Python name. The values live in the resource under their wire names, so that no key
    inside a value (a pipeline's parameter, a label) is ever renamed on its way."""

    def __init__(self, wire_name: str) -> None:
        self._wire_name = wire_name

    def __get__(self, resource: pulumi.Resource, _: type | None = None) -> Output[T]:
        output: Output[T] = resource.__dict__[self._wire_name]
        return output


def wire(inputs: Mapping[str, Any], computed: Sequence[str] = ()) -> dict[str, Any]:
    """Inputs under their wire names; computed outputs as None, which is how Pulumi learns of them."""
    return {**{to_camel(name): value for name, value in inputs.items()}, **dict.fromkeys(computed)}
