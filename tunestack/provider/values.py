"""Property values between the engine's wire form and Python.

On the wire a property map is a ``google.protobuf.Struct``: unknowns are one reserved string, secrets and references
are objects with a signature, and every number is a double (pulumi/pulumi ``docs/architecture/deployment-schema``
and ``sdk/python/lib/pulumi/runtime/rpc.py``, whose private constants are copied here and compared in a test).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from google.protobuf.struct_pb2 import Struct, Value

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a signature of the protocol, no secret
RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_VALUE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that is known only after the update; there is one, ``UNKNOWN``."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown; it goes back to the engine as a secret."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


Properties = dict[str, Any]
"""JSON-like values, with ``UNKNOWN`` and ``Secret`` anywhere inside."""


def decode(struct: Struct) -> Properties:
    """The wire's property map as Python values. Raises ValueError for assets and archives, which we have no use for."""
    fields = struct.fields  # its own `items` looks up each key twice
    return {key: _decode(fields[key]) for key in fields}


def _decode(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_TEXT else value.string_value
    if kind == "number_value":
        # The wire has doubles only: a whole number was most likely an integer, and JSON prints both alike.
        number = value.number_value
        return (
            int(number)
            if math.isfinite(number) and number == math.floor(number) and abs(number) < 2**53
            else number
        )
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_object(value.struct_value)
    return None


def _decode_object(struct: Struct) -> Any:
    signature = struct.fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in struct.fields else ""
    if signature == SECRET:
        return Secret(_decode(struct.fields["value"]))
    if signature == OUTPUT_VALUE:
        inner = _decode(struct.fields["value"]) if "value" in struct.fields else UNKNOWN
        is_secret = "secret" in struct.fields and struct.fields["secret"].bool_value
        return Secret(inner) if is_secret else inner
    if signature == RESOURCE:
        return _decode(struct.fields["id"]) if "id" in struct.fields else struct.fields["urn"].string_value
    if signature in (ASSET, ARCHIVE):
        raise ValueError("assets and archives are not accepted: give the gs:// address of an object")
    return decode(struct)


def encode(properties: Mapping[str, Any]) -> Struct:
    """Python values as a property map of the wire; None is left out at the top level, as Pulumi does."""
    struct = Struct()
    for key, value in properties.items():
        if value is not None:
            _fill(struct.fields[key], value)
    return struct


def _fill(target: Value, value: Any) -> None:
    if value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif value is UNKNOWN:
        target.string_value = UNKNOWN_TEXT
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = float(value)
    elif isinstance(value, Secret):
        target.struct_value.fields[SIGNATURE_KEY].string_value = SECRET
        _fill(target.struct_value.fields["value"], value.value)
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[str(key)], item)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    else:
        raise TypeError(f"no wire form for {type(value).__name__}")


def plain(value: Any) -> Any:
    """The value without its secret wrappers; unknowns stay."""
    return _map(value, lambda secret: plain(secret.value))


def _map(value: Any, on_secret: Callable[[Secret], Any]) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value  # first: most values are
    if isinstance(value, Secret):
        return on_secret(value)
    if isinstance(value, Mapping):
        return {key: _map(item, on_secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_map(item, on_secret) for item in value]
    return value


def is_unknown(value: Any) -> TypeGuard[Unknown]:
    """Whether a value itself is unknown, in the clear or as a secret."""
    while isinstance(value, Secret):
        value = value.value
    return value is UNKNOWN


def has_unknown(value: Any) -> bool:
    """Whether an unknown is anywhere inside a value."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def has_secret(value: Any) -> bool:
    """Whether a secret is anywhere inside a value."""
    if isinstance(value, Secret):
        return True
    if isinstance(value, Mapping):
        return any(has_secret(item) for item in value.values())
    return isinstance(value, list) and any(has_secret(item) for item in value)
