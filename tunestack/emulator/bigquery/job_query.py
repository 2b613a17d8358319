"""Query jobs. The rows of a query without a destination lie a day in a table of the hidden dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tunestack.emulator.bigquery.job_definition import define
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.queries import Prepared, prepare
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.rights import require_reading, require_writing
from tunestack.emulator.bigquery.tables import (
    HIDDEN,
    columns,
    find_table,
    get_table,
    put_table,
    reference_of,
    shown,
    table_name,
    unchangeable,
    write,
)
from tunestack.emulator.bigquery.warehouse import Segment
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]

_LEAST_BILLED = 10 << 20  # cloud.google.com/bigquery/pricing#on_demand_pricing
_REWRITING = ("UPDATE", "DELETE", "MERGE")
_MANIPULATING = ("INSERT", *_REWRITING)
_DEFINING = {
    "CREATE_TABLE": "bigquery.tables.create",
    "CREATE_VIEW": "bigquery.tables.create",
    "CREATE_SCHEMA": "bigquery.datasets.create",
    "DROP_TABLE": "bigquery.tables.delete",
    "DROP_VIEW": "bigquery.tables.delete",
    "DROP_SCHEMA": "bigquery.datasets.delete",
}
_DESTINATION_KEYS = ("timePartitioning", "rangePartitioning", "clustering")


def prepared(state: State, project: str, configuration: Json) -> Prepared:
    """A query's configuration, looked up and translated. Raises what is wrong with it."""
    if configuration.get("useLegacySql", True):
        raise ApiError(
            "UNIMPLEMENTED", "the tunestack emulator speaks GoogleSQL alone: set useLegacySql to false"
        )
    if not configuration.get("query"):
        raise refused("Required parameter is missing: query", "required")
    default = configuration.get("defaultDataset", {})
    return prepare(
        state,
        default.get("projectId") or project,
        configuration["query"],
        configuration.get("queryParameters"),
        default.get("datasetId"),
    )


def check(state: State, row: Json) -> Json:
    """What a dry run answers: statistics with the bytes that would be read, and the schema."""
    from tunestack.emulator.bigquery.execution import query_fields

    found = prepared(state, row["jobReference"]["projectId"], row["configuration"]["query"])
    _require(state, row, found)
    statistics = statistics_of(found)
    if found.translated.sql:
        fields = query_fields(state.warehouse, found.views, found.translated)
        statistics["query"]["schema"] = {"fields": fields}
    return statistics


def statistics_of(found: Prepared) -> Json:
    size = str(found.bytes)
    billed = max(found.bytes, _LEAST_BILLED * len(found.referenced)) if found.bytes else 0
    return {
        "totalBytesProcessed": size,
        "query": {
            "statementType": found.kind,
            "totalBytesProcessed": size,
            "totalBytesBilled": str(-(-billed // (1 << 20)) << 20),
            "totalBytesProcessedAccuracy": "UPPER_BOUND",
            "cacheHit": False,
            "referencedTables": [
                {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}
                for table in found.referenced
            ],
        },
    }


async def run(state: State, row: Json, interrupts: list[Any]) -> Callable[[], Json]:
    """Runs the query; the answer puts its rows in place, inside the job's last transaction."""
    from tunestack.emulator.bigquery.execution import run_query

    configuration = row["configuration"]["query"]
    project = row["jobReference"]["projectId"]
    found = prepared(state, project, configuration)
    _require(state, row, found)
    at_most = configuration.get("maximumBytesBilled")
    statistics = statistics_of(found)
    if at_most and int(statistics["query"]["totalBytesBilled"]) > int(at_most):
        raise refused(
            f"Query exceeded limit for bytes billed: {at_most}. {statistics['query']['totalBytesBilled']} or higher "
            "required.",
            "bytesBilledLimitExceeded",
        )
    if not found.translated.sql:
        return lambda: define(state, found, statistics)
    if found.replace == "CREATE_IF_NOT_EXISTS" and found.target and find_table(state, found.target):
        return lambda: statistics
    before = state.warehouse.segments(table_name(found.target)) if found.target else []
    into = None
    if found.kind in _MANIPULATING and found.target:
        table = get_table(state, found.target)
        if table["type"] != "TABLE":
            raise unchangeable(table)
        into = _inserted(table, found.columns) if found.kind == "INSERT" else columns(table)
    fields, segment = await asyncio.to_thread(
        run_query, state.warehouse, found.views, found.translated, into, interrupts
    )

    def commit() -> Json:
        if found.kind in _REWRITING and found.target:
            return _rewritten(state, found.target, before, segment, statistics)
        body: Json = {"tableReference": _reference(_destination(row, found))}
        disposition = configuration.get("writeDisposition", "WRITE_EMPTY")
        if found.target is not None:
            disposition = found.replace
            body |= found.body
            if disposition == "CREATE" and find_table(state, found.target) is not None:
                raise ApiError(
                    "ALREADY_EXISTS", f"Already Exists: Table {shown(found.target)}", reason="duplicate"
                )
        else:
            body |= {key: configuration[key] for key in _DESTINATION_KEYS if key in configuration}
        write(
            state,
            body,
            fields,
            [segment],
            disposition,
            create=configuration.get("createDisposition", "CREATE_IF_NEEDED"),
            grow="ALLOW_FIELD_ADDITION" in configuration.get("schemaUpdateOptions", []),
        )
        row["configuration"]["query"]["destinationTable"] = body["tableReference"]
        statistics["query"]["schema"] = {"fields": fields}
        if found.kind == "INSERT":
            statistics["query"] |= {
                "numDmlAffectedRows": str(segment.rows),
                "dmlStats": {"insertedRowCount": str(segment.rows)},
            }
        return statistics

    return commit


def _require(state: State, row: Json, found: Prepared) -> None:
    """Raises 403 where the job's user may not do to a table what the statement does."""
    for reference in found.referenced:
        require_reading(state, row, reference)
    target = _destination(row, found)
    if found.kind in _DEFINING:
        require_reading(state, row, target, _DEFINING[found.kind])
    else:
        require_writing(state, row, target)


def _destination(row: Json, found: Prepared) -> Reference:
    if found.target is not None:
        return found.target
    chosen = row["configuration"]["query"].get("destinationTable")
    project = row["jobReference"]["projectId"]
    if chosen:
        return reference_of(chosen, project)
    return Reference(project, HIDDEN, f"anon_{row['jobReference']['jobId']}".replace(":", "_"))


def _reference(table: Reference) -> Json:
    return {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table}


def _inserted(table: Json, names: list[str]) -> list[Json]:
    """The columns that an INSERT fills, in its order."""
    fields: list[Json] = table["schema"]["fields"]
    by_name = {field["name"].lower(): field for field in fields}
    for name in names:
        if name.lower() not in by_name:
            raise refused(
                f"Column {name} is not present in table {shown(reference_of(table['tableReference']))}"
            )
    chosen = {name.lower() for name in names}
    for field in fields:
        if field.get("mode") == "REQUIRED" and names and field["name"].lower() not in chosen:
            raise refused(f"Required field {field['name']} cannot be null")
    return [by_name[name.lower()] for name in names] if names else fields


def _rewritten(
    state: State, target: Reference, before: list[Segment], segment: Segment, statistics: Json
) -> Json:
    """The table's rows become those of ``segment``. Raises 400 where another job changed it meanwhile."""
    row = get_table(state, target)
    if state.warehouse.segments(table_name(target)) != before:
        raise refused(f"Could not serialize access to table {shown(target)} due to concurrent update")
    state.warehouse.replace(table_name(target), [segment])
    put_table(state, row)
    deleted = sum(each.rows for each in before) - (segment.rows - segment.inserted)
    counts = {
        "deletedRowCount": deleted,
        "insertedRowCount": segment.inserted,
        "updatedRowCount": segment.changed,
    }
    shown_counts = {name: str(count) for name, count in counts.items() if count}
    statistics["query"] |= {"numDmlAffectedRows": str(sum(counts.values())), "dmlStats": shown_counts}
    return statistics
