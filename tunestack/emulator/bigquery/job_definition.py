"""Statements that define: CREATE and DROP of tables, views and datasets, and TRUNCATE TABLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.queries import Prepared, view_schema
from tunestack.emulator.bigquery.tables import (
    create_table,
    dataset_name,
    delete_table,
    find_table,
    get_dataset,
    get_table,
    put_table,
    reference_of,
    table_name,
    tables_of,
    unchangeable,
)
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]


def define(state: State, found: Prepared, statistics: Json) -> Json:
    """Do what a statement without rows says; its statistics. One transaction."""
    if found.target is None:
        return statistics
    done = _DEFINITIONS[found.kind](state, found.target, found)
    query = statistics["query"]
    if isinstance(done, int):  # the rows that a TRUNCATE removed
        return {**statistics, "query": {**query, "numDmlAffectedRows": str(done)}}
    place = {"projectId": found.target.project, "datasetId": found.target.dataset}
    if found.target.table:
        named = {"ddlTargetTable": {**place, "tableId": found.target.table}}
    else:
        named = {"ddlTargetDataset": place}
    return {**statistics, "query": {**query, "ddlOperationPerformed": done, **named}}


def _create(state: State, target: Reference, found: Prepared) -> str:
    kept = find_table(state, target)
    if kept is not None and found.replace == "CREATE_IF_NOT_EXISTS":
        return "SKIP"
    body = dict(found.body)
    if "view" in body:
        get_dataset(state, target.project, target.dataset)
        body["schema"] = {"fields": view_schema(state, target.project, body["view"])}
    if kept is not None and found.replace == "WRITE_TRUNCATE":
        delete_table(state, target)
    named = {"projectId": target.project, "datasetId": target.dataset, "tableId": target.table}
    create_table(state, {**body, "tableReference": named})
    return "REPLACE" if kept is not None else "CREATE"


def _create_schema(state: State, target: Reference, found: Prepared) -> str:
    # Not above: the service imports what runs jobs.
    from tunestack.emulator.services.bigquery_datasets import create_dataset

    there = state.rows.find(dataset_name(target.project, target.dataset)) is not None
    if there and found.replace == "CREATE_IF_NOT_EXISTS":
        return "SKIP"
    body = {**found.body, "datasetReference": {"datasetId": target.dataset}}
    create_dataset(state, target.project, body)
    return "CREATE"


def _drop(state: State, target: Reference, found: Prepared) -> str:
    row = find_table(state, target)
    if row is None:
        if found.replace != "IF_EXISTS":
            get_table(state, target)
        return "SKIP"
    need = found.kind.removeprefix("DROP_")
    if row["type"] != need:
        name = f"{target.project}:{target.dataset}.{target.table}"
        raise ApiError(
            "INVALID_ARGUMENT", f"{name} is not a {need}, it is a {row['type']}.", reason="invalid"
        )
    delete_table(state, target)
    return "DROP"


def _drop_schema(state: State, target: Reference, found: Prepared) -> str:
    name = dataset_name(target.project, target.dataset)
    if state.rows.find(name) is None and found.replace.startswith("IF_EXISTS"):
        return "SKIP"
    get_dataset(state, target.project, target.dataset)
    tables = tables_of(state, target.project, target.dataset)
    if tables and not found.replace.endswith("CASCADE"):
        text = f"Dataset {target.project}:{target.dataset} is still in use"
        raise ApiError("INVALID_ARGUMENT", text, reason="resourceInUse")
    for table in tables:
        delete_table(state, reference_of(table["tableReference"]))
    state.rows.delete(name)
    return "DROP"


def _truncate(state: State, target: Reference, found: Prepared) -> int:
    row = get_table(state, target)
    if row["type"] != "TABLE":
        raise unchangeable(row)
    rows = sum(segment.rows for segment in state.warehouse.segments(table_name(target)))
    state.warehouse.replace(table_name(target), ())
    put_table(state, row)
    return rows


_DEFINITIONS: dict[str, Callable[[State, Reference, Prepared], str | int]] = {
    "CREATE_TABLE": _create,
    "CREATE_VIEW": _create,
    "CREATE_SCHEMA": _create_schema,
    "DROP_TABLE": _drop,
    "DROP_VIEW": _drop,
    "DROP_SCHEMA": _drop_schema,
    "TRUNCATE_TABLE": _truncate,
}
