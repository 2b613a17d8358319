"""Bodies against Google's schemas: one pass that rewrites a body to its canonical form and checks it.

Discovery schemas are a dialect that no JSON Schema validator reads as meant (int64 as strings, enums by
number, field masks, Google's own formats), and canonicalising has to walk the same tree: hence our own walk.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Violation = tuple[str, str]  # (field path, description)

_LONG_INTEGERS = {"int64", "uint64", "fixed64"}
_NOT_NUMBERS = {"NaN", "Infinity", "-Infinity"}


def camel(name: str) -> str:
    """``display_name`` → ``displayName``; proto's JSON mapping accepts both."""
    if "_" not in name.strip("_"):
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found.group(1).lower(), name)


class Walk:
    """One walk over one body.

    ``schemas`` is the document's; ``request`` strips what only the server sets and reports what is required
    and absent; ``partial`` (a patch) forgives absence and keeps nulls, which there mean "remove";
    ``wider`` is the schemas of a wider version of the same API: fields that only it knows are left out of a
    response without complaint, because a row is shared by all versions.
    """

    def __init__(
        self,
        schemas: Mapping[str, Json],
        *,
        request: bool,
        partial: bool = False,
        wider: Mapping[str, Json] | None = None,
    ) -> None:
        self.schemas = schemas
        self.request = request
        self.partial = partial
        self.wider = wider
        self.violations: list[Violation] = []

    def message(self, name: str, body: Any, path: str = "") -> Any:
        """``body`` as the schema ``name`` has it; what is wrong goes to ``violations``."""
        return self._value({"$ref": name}, body, path)

    def _fail(self, path: str, text: str) -> None:
        self.violations.append((path, text))

    def _value(self, schema: Json, value: Any, path: str) -> Any:
        reference = schema.get("$ref")
        if reference is not None:
            target = self.schemas[reference]
            if "properties" in target:
                return self._object(reference, target, value, path)
            return self._value(target, value, path)
        kind = schema.get("type", "any")
        if "properties" in schema:
            return self._object(path, schema, value, path)
        if kind == "any":
            return value
        if kind == "object":
            return self._map(schema, value, path)
        if kind == "array":
            if not isinstance(value, list):
                self._fail(path, f"Invalid value at '{path}', expected a list, got {_shown(value)}")
                return value
            return [self._value(schema["items"], item, f"{path}[{i}]") for i, item in enumerate(value)]
        return self._scalar(schema, kind, value, path)

    def _object(self, reference: str, schema: Json, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self._fail(path, f"Invalid value at '{path}' ({reference}), {_shown(value)}")
            return value
        properties = schema["properties"]
        result: Json = {}
        for key, child in value.items():
            name = key if key in properties else camel(key)
            if name not in properties:
                # Google's storage client sends null for a field that its document lacks: nothing is removed.
                if not (self.partial and child is None) and not self._known_elsewhere(reference, name):
                    at = f" at '{path}'" if path else ""
                    self._fail(
                        f"{path}.{key}".lstrip("."),
                        f'Invalid JSON payload received. Unknown name "{key}"{at}: Cannot find field.',
                    )
                continue
            property_schema = properties[name]
            if self.request and property_schema.get("readOnly"):
                continue
            if child is None and (self.request or property_schema.get("type") != "any"):
                if self.partial:
                    result[name] = None
                continue
            result[name] = self._value(property_schema, child, f"{path}.{name}".lstrip("."))
        if self.request and not self.partial:
            for name, property_schema in properties.items():
                if _must_be_sent(property_schema) and result.get(name) in (None, "", []):
                    self._fail(f"{path}.{name}".lstrip("."), f"Required field is not set: {snake(name)}")
        return result

    def _known_elsewhere(self, reference: str, name: str) -> bool:
        if self.wider is None:
            return False
        beta = self.wider.get(re.sub(r"(?<=[a-z])V1(?=[A-Z])", "V1beta1", reference), {})
        return name in beta.get("properties", {})

    def _map(self, schema: Json, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self._fail(path, f"Invalid value at '{path}', expected a map, got {_shown(value)}")
            return value
        child_schema = schema.get("additionalProperties")
        if child_schema is None:
            return value
        result: Json = {}
        for key, child in value.items():
            if child is None and child_schema.get("type") != "any":
                if self.partial:
                    result[key] = None
                continue
            result[key] = self._value(child_schema, child, f"{path}.{key}".lstrip("."))
        return result

    def _scalar(self, schema: Json, kind: str, value: Any, path: str) -> Any:
        if "enum" in schema:
            return self._enum(schema, value, path)
        style = schema.get("format", "")
        if kind == "string" and style in _LONG_INTEGERS:
            if isinstance(value, bool) or not re.fullmatch(r"-?\d+", _integer_text(value)):
                self._fail(path, f"Invalid value at '{path}' (TYPE_{style.upper()}), {_shown(value)}")
                return value
            return _integer_text(value)
        if kind == "string":
            if not isinstance(value, str):
                self._fail(path, f"Invalid value at '{path}' (TYPE_STRING), {_shown(value)}")
            elif style == "byte" and not _is_base64(value):
                self._fail(
                    path,
                    f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {_shown(value)}",
                )
            elif style == "google-fieldmask":
                return ",".join(
                    ".".join(camel(part) for part in item.split(".")) for item in value.split(",")
                )
            return value
        if kind == "boolean":
            if not isinstance(value, bool):
                self._fail(path, f"Invalid value at '{path}' (TYPE_BOOL), {_shown(value)}")
            return value
        if kind == "integer":
            if isinstance(value, bool) or not re.fullmatch(r"-?\d+", _integer_text(value)):
                self._fail(path, f"Invalid value at '{path}' (TYPE_INT32), {_shown(value)}")
                return value
            return int(_integer_text(value))
        if isinstance(value, bool) or not (isinstance(value, int | float) or value in _NOT_NUMBERS):
            self._fail(path, f"Invalid value at '{path}' (TYPE_DOUBLE), {_shown(value)}")
        return value

    def _enum(self, schema: Json, value: Any, path: str) -> Any:
        names: list[str] = schema["enum"]
        if isinstance(value, int) and not isinstance(value, bool):
            numbers: list[int] = schema.get("enumNumbers") or list(range(len(names)))
            if value in numbers:
                return names[numbers.index(value)]
        elif value in names:
            return value
        self._fail(path, f"Invalid value at '{path}' (TYPE_ENUM), {_shown(value)}")
        return value


def _must_be_sent(schema: Json) -> bool:
    """Whether absence is an error. A required number, boolean or map that is absent is 0, false, empty (proto3)."""
    number = schema.get("type") in ("integer", "number", "boolean") or schema.get("format") in _LONG_INTEGERS
    return bool(schema.get("required")) and not number and "additionalProperties" not in schema


def _integer_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def apply_mask(row: Json, change: Json, mask: str | None) -> Json:
    """``row`` with the fields of ``mask`` (``displayName,labels.env``) taken from ``change``.

    Without a mask every field that ``change`` has is replaced. A field that the mask names and ``change``
    lacks is removed, as AIP-134 has it.
    """
    paths = [path.strip() for path in mask.split(",") if path.strip()] if mask else list(change)
    result = dict(row)
    for path in paths:
        parts = [camel(path.partition(".")[0]), *path.split(".")[1:]]
        source: Any = change
        target = result
        for part in parts[:-1]:
            source = source.get(part, {}) if isinstance(source, dict) else {}
            child = target.get(part)
            target[part] = dict(child) if isinstance(child, dict) else {}
            target = target[part]
        value = source.get(parts[-1]) if isinstance(source, dict) else None
        if value is None:
            target.pop(parts[-1], None)
        else:
            target[parts[-1]] = value
    return result


def merge_patch(row: Json, change: Json) -> Json:
    """JSON Merge Patch (RFC 7396), as Cloud Storage patches: null removes, objects merge."""
    result = dict(row)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge_patch(result[key], value)
        elif isinstance(value, dict):
            result[key] = merge_patch({}, value)
        else:
            result[key] = value
    return result
