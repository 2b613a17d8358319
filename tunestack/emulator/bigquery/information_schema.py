"""INFORMATION_SCHEMA: what is known of datasets, tables, columns and jobs, as tables.

cloud.google.com/bigquery/docs/information-schema-intro. Columns that say what no dataset or table here has are there
and NULL; the rest of Google's views answer 501.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from tunestack.emulator.bigquery.engine import text
from tunestack.emulator.bigquery.fields import columns_of, engine_type, repeated, sql_type
from tunestack.emulator.bigquery.jobs import JOBS
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import DATASETS, get_dataset, reference_of, tables_of
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]

PREFIX = "INFORMATION_SCHEMA."


def _columns(words: str) -> list[Json]:
    """Columns of type STRING, or of another that stands after a colon."""
    parts = (word.partition(":") for word in words.split())
    return [{"name": name, "type": kind or "STRING", "mode": "NULLABLE"} for name, _, kind in parts]


def _record(name: str, words: str, mode: str = "NULLABLE") -> Json:
    return {"name": name, "type": "RECORD", "mode": mode, "fields": _columns(words)}


_TABLE = "table_catalog table_schema table_name"
_DESTINATION = "project_id dataset_id table_id"
SCHEMAS: dict[str, list[Json]] = {
    "SCHEMATA": _columns(
        "catalog_name schema_name schema_owner creation_time:TIMESTAMP last_modified_time:TIMESTAMP location ddl"
        " default_collation_name"
    ),
    "TABLES": _columns(
        f"{_TABLE} table_type managed_table_type is_insertable_into is_typed creation_time:TIMESTAMP"
        " base_table_catalog base_table_schema base_table_name snapshot_time_ms:TIMESTAMP ddl default_collation_name"
    ),
    "COLUMNS": _columns(
        f"{_TABLE} column_name ordinal_position:INTEGER is_nullable data_type is_generated generation_expression"
        " is_stored is_hidden is_updatable is_system_defined is_partitioning_column clustering_ordinal_position:INTEGER"
        " collation_name column_default rounding_mode"
    ),
    "COLUMN_FIELD_PATHS": _columns(f"{_TABLE} column_name field_path data_type description collation_name"),
    "VIEWS": _columns(f"{_TABLE} view_definition check_option use_standard_sql"),
    "JOBS": [
        *_columns(
            "creation_time:TIMESTAMP project_id project_number:INTEGER user_email job_id job_type statement_type"
            " priority start_time:TIMESTAMP end_time:TIMESTAMP query state total_bytes_processed:INTEGER"
            " total_bytes_billed:INTEGER total_slot_ms:INTEGER cache_hit:BOOLEAN"
        ),
        _record("error_result", "reason location debug_info message"),
        _record("destination_table", _DESTINATION),
        _record("referenced_tables", _DESTINATION, "REPEATED"),
        _record("labels", "key value", "REPEATED"),
    ],
}
_SAME = {"JOBS_BY_PROJECT": "JOBS", "JOBS_BY_USER": "JOBS"}


def is_view(reference: Reference) -> bool:
    return reference.table.upper().startswith(PREFIX)


def view(state: State, reference: Reference) -> tuple[list[Json], str]:
    """Columns and rows (a query of the engine's) of a view, of a dataset or a whole project. Raises 404 and 501."""
    asked = reference.table[len(PREFIX) :].upper()
    name = _SAME.get(asked, asked)
    if name not in SCHEMAS:
        raise ApiError("UNIMPLEMENTED", f"{PREFIX}{asked} is not implemented by the tunestack emulator")
    fields = SCHEMAS[name]
    datasets = _datasets(state, reference, name)
    rows: Callable[[State, str, list[Json]], list[Json]] = {
        "SCHEMATA": _schemata,
        "TABLES": _tables,
        "COLUMNS": _columns_rows,
        "COLUMN_FIELD_PATHS": _paths,
        "VIEWS": _views,
        "JOBS": _jobs,
    }[name]
    record = {"name": "x", "type": "RECORD", "mode": "REPEATED", "fields": fields}
    content = orjson.dumps([_whole(fields, row) for row in rows(state, reference.project, datasets)]).decode()
    listed = ", ".join(f"x.{field['name']}" for field in fields)
    unnested = f"SELECT unnest(CAST({text(content)}::JSON AS {engine_type(record)})) AS x"
    return fields, f"SELECT {listed} FROM ({unnested})"  # noqa: S608 - names are ours, the text is quoted


def _datasets(state: State, reference: Reference, name: str) -> list[Json]:
    """The datasets that a view is about: one that is named, or all of the project's (in ``region-…``)."""
    everywhere = not reference.dataset or reference.dataset.lower().startswith("region-")
    if name in ("SCHEMATA", "JOBS") or everywhere:
        rows = state.rows.list(DATASETS, f"bigquery/{reference.project}")
        region = reference.dataset.lower().removeprefix("region-") if everywhere else ""
        return [row for row in rows if not region or row["location"].lower() == region]
    return [get_dataset(state, reference.project, reference.dataset)]


def _whole(fields: list[Json], row: Json) -> Json:
    return {field["name"]: row.get(field["name"], [] if repeated(field) else None) for field in fields}


def _schemata(state: State, project: str, datasets: list[Json]) -> list[Json]:
    return [
        {
            "catalog_name": project,
            "schema_name": row["datasetReference"]["datasetId"],
            "creation_time": _time(row["creationTime"]),
            "last_modified_time": _time(row["lastModifiedTime"]),
            "location": row["location"],
            "ddl": f"CREATE SCHEMA `{project}.{row['datasetReference']['datasetId']}`\n"
            f'OPTIONS(\n  location="{row["location"]}"\n);',
        }
        for row in datasets
    ]


def _tables(state: State, project: str, datasets: list[Json]) -> list[Json]:
    types = {"TABLE": "BASE TABLE"}
    return [
        {
            **_named(row),
            "table_type": types.get(row["type"], row["type"]),
            "managed_table_type": "NATIVE" if row["type"] == "TABLE" else None,
            "is_insertable_into": "YES" if row["type"] == "TABLE" else "NO",
            "is_typed": "NO",
            "creation_time": _time(row["creationTime"]),
            "ddl": _ddl(row),
        }
        for row in _all(state, project, datasets)
    ]


def _columns_rows(state: State, project: str, datasets: list[Json]) -> list[Json]:
    found = []
    for row in _all(state, project, datasets):
        partition = (row.get("timePartitioning") or row.get("rangePartitioning") or {}).get("field", "")
        clustering = [name.lower() for name in row.get("clustering", {}).get("fields", [])]
        for number, field in enumerate(row.get("schema", {}).get("fields", []), 1):
            name = field["name"].lower()
            found.append(
                {
                    **_named(row),
                    "column_name": field["name"],
                    "ordinal_position": number,
                    "is_nullable": "NO" if field.get("mode") == "REQUIRED" else "YES",
                    "data_type": sql_type(field),
                    "is_generated": "NEVER",
                    "is_hidden": "NO",
                    "is_system_defined": "NO",
                    "is_partitioning_column": "YES" if name == partition.lower() else "NO",
                    "clustering_ordinal_position": clustering.index(name) + 1 if name in clustering else None,
                    "collation_name": "NULL",
                    "column_default": field.get("defaultValueExpression", "NULL"),
                }
            )
    return found


def _paths(state: State, project: str, datasets: list[Json]) -> list[Json]:
    return [
        {
            **_named(row),
            "column_name": path.partition(".")[0],
            "field_path": path,
            "data_type": sql_type(field),
            "description": field.get("description"),
            "collation_name": "NULL",
        }
        for row in _all(state, project, datasets)
        for path, field in columns_of(row.get("schema", {}).get("fields", []))
    ]


def _views(state: State, project: str, datasets: list[Json]) -> list[Json]:
    return [
        {**_named(row), "view_definition": row["view"]["query"], "use_standard_sql": "YES"}
        for row in _all(state, project, datasets)
        if row["type"] == "VIEW"
    ]


def _jobs(state: State, project: str, datasets: list[Json]) -> list[Json]:
    return [
        _job(state, project, row) for row in state.rows.list(JOBS, f"bigquery/{project}", newest_first=True)
    ]


def _job(state: State, project: str, row: Json) -> Json:
    configuration, statistics = row["configuration"], row["statistics"]
    query, counted = configuration.get("query", {}), statistics.get("query", {})
    body: Json = next((configuration[key] for key in ("query", "load", "copy") if key in configuration), {})
    error = row["status"].get("errorResult")
    destination = body.get("destinationTable")
    return {
        "creation_time": _time(statistics["creationTime"]),
        "project_id": project,
        "project_number": int(state.projects.number(project)),
        "user_email": row["user_email"],
        "job_id": row["jobReference"]["jobId"],
        "job_type": configuration["jobType"],
        "statement_type": counted.get("statementType"),
        "priority": query.get("priority", "INTERACTIVE") if query else None,
        "start_time": _time(statistics.get("startTime")),
        "end_time": _time(statistics.get("endTime")),
        "query": query.get("query"),
        "state": row["status"]["state"],
        "total_bytes_processed": int(statistics.get("totalBytesProcessed", 0)),
        "total_bytes_billed": int(counted.get("totalBytesBilled", 0)),
        "cache_hit": counted.get("cacheHit"),
        "error_result": {
            "reason": error["reason"],
            "location": error.get("location"),
            "debug_info": None,
            "message": error["message"],
        }
        if error
        else None,
        "destination_table": _table_record(destination, project) if destination else None,
        "referenced_tables": [_table_record(table, project) for table in counted.get("referencedTables", [])],
        "labels": [{"key": key, "value": value} for key, value in configuration.get("labels", {}).items()],
    }


def _table_record(table: Json, project: str) -> Json:
    reference = reference_of(table, project)
    return {"project_id": reference.project, "dataset_id": reference.dataset, "table_id": reference.table}


def _all(state: State, project: str, datasets: list[Json]) -> list[Json]:
    return [
        row
        for dataset in datasets
        for row in tables_of(state, project, dataset["datasetReference"]["datasetId"])
    ]


def _named(row: Json) -> Json:
    reference = reference_of(row["tableReference"])
    return {
        "table_catalog": reference.project,
        "table_schema": reference.dataset,
        "table_name": reference.table,
    }


def _ddl(row: Json) -> str:
    reference = reference_of(row["tableReference"])
    name = f"`{reference.project}.{reference.dataset}.{reference.table}`"
    if row["type"] == "VIEW":
        return f"CREATE VIEW {name}\nAS {row['view']['query']};"
    lines = [
        f"  {field['name']} {sql_type(field)}{' NOT NULL' if field.get('mode') == 'REQUIRED' else ''}"
        for field in row.get("schema", {}).get("fields", [])
    ]
    return f"CREATE TABLE {name}\n(\n" + ",\n".join(lines) + "\n);"


def _time(milliseconds: str | None) -> str | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).isoformat() if milliseconds else None
