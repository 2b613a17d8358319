"""Runs translated queries. Everything here blocks: it is called in a thread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.emulator.bigquery.engine import opened, text
from tunestack.emulator.bigquery.fields import engine_type, kind, quoted, repeated
from tunestack.emulator.bigquery.model import CHANGED, INSERTED, Translated
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.warehouse import PARTITION_TIME, Segment, Warehouse
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
    into: list[Json] | None = None,
    interrupts: list[duckdb.DuckDBPyConnection] | None = None,
) -> tuple[list[Json], Segment]:
    """The schema and the rows of a query. ``into`` are columns that the rows must fit, by their places.

    ``interrupts`` receives the connection, so that the query can be stopped.

    Raises 400 invalidQuery for what fails in the engine by the query's own fault.
    """
    with opened(warehouse.folder) as connection, _refusals():
        if interrupts is not None:
            interrupts.append(connection)
        _create_views(connection, views)
        connection.execute(f"CREATE TEMP TABLE result AS {translated.sql}")
        found = result_fields(connection, translated)
        marks = [name for name in translated.names[-2:] if name in (CHANGED, INSERTED)]
        found = found[: len(found) - len(marks)]
        fields = found if into is None else _fitting(found, into)
        columns = ", ".join(
            f"CAST({quoted(column['name'])} AS {engine_type(field)}) AS {quoted(field['name'])}"
            for column, field in zip(found, fields, strict=True)
        )
        segment = warehouse.write_query(connection, fields, f"SELECT {columns} FROM result")  # noqa: S608
        counts = [
            connection.execute(f"SELECT count(*) FROM result WHERE {mark}").fetchone()  # noqa: S608
            for mark in marks
        ]
        changed, inserted, *_ = [*(count[0] if count else 0 for count in counts), 0, 0]
        return fields, replace(segment, changed=changed, inserted=inserted)


def query_fields(warehouse: Warehouse, views: Mapping[str, str], translated: Translated) -> list[Json]:
    """The schema of a query, without running it. Raises as `run_query`."""
    with opened(warehouse.folder) as connection, _refusals():
        _create_views(connection, views)
        connection.execute(f"CREATE TEMP VIEW result AS {translated.sql}")
        return result_fields(connection, translated)


def _fitting(found: list[Json], into: list[Json]) -> list[Json]:
    """The columns that rows are inserted into. Raises 400 where BigQuery coerces no such type to another."""
    if len(found) != len(into):
        raise refused(f"Inserted row has wrong column count; Has {len(found)}, expected {len(into)}")
    for column, field in zip(found, into, strict=True):
        widens = kind(column) == "INTEGER" and kind(field) in ("FLOAT", "NUMERIC", "BIGNUMERIC")
        null = kind(column) == "INTEGER" and column["name"].startswith("f")
        same = kind(column) == kind(field) and repeated(column) == repeated(field)
        written = kind(column) == "STRING" and kind(field) in ("DATE", "DATETIME", "TIMESTAMP", "TIME")
        if not (same or widens or null or written):
            raise refused(
                f"Query column {found.index(column) + 1} has type {kind(column)} which cannot be inserted into column "
                f"{field['name']}, which has type {kind(field)}"
            )
    return into


def _create_views(connection: duckdb.DuckDBPyConnection, views: Mapping[str, str]) -> None:
    for name, query in views.items():
        connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {query}")


@contextmanager
def _refusals() -> Iterator[None]:
    """What the engine says becomes what BigQuery would."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        words = "Job execution was cancelled: User requested cancellation"
        raise ApiError("CANCELLED", words, reason="stopped") from None
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


def file_segment(
    warehouse: Warehouse, files: list[Path], fields: list[Json] | None, partition: str | None
) -> tuple[list[Json], Segment]:
    """The rows of Parquet files; without ``fields`` their own schema. Raises 400 where they do not fit."""
    paths = ", ".join(text(str(path)) for path in files)
    source = f"SELECT * FROM read_parquet([{paths}], union_by_name = true)"  # noqa: S608 - our own paths
    with opened(warehouse.folder) as connection, _refusals():
        described = connection.execute(f"{source} LIMIT 0").description or []
        found = [{"name": name, **_field_of(data_type)} for name, data_type, *_ in described]
        known = {column["name"].lower(): column for column in found}
        fields = fields or found
        for field in fields:
            column = known.get(field["name"].lower())
            if (
                column is not None
                and {kind(column), kind(field)} != {kind(field)}
                and not any({kind(column), kind(field)} <= family for family in _FAMILIES)
            ):
                raise refused(
                    f"Error while reading data, error message: Parquet column '{field['name']}' has type "
                    f"{kind(column)} which does not match the target type {kind(field)}.",
                    "invalid",
                )
        columns = [
            f"CAST({quoted(field['name']) if field['name'].lower() in known else 'NULL'} AS {engine_type(field)})"
            f" AS {quoted(field['name'])}"
            for field in fields
        ]
        written = fields
        if partition:
            columns.append(f'CAST({text(partition)} AS TIMESTAMPTZ) AS "_PARTITIONTIME"')
            written = [*fields, PARTITION_TIME]
        query = f"SELECT {', '.join(columns)} FROM ({source})"  # noqa: S608 - names are quoted
        return fields, warehouse.write_query(connection, written, query)
