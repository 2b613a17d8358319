"""Cloud Logging: log entries as rows of BigQuery tables, whose schema grows with what comes.

cloud.google.com/logging/docs/export/bigquery: a table a log and day, or one a log, partitioned by ``timestamp``. Fields
of LogEntry keep their names; a user's are in lower case, with ``_`` for what a column may not be called. Numbers are
FLOAT. An entry whose field has another type than its column goes to the table ``export_errors_<day>``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC
from typing import Any
from urllib.parse import unquote

import orjson

from tunestack.emulator.bigquery.fields import Unfit, kind, repeated, row_in
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import columns, create_table, find_table, put_table, table_name
from tunestack.emulator.bigquery.warehouse import Segment
from tunestack.emulator.services.times import moment
from tunestack.emulator.state import State

Json = dict[str, Any]

_USERS = ("jsonPayload", "protoPayload", "labels")
_TYPED = {
    "timestamp": "TIMESTAMP",
    "receiveTimestamp": "TIMESTAMP",
    "httpRequest.status": "INTEGER",
    "httpRequest.requestSize": "INTEGER",
    "httpRequest.responseSize": "INTEGER",
    "httpRequest.cacheFillBytes": "INTEGER",
    "sourceLocation.line": "INTEGER",
}
_ERROR_COLUMNS = (
    *("logEntry", "schemaErrorDetail", "sink", "logName", "severity", "insertId", "trace", "resourceType"),
    *("timestamp", "receiveTimestamp"),
)


async def write_entries_to(
    state: State,
    project: str,
    dataset: str,
    sink: str,
    entries: list[Json],
    partitioned: bool,
    written: Callable[[], None],
) -> None:
    """Append entries to the tables of a dataset that is there; ``written`` is called in the same transaction."""
    while True:
        tables: dict[str, tuple[Json | None, list[Json], Segment]] = {}
        for table, (fields, rows) in _by_table(state, project, dataset, sink, entries, partitioned).items():
            before = find_table(state, Reference(project, dataset, table))
            with state.warehouse.reading():
                segment = await state.warehouse.write_rows(fields, [row_in(fields, row) for row in rows])
            tables[table] = (before, fields, segment)
        with state.warehouse.reading(), state.database.transaction():
            rows_now = {table: find_table(state, Reference(project, dataset, table)) for table in tables}
            if any(_schema(rows_now[table]) != _schema(before) for table, (before, _, _) in tables.items()):
                continue  # somebody changed a table meanwhile
            for table, (_, fields, segment) in tables.items():
                _append(
                    state, Reference(project, dataset, table), rows_now[table], fields, segment, partitioned
                )
            written()
        break
    for table, (_, fields, _) in tables.items():
        await state.warehouse.compact(table_name(Reference(project, dataset, table)), fields)


def _by_table(
    state: State, project: str, dataset: str, sink: str, entries: list[Json], partitioned: bool
) -> dict[str, tuple[list[Json], list[Json]]]:
    """The columns and the new rows of each table that entries go to."""
    found: dict[str, list[Json]] = {}
    rows: defaultdict[str, list[Json]] = defaultdict(list)

    def schema(table: str) -> list[Json]:
        if table not in found:
            row = find_table(state, Reference(project, dataset, table))
            found[table] = columns(row) if row else []
        return found[table]

    for entry in entries:
        day = moment(entry["timestamp"]).astimezone(UTC).strftime("%Y%m%d")
        log = re.sub(r"\W", "_", unquote(entry["logName"].partition("/logs/")[2]), flags=re.ASCII)
        table = log if partitioned else f"{log}_{day}"
        row = row_of(entry)
        try:
            found[table] = joined(schema(table), fields_of(row))
        except Unfit as error:
            table = f"export_errors_{day}"
            row = {
                **{key: entry[key] for key in _ERROR_COLUMNS if key in entry},
                "logEntry": orjson.dumps(entry).decode(),
                "schemaErrorDetail": str(error),
                "sink": sink,
                "resourceType": entry["resource"]["type"],
            }
            found[table] = joined(schema(table), fields_of(row))
        rows[table].append(row)
    return {table: (found[table], rows[table]) for table in rows}


def _append(
    state: State,
    reference: Reference,
    row: Json | None,
    fields: list[Json],
    segment: Segment,
    partitioned: bool,
) -> None:
    named = {"projectId": reference.project, "datasetId": reference.dataset, "tableId": reference.table}
    if row is None:
        body: Json = {"tableReference": named, "schema": {"fields": fields}}
        if partitioned and not reference.table.startswith("export_errors_"):
            body["timePartitioning"] = {"type": "DAY", "field": "timestamp"}
        create_table(state, body)
    elif _schema(row) != fields:
        put_table(state, {**row, "schema": {"fields": fields}})
    state.warehouse.append(table_name(reference), [segment])


def _schema(row: Json | None) -> list[Json] | None:
    return columns(row) if row else None


def row_of(entry: Json) -> Json:
    """An entry with the names that its columns have."""
    row: Json = {}
    for key, value in entry.items():
        if key in _USERS:
            row[key] = _renamed(value)
        elif key == "resource":
            row[key] = {**value, "labels": _renamed(value.get("labels", {}))}
        else:
            row[key] = value
    bare: Json = _bare(row)
    return bare


def fields_of(row: Json, path: str = "") -> list[Json]:
    """The columns that a row needs."""
    return [_field(name, value, f"{path}{name}") for name, value in row.items()]


def joined(before: list[Json], more: list[Json], path: str = "") -> list[Json]:
    """The columns of a table and those of a row. Raises `Unfit` where they differ in type."""
    result = {field["name"].lower(): field for field in before}
    for field in more:
        where = f"{path}{field['name']}"
        old = result.get(field["name"].lower())
        if old is None:
            result[field["name"].lower()] = field
        elif kind(old) != kind(field) or repeated(old) != repeated(field):
            raise Unfit(where, f"{where}: expected {kind(old)}, received {kind(field)}")
        elif kind(old) == "RECORD":
            inner = joined(old["fields"], field["fields"], f"{where}.")
            result[field["name"].lower()] = {**old, "fields": inner}
    return list(result.values())


def _field(name: str, value: Any, path: str) -> Json:
    if isinstance(value, list):
        return {**_joined_items(name, value, path), "mode": "REPEATED"}
    if isinstance(value, dict):
        return {
            "name": name,
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": fields_of(value, f"{path}."),
        }
    plain = "BOOLEAN" if isinstance(value, bool) else "FLOAT" if isinstance(value, int | float) else "STRING"
    return {"name": name, "type": _TYPED.get(path, plain), "mode": "NULLABLE"}


def _joined_items(name: str, items: list[Any], path: str) -> Json:
    fields: list[Json] = []
    for item in items:
        if isinstance(item, list):
            raise Unfit(path, f"{path}: arrays of arrays are no columns")
        fields = joined(fields, [_field(name, item, path)])
    return fields[0]


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_column(key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def _column(key: str) -> str:
    name = re.sub(r"\W", "_", key.lower(), flags=re.ASCII).lstrip("_")[:128]
    # A column starts with a letter or an underscore.
    return name if name[:1].isalpha() else f"_{name}"


def _bare(value: Any) -> Any:
    """Without what makes no column: nulls, empty records and empty lists."""
    if isinstance(value, dict):
        cleaned = {key: _bare(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None and item != {} and item != []}
    return [_bare(item) for item in value if item is not None] if isinstance(value, list) else value
