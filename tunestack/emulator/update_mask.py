"""``updateMask``: which fields of a resource a patch changes, held to Google's schema.

A field that there is not is refused; one that only the server writes is left alone (google.aip.dev/203). Names come in
either spelling, and are Google's JSON names afterwards; below a map stand the caller's own keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.schema import camel

Json = dict[str, Any]


def checked(mask: str, schemas: Mapping[str, Any], message: str) -> str:
    """The mask over a ``message`` in JSON names, without what the server alone writes. Raises 400.

    ``*`` (the whole resource) stays as it is.
    """
    paths = [path.strip() for path in mask.split(",") if path.strip()]
    if message not in schemas or "*" in paths:
        return mask
    found = [(path, _resolved(path, schemas, message)) for path in paths]
    kept = [path for _, path in found if path is not None]
    if found and not kept:
        raise invalid(
            f"Only the server writes {', '.join(path for path, _ in found)}.", [("update_mask", mask)]
        )
    return ",".join(kept)


def _resolved(path: str, schemas: Mapping[str, Any], message: str) -> str | None:
    """A path in JSON names; None where the server alone writes it."""
    names: list[str] = []
    parts = path.split(".")
    schema = schemas[message]
    for place, part in enumerate(parts):
        properties = schema.get("properties")
        if not properties:
            return ".".join([*names, *parts[place:]])  # a map's own keys, or a message of any fields
        name = part if part in properties else camel(part)
        if name not in properties:
            raise invalid(f"Invalid field path in the update mask: {path}", [("update_mask", path)])
        names.append(name)
        declared = properties[name]
        if declared.get("readOnly") and name not in ("name", "etag"):
            return None
        schema = schemas.get(declared.get("$ref", ""), {})
    return ".".join(names)
