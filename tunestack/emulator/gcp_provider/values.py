"""Property values as they cross the wire, to plain Python and back.

The wire carries a ``google.protobuf.Struct``: every number is a float, and secrets, assets and unknowns are
written with signatures and sentinels (Pulumi, ``sdk/python/lib/pulumi/runtime/rpc.py``; they are private
there, so they are repeated here, and a test compares the two).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct
    from google.protobuf.struct_pb2 import Value as WireValue

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker of the protocol
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

#: A JSON value; an unknown is the string ``UNKNOWN``, an asset a dict with the key ``SIGNATURE``.
Value = Any


@dataclass(frozen=True)
class Properties:
    """The properties of one resource: plain values, and the names of those that must stay secret."""

    values: dict[str, Value] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


def is_asset(value: Value) -> bool:
    return isinstance(value, dict) and value.get(SIGNATURE) in (ASSET, ARCHIVE)


def has_unknown(value: Value) -> bool:
    """Whether ``value`` is unknown or holds an unknown at any depth."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def read(struct: Struct | None) -> Properties:
    """Plain values of a wire struct. A secret at any depth makes its whole top-level property secret."""
    values: dict[str, Value] = {}
    secrets: set[str] = set()
    for name, wire in struct.fields.items() if struct is not None else ():
        values[name], secret = _read(wire)
        if secret:
            secrets.add(name)
    return Properties(values, frozenset(secrets))


def write(values: Mapping[str, Value], secrets: Collection[str] = ()) -> Struct:
    """The wire struct of ``values``; properties without a value are left out, those in ``secrets`` wrapped."""
    from google.protobuf.struct_pb2 import Struct

    struct = Struct()
    struct.update(
        {
            name: {SIGNATURE: SECRET, "value": value} if name in secrets else value
            for name, value in values.items()
            if value is not None
        }
    )
    return struct


def _read(wire: WireValue) -> tuple[Value, bool]:
    kind = wire.WhichOneof("kind")
    if kind == "number_value":
        number = wire.number_value
        return (int(number) if number.is_integer() else number), False
    if kind == "list_value":
        items = [_read(item) for item in wire.list_value.values]
        return [value for value, _ in items], any(secret for _, secret in items)
    if kind == "struct_value":
        return _read_struct(wire.struct_value)
    if kind in ("string_value", "bool_value"):
        return getattr(wire, kind), False
    return None, False


def _read_struct(struct: Struct) -> tuple[Value, bool]:
    fields = struct.fields
    signature = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
    if signature == SECRET:
        return _read(fields["value"])[0], True
    if signature == OUTPUT:
        if "value" not in fields:
            return UNKNOWN, False
        value, secret = _read(fields["value"])
        return value, secret or fields["secret"].bool_value
    if signature == RESOURCE:
        return (_read(fields["id"])[0] or UNKNOWN) if "id" in fields else fields["urn"].string_value, False
    items = {name: _read(item) for name, item in fields.items()}
    return {name: value for name, (value, _) in items.items()}, any(secret for _, secret in items.values())
