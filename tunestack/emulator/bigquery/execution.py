"""Runs translated queries. Everything here blocks: it is called in a thread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunestack.emulator.bigquery.engine import opened
from tunestack.emulator.bigquery.fields import engine_type, kind, quoted, repeated
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.translation import Translated
from tunestack.emulator.bigquery.warehouse import Segment, Warehouse
from tunestack.emulator.errors import ApiError

if TYPE_CHECKING:
    import duckdb

Json = dict[str, Any]

_KINDS = {
    **dict.fromkeys(
        ("bigint", "hugeint", "integer", "smallint", "tinyint", "ubigint", "uinteger", "uhugeint"), "INTEGER"
    ),
    **dict.fromkeys(("double", "float"), "FLOAT"),
    **dict.fromkeys(("varchar", "enum", "uuid"), "STRING"),
    **dict.fromkeys(("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), "DATETIME"),
    "timestamp with time zone": "TIMESTAMP",
    "blob": "BYTES",
    "boolean": "BOOLEAN",
    "decimal": "NUMERIC",
    "date": "DATE",
    "time": "TIME",
    "json": "JSON",
    # A NULL without a type is an INT64 to BigQuery.
    "null": "INTEGER",
}
_FAMILIES = (
    {"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"},
    {"DATE", "DATETIME", "TIMESTAMP"},
    {"STRING", "JSON"},
)


def run_query(
    warehouse: Warehouse,
    views: Mapping[str, str],
    translated: Translated,
    interrupts: list[duckdb.DuckDBPyConnection] | None = None,
) -> tuple[list[Json], Segment]:
    """The schema and the rows of a query. ``interrupts`` receives the connection, so that it can be stopped.

    Raises 400 invalidQuery for what fails in the engine by the query's own fault.
    """
    import duckdb

    with opened(warehouse.folder) as connection:
        if interrupts is not None:
            interrupts.append(connection)
        try:
            for view, query in views.items():
                connection.execute(f"CREATE VIEW {quoted(view)} AS {query}")
            connection.execute(f"CREATE TEMP TABLE result AS {translated.sql}")
            fields = result_fields(connection, translated)
            columns = ", ".join(
                f"CAST({quoted(field['name'])} AS {engine_type(field)}) AS {quoted(field['name'])}"
                for field in fields
            )
            return fields, warehouse.write_query(connection, fields, f"SELECT {columns} FROM result")  # noqa: S608
        except duckdb.InterruptException:
            raise ApiError(
                "CANCELLED", "Job execution was cancelled: User requested cancellation", reason="stopped"
            ) from None
        except (duckdb.CatalogException, duckdb.NotImplementedException, duckdb.ParserException) as error:
            raise ApiError(
                "UNIMPLEMENTED",
                f"the engine of the tunestack emulator cannot answer this query: {_first_line(error)}",
            ) from None
        except duckdb.Error as error:
            raise refused(_worded(error)) from None


def result_fields(connection: duckdb.DuckDBPyConnection, translated: Translated) -> list[Json]:
    """The schema of ``result``: BigQuery's types where sqlglot knows them and the engine's fit, else the engine's."""
    described = connection.execute("SELECT * FROM result LIMIT 0").description or []
    repeats = {name for name, count in Counter(translated.names).items() if count > 1}
    if repeats:
        raise refused(
            "Duplicate column names in the result are not supported. Found duplicate(s): "
            + ", ".join(sorted(repeats))
        )
    known = dict(zip(translated.names, translated.fields, strict=True))
    fields = []
    for name, data_type, *_ in described:
        fields.append({"name": name, **_joined(known.get(name), _field_of(data_type))})
    return fields


def _field_of(data_type: Any) -> Json:
    name = str(data_type.id).lower().strip('"')
    if name in ("list", "array"):
        inner = _field_of(data_type.children[0][1])
        if inner["mode"] == "REPEATED":
            raise refused(
                "Cannot construct array with element type ARRAY<…> because nested arrays are not supported"
            )
        return {**inner, "mode": "REPEATED"}
    if name == "struct":
        fields = [{"name": child, **_field_of(inner)} for child, inner in data_type.children]
        return {"type": "RECORD", "mode": "NULLABLE", "fields": fields}
    if str(data_type) == "JSON":
        return {"type": "JSON", "mode": "NULLABLE"}
    if name not in _KINDS:
        raise ApiError(
            "UNIMPLEMENTED", f"a result of type {data_type} is not implemented by the tunestack emulator"
        )
    return {"type": _KINDS[name], "mode": "NULLABLE"}


def _joined(known: Json | None, found: Json) -> Json:
    if known is None or repeated(known) != repeated(found):
        return found
    if kind(known) == kind(found) == "RECORD":
        inner = {field["name"]: field for field in known["fields"]}
        return {
            **found,
            "fields": [
                {
                    "name": field["name"],
                    **_joined(_unnamed(inner.get(field["name"])), _unnamed(field) or field),
                }
                for field in found["fields"]
            ],
        }
    if any({kind(known), kind(found)} <= family for family in _FAMILIES):
        return {**found, "type": kind(known)}
    return found


def _unnamed(field: Json | None) -> Json | None:
    return {key: value for key, value in field.items() if key != "name"} if field else None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _worded(error: Exception) -> str:
    text = re.sub(r"^[A-Za-z ]+ Error: ", "", _first_line(error))
    number = re.match(r"Could not convert string '(.*)' to (INT64|DOUBLE)", text)
    if number:
        return f"Bad {number.group(2).lower()} value: {number.group(1)}"
    if text.startswith("Overflow in"):
        return f"int64 overflow: {text}"
    return text
