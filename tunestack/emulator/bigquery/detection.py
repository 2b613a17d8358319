"""Schemas found in data, as BigQuery detects them (cloud.google.com/bigquery/docs/schema-detect). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

_TEXTS = (
    ("INTEGER", re.compile(r"[+-]?\d{1,18}")),
    ("FLOAT", re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")),
    ("BOOLEAN", re.compile(r"true|false", re.IGNORECASE)),
    ("DATE", re.compile(r"\d{4}-\d{2}-\d{2}")),
    (
        "TIMESTAMP",
        re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?( ?(UTC|Z)|[+-]\d{2}:\d{2})?"),
    ),
    ("TIME", re.compile(r"\d{2}:\d{2}:\d{2}(\.\d{1,6})?")),
)


def of_text(text: str) -> str:
    return next((kind for kind, pattern in _TEXTS if pattern.fullmatch(text)), "STRING")


def of_rows(rows: Iterable[Json]) -> list[Json]:
    """The fields of JSON rows, in the order in which they are first met."""
    found: dict[str, Json] = {}
    for row in rows:
        for name, value in row.items():
            field = _of_value(value)
            if field is not None:
                found[name] = _joined(found[name], field) if name in found else field
    return [{"name": name, "mode": "NULLABLE", **field} for name, field in found.items()]


def of_table(rows: list[list[str]], header: list[str] | None) -> tuple[list[Json], bool]:
    """The fields of text rows, and whether the first row is a header that was found among them."""
    first, rest = (rows[0], rows[1:]) if rows else ([], [])
    kinds = [_column(rows, index) for index in range(len(first))]
    below = [_column(rest, index) for index in range(len(first))]
    found = (
        header is None and bool(rest) and all(of_text(text) == "STRING" for text in first) and below != kinds
    )
    names = header or (first if found else [])
    return [
        {
            "name": _name(names[index], index) if index < len(names) else f"{kind.lower()}_field_{index}",
            "type": kind,
            "mode": "NULLABLE",
        }
        for index, kind in enumerate(below if found else kinds)
    ], found


def _column(rows: list[list[str]], index: int) -> str:
    kinds = {of_text(row[index].strip()) for row in rows if index < len(row) and row[index].strip()}
    return _common(kinds)


def _common(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return kinds.pop()
    return "FLOAT" if kinds == {"INTEGER", "FLOAT"} else "STRING"


def _name(text: str, index: int) -> str:
    name = re.sub(r"\W", "_", text.strip()) or f"field_{index}"
    return f"_{name}" if name[0].isdigit() else name


def _of_value(value: Any) -> Json | None:
    if isinstance(value, list):
        fields = [field for field in map(_of_value, value) if field]
        if not fields:
            return None
        joined = fields[0]
        for field in fields[1:]:
            joined = _joined(joined, field)
        return {**joined, "mode": "REPEATED"}
    if isinstance(value, dict):
        inner = of_rows([value])
        return {"type": "RECORD", "fields": inner} if inner else None
    if value is None:
        return None
    if isinstance(value, bool):
        return {"type": "BOOLEAN"}
    if isinstance(value, int):
        return {"type": "INTEGER" if -(2**63) <= value < 2**63 else "FLOAT"}
    return {"type": "FLOAT"} if isinstance(value, float) else {"type": of_text(value)}


def _joined(first: Json, second: Json) -> Json:
    mode = {"mode": "REPEATED"} if "REPEATED" in (first.get("mode"), second.get("mode")) else {}
    if first["type"] == second["type"] == "RECORD":
        fields = {field["name"]: field for field in first["fields"]}
        for field in second["fields"]:
            name = field["name"]
            fields[name] = (
                {**field, **_joined(fields[name], field), "name": name} if name in fields else field
            )
        return {"type": "RECORD", "fields": list(fields.values()), **mode}
    return {"type": _common({first["type"], second["type"]}), **mode}
