"""From the program's properties to Google's JSON and back, as the property tables say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tunestack.emulator.gcp_provider.schema import MissingVariable, Property, expand
from tunestack.emulator.gcp_provider.values import UNKNOWN, Value

Json = dict[str, Any]


def wanted(item: Property, inputs: Mapping[str, Value]) -> Value:
    """What the program wants of a property: its value, else the documented default, else None (no opinion)."""
    value = inputs.get(item.name)
    return item.default if value is None else value


def encode(properties: Iterable[Property], inputs: Mapping[str, Value]) -> Json:
    """Google's JSON for ``inputs``: every property that is sent and has a value."""
    body: Json = {}
    for item in properties:
        value = wanted(item, inputs)
        if not item.output and item.path is not None and value is not None:
            encoded = encode_value(item, value)
            if encoded is not None:
                put(body, item.path, encoded)
    return body


def encode_value(item: Property, value: Value) -> Value:
    if item.encode is not None:
        return item.encode(value)
    if item.kind == "object":
        return encode(item.fields, value)
    if item.kind == "list" and item.fields:
        entries = [encode(item.fields, entry) for entry in value]
        return entries if item.keyed_by is None else {entry.pop(item.keyed_by): entry for entry in entries}
    return str(value) if item.int64 else value


def decode(properties: Iterable[Property], body: Mapping[str, Any]) -> dict[str, Value]:
    """The properties that Google's JSON states; those that are never sent are not among them."""
    found: dict[str, Value] = {}
    for item in properties:
        raw = take(body, item.path) if item.path is not None else None
        value = decode_value(item, raw) if raw is not None or item.decode is not None else None
        if value is not None:
            found[item.name] = value
    return found


def decode_value(item: Property, raw: Any) -> Value:
    if item.decode is not None:
        return item.decode(raw)
    match item.kind:
        case "object":
            return decode(item.fields, raw)
        case "list" if item.keyed_by is not None:
            return [decode(item.fields, {**entry, item.keyed_by: key}) for key, entry in sorted(raw.items())]
        case "list" if item.fields:
            return [decode(item.fields, entry) for entry in raw]
        case "integer":
            return int(raw)
        case "text":
            return str(raw)
    return raw


def without_outputs(item: Property, value: Value) -> Value:
    """``value`` without what the server alone decides: what a program can state of it."""
    if item.kind == "list" and item.fields:
        return [_stated(item.fields, entry) for entry in value]
    return _stated(item.fields, value) if item.kind == "object" and item.fields else value


def _stated(fields: Iterable[Property], value: Mapping[str, Value]) -> Json:
    return {
        part.name: without_outputs(part, value[part.name])
        for part in fields
        if not part.output and value.get(part.name) is not None
    }


def patch(item: Property, old: Value, new: Value) -> Value:
    """What to send under merge-patch so that ``old`` becomes ``new``: null takes a key away (RFC 7396)."""
    if new is None or item.kind not in ("object", "map"):
        return None if new is None else encode_value(item, new)
    if item.kind == "map":
        return {**dict.fromkeys(old or {}), **new}
    body = encode(item.fields, new)
    for part in item.fields:
        gone = (old or {}).get(part.name) is not None and wanted(part, new) is None
        if gone and not part.output and not part.server_default and part.path is not None:
            put(body, part.path, None)
    return body


def derive(properties: Iterable[Property], variables: Mapping[str, Value]) -> dict[str, Value]:
    """The derived properties whose templates can be filled in from ``variables``."""
    found: dict[str, Value] = {}
    for item in properties:
        if item.derived is not None:
            try:
                found[item.name] = expand(item.derived, variables)
            except MissingVariable:
                continue
    return found


def numbers_as_declared(item: Property, value: Value) -> Value:
    """Text where a text is declared: programs may give 3600 for "3600", and the wire knows only floats."""
    if item.kind == "text" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if item.kind == "integer" and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if item.kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if value == UNKNOWN or not item.fields:
        return value
    if item.kind == "list" and isinstance(value, list):
        return [_object_as_declared(item.fields, entry) for entry in value]
    return _object_as_declared(item.fields, value)


def _object_as_declared(fields: Iterable[Property], value: Value) -> Value:
    if not isinstance(value, dict):
        return value
    declared = {item.name: item for item in fields}
    return {
        name: numbers_as_declared(declared[name], entry) if name in declared else entry
        for name, entry in value.items()
    }


def take(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = body
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def put(body: Json, path: tuple[str, ...], value: Any) -> None:
    """Set ``value`` at ``path``; objects that meet there are merged."""
    for key in path[:-1]:
        body = body.setdefault(key, {})
    last = path[-1]
    if isinstance(value, dict) and isinstance(body.get(last), dict):
        body[last].update(value)
    else:
        body[last] = value
