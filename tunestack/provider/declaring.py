"""What the typed resources of a Pulumi program share: snake_case in the program, camelCase on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar

import pulumi
from pulumi import Output

T = TypeVar("T")


class OutputOf(Generic[T]):
    """An output under its Python name. The values live in the resource under their wire names, so that no key
    inside a value (a pipeline's parameter, a label) is ever renamed on its way."""

    def __init__(self, wire_name: str) -> None:
        self.wire_name = wire_name

    def __get__(self, resource: pulumi.Resource, _: type | None = None) -> Output[T]:
        output: Output[T] = resource.__dict__[self.wire_name]
        return output


class Declared(pulumi.CustomResource):
    """A resource whose outputs are its class's ``OutputOf``.

    Inputs that are absent stay out: each property of a resource costs the SDK some tasks and a third of a millisecond,
    and a tuning job has 40, of which a program gives five.
    """

    def __init__(
        self, token: str, resource_name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None
    ) -> None:
        # None is how Pulumi learns of an output.
        outputs = [output.wire_name for output in vars(type(self)).values() if isinstance(output, OutputOf)]
        super().__init__(token, resource_name, {**dict.fromkeys(outputs), **wire(inputs)}, opts)


def wire(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are there, under their wire names."""
    return {wire_name(name): value for name, value in inputs.items() if value is not None}


@cache
def wire_name(name: str) -> str:
    """The camelCase of a snake_case name. By hand: pydantic's takes as long to import as all else that a program needs
    of this package."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
