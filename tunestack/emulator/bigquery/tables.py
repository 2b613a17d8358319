"""Rows of datasets and tables: their names, lookups in BigQuery's words, expiry, and changes of a table's data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tunestack.emulator.bigquery.fields import Unfit, checked_schema, kind, repeated
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.warehouse import PARTITION_TIME, Segment
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

DATASETS = "bigqueryDatasets"
TABLES = "bigqueryTables"
_DAY = 86_400_000
WITH_ROWS = ("TABLE", "SNAPSHOT")
"""The types of tables that have rows of their own; snapshots never change."""
HIDDEN = "_results"
"""The dataset of query results without a destination, as BigQuery's anonymous datasets: kept a day, not listed."""


def milliseconds(state: State) -> int:
    return int(state.clock().timestamp() * 1000)


def project_id(state: State, project: str) -> str:
    return state.projects.id(project)


def dataset_name(project: str, dataset: str) -> str:
    return f"bigquery/{project}/{dataset}"


def table_name(reference: Reference) -> str:
    return f"bigquery/{reference.project}/{reference.dataset}/{reference.table}"


def policy_name(state: State, reference: Reference) -> str:
    """Under which name a table's policy is kept; a dataset's lies in its own list of accesses."""
    number = state.projects.number(reference.project)
    return f"projects/{number}/datasets/{reference.dataset}/tables/{reference.table}"


def shown(reference: Reference) -> str:
    """``project:dataset.table``, as BigQuery's messages have it."""
    return f"{reference.project}:{reference.dataset}.{reference.table}"


def reference_of(body: Json, default_project: str = "") -> Reference:
    """Of a ``TableReference``."""
    return Reference(body.get("projectId") or default_project, body["datasetId"], body["tableId"])


def missing_table(reference: Reference) -> ApiError:
    return ApiError("NOT_FOUND", f"Not found: Table {shown(reference)}")


def get_dataset(state: State, project: str, dataset: str) -> Json:
    row = state.rows.find(dataset_name(project, dataset))
    if row is None:
        raise ApiError("NOT_FOUND", f"Not found: Dataset {project}:{dataset}")
    return row


def find_table(state: State, reference: Reference) -> Json | None:
    """The table's row; one whose time has come is removed on the way."""
    row = state.rows.find(table_name(reference))
    if row is not None and int(row.get("expirationTime", 0) or 2**62) <= milliseconds(state):
        delete_table(state, reference)
        return None
    return row


def get_table(state: State, reference: Reference) -> Json:
    row = find_table(state, reference)
    if row is None:
        if reference.dataset != HIDDEN:
            get_dataset(state, reference.project, reference.dataset)
        raise missing_table(reference)
    return row


def unchangeable(row: Json) -> ApiError:
    """The refusal of a change to a table whose rows cannot change."""
    name = shown(reference_of(row["tableReference"]))
    return refused(
        f"{name} is not allowed for this operation because it is currently a {row['type']}.", "invalid"
    )


def tables_of(state: State, project: str, dataset: str) -> list[Json]:
    """The live tables of a dataset, by name."""
    rows = [
        find_table(state, reference_of(row["tableReference"]))
        for row in state.rows.list(TABLES, dataset_name(project, dataset))
    ]
    return sorted((row for row in rows if row), key=lambda row: str(row["tableReference"]["tableId"]))


def delete_table(state: State, reference: Reference) -> None:
    name = table_name(reference)
    with state.database.transaction():
        state.warehouse.replace(name, ())
        state.rows.delete(name)
        state.policies.delete(policy_name(state, reference))


def columns(row: Json) -> list[Json]:
    """The columns that a table's files have: its schema, and the partition where rows came in by time."""
    fields: list[Json] = row.get("schema", {}).get("fields", [])
    return [*fields, PARTITION_TIME] if by_arrival(row) else fields


def by_arrival(row: Json) -> bool:
    """Whether the table is partitioned by the time its rows came in."""
    return "timePartitioning" in row and not row["timePartitioning"].get("field")


def partition_of(state: State, row: Json) -> str:
    """The partition of rows that come in now."""
    form = {"HOUR": "%Y-%m-%dT%H:00:00Z", "MONTH": "%Y-%m-01T00:00:00Z", "YEAR": "%Y-01-01T00:00:00Z"}
    return state.clock().strftime(form.get(row["timePartitioning"].get("type", "DAY"), "%Y-%m-%dT00:00:00Z"))


def checked(fields: list[Json], of: str = "schema") -> list[Json]:
    """A schema in the API's names. Raises 400 invalid."""
    try:
        return checked_schema(fields)
    except Unfit as error:
        raise refused(f"Invalid {of}: {error}" if of != "schema" else str(error), "invalid") from None


def create_table(state: State, body: Json) -> Json:
    """A table's row, of a body whose reference is whole. Raises 404 without the dataset, 409 where it exists."""
    reference = reference_of(body["tableReference"])
    if not re.fullmatch(r"[\w\- ]{1,1024}", reference.table):
        raise refused(f'Invalid table ID "{reference.table}". Table IDs must be alphanumeric.', "invalid")
    hidden = reference.dataset == HIDDEN
    dataset = {} if hidden else get_dataset(state, reference.project, reference.dataset)
    if find_table(state, reference) is not None:
        raise ApiError("ALREADY_EXISTS", f"Already Exists: Table {shown(reference)}", reason="duplicate")
    now = milliseconds(state)
    row = {
        "type": "VIEW" if "view" in body else "TABLE",
        **body,
        "creationTime": str(now),
        "lastModifiedTime": str(now),
        "location": dataset.get("location", "US"),
    }
    if "schema" in row:
        row["schema"] = {**row["schema"], "fields": checked(row["schema"].get("fields", []))}
    if "timePartitioning" in row and dataset.get("defaultPartitionExpirationMs"):
        default = {"expirationMs": dataset["defaultPartitionExpirationMs"]}
        row["timePartitioning"] = {**default, **row["timePartitioning"]}
    state.database.after_commit(state.background.wake)
    lifetime = _DAY if hidden else int(dataset.get("defaultTableExpirationMs", 0))
    if lifetime and "expirationTime" not in row and "timePartitioning" not in row:
        row["expirationTime"] = str(now + lifetime)
    return state.rows.create(
        TABLES, dataset_name(reference.project, reference.dataset), table_name(reference), row
    )


def put_table(state: State, row: Json) -> Json:
    changed = {**row, "lastModifiedTime": str(milliseconds(state))}
    state.database.after_commit(state.background.wake)
    return state.rows.put(table_name(reference_of(row["tableReference"])), changed)


def shown_table(state: State, row: Json) -> Json:
    """The resource, with what is counted."""
    reference = reference_of(row["tableReference"])
    segments = state.warehouse.segments(table_name(reference))
    size = str(sum(sum(segment.sizes.values()) for segment in segments))
    counted = {
        "numRows": str(sum(segment.rows for segment in segments)),
        **dict.fromkeys(("numBytes", "numActiveLogicalBytes", "numTotalLogicalBytes"), size),
        "numLongTermBytes": "0",
        "numLongTermLogicalBytes": "0",
    }
    return {
        "kind": "bigquery#table",
        "id": shown(reference),
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{reference.project}/datasets/"
        f"{reference.dataset}/tables/{reference.table}",
        "etag": etag(row),
        **row,
        **(counted if row["type"] in WITH_ROWS else {}),
    }


def grown_schema(reference: Reference, before: list[Json], after: list[Json]) -> list[Json]:
    """A schema that may replace another: columns may be added and made optional, no more. Raises 400 invalid."""
    by_name = {field["name"].lower(): field for field in after}
    for field in before:
        new = by_name.get(field["name"].lower())
        words = f"Provided Schema does not match Table {shown(reference)}."
        if new is None:
            raise refused(f"{words} Field {field['name']} is missing in new schema", "invalid")
        if kind(new) != kind(field):
            raise refused(
                f"{words} Field {field['name']} has changed type from {kind(field)} to {kind(new)}", "invalid"
            )
        if repeated(new) != repeated(field) or (new.get("mode") == "REQUIRED" != field.get("mode")):
            raise refused(
                f"{words} Field {field['name']} has changed mode from {field.get('mode')} to {new.get('mode')}",
                "invalid",
            )
        if kind(field) == "RECORD":
            grown_schema(reference, field["fields"], new["fields"])
    names = {field["name"].lower() for field in before}
    for field in after:
        if field["name"].lower() not in names and field.get("mode") == "REQUIRED":
            raise refused(
                f"Provided Schema does not match Table {shown(reference)}. Cannot add required columns to an existing "
                f"schema. (field: {field['name']})",
                "invalid",
            )
    return after


def write(
    state: State,
    body: Json,
    fields: list[Json],
    segments: Iterable[Segment],
    disposition: str,
    *,
    create: str = "CREATE_IF_NEEDED",
    grow: bool = False,
) -> Json:
    """Put rows into the table ``body`` describes, by the disposition of a job. The table's row. One transaction."""
    reference = reference_of(body["tableReference"])
    with state.database.transaction():
        row = find_table(state, reference)
        if row is None:
            if create == "CREATE_NEVER":
                raise missing_table(reference)
            row = create_table(state, {**body, "schema": {"fields": fields}})
        elif row["type"] != "TABLE":
            raise unchangeable(row)
        elif disposition == "WRITE_EMPTY" and state.warehouse.segments(table_name(reference)):
            raise ApiError("ALREADY_EXISTS", f"Already Exists: Table {shown(reference)}", reason="duplicate")
        elif disposition.startswith("WRITE_TRUNCATE"):
            state.warehouse.replace(table_name(reference), ())
            row = put_table(state, {**row, "schema": {"fields": fields}})
        elif "schema" not in row:
            row = put_table(state, {**row, "schema": {"fields": fields}})
        else:
            row = _appended(state, reference, row, fields, grow)
        state.warehouse.append(table_name(reference), segments)
        return put_table(state, row)


def _appended(state: State, reference: Reference, row: Json, fields: list[Json], grow: bool) -> Json:
    kept: list[Json] = row["schema"]["fields"]
    known = {field["name"].lower(): field for field in kept}
    new = [field for field in fields if field["name"].lower() not in known]
    if new and not grow:
        raise refused(
            f"Provided Schema does not match Table {shown(reference)}. Cannot add fields (field: {new[0]['name']})",
            "invalid",
        )
    for field in fields:
        old = known.get(field["name"].lower())
        if old and (kind(old) != kind(field) or repeated(old) != repeated(field)):
            raise refused(
                f"Provided Schema does not match Table {shown(reference)}. Field {field['name']} has changed type from "
                f"{kind(old)} to {kind(field)}",
                "invalid",
            )
    return {**row, "schema": {**row["schema"], "fields": [*kept, *new]}} if new else row
