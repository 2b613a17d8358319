"""Batch prediction from BigQuery tables and into them.

BatchPredictionJob.OutputConfig.bigquery_destination says what is made: of ``bq://P`` a dataset
``prediction_<model>_<time>`` with the tables ``predictions`` and ``errors``, of ``bq://P.D`` the tables
``predictions_<time>`` and ``errors_<time>``, of ``bq://P.D.T`` the table itself. Rows keep the columns of their
instance; what comes from files has it in one JSON column. A model that chats reads the column ``request`` (JSON or
STRING) and answers in ``response``, ``status`` and ``processed_time``
(cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api).
"""

from __future__ import annotations

import base64
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.fields import kind, repeated, row_in
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import dataset_name, get_dataset, get_table, shown, table_name, write
from tunestack.emulator.errors import ApiError
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.bigquery_datasets import create_dataset
from tunestack.emulator.state import State

if TYPE_CHECKING:
    from tunestack.emulator.bigquery.warehouse import Segment

Json = dict[str, Any]

_URI = re.compile(r"bq://([^./]+)(?:\.([^.]+))?(?:\.([^.]+))?")
_NULLABLE = "NULLABLE"
_STATUS: Json = {"name": "status", "type": "STRING", "mode": _NULLABLE}
_CHAT: list[Json] = [
    _STATUS,
    {"name": "processed_time", "type": "TIMESTAMP", "mode": _NULLABLE},
    {"name": "response", "type": "JSON", "mode": _NULLABLE},
]
_PREDICTED: list[Json] = [{"name": "predictions", "type": "JSON", "mode": _NULLABLE}, _STATUS]
_FAILED: list[Json] = [
    {
        "name": "errors",
        "type": "RECORD",
        "mode": _NULLABLE,
        "fields": [
            {"name": "code", "type": "INTEGER", "mode": _NULLABLE},
            {"name": "message", "type": "STRING", "mode": _NULLABLE},
        ],
    }
]


async def read_rows(run: Run) -> tuple[list[Json], list[Json]]:
    """The columns and rows of the source table, rows as JSON objects. Raises `TaskFailed`."""
    uri = run.row["inputConfig"]["bigquerySource"]["inputUri"]
    state = run.state
    try:
        check_installed()
        project, dataset, table = _parts(state, uri)
        if table is None:
            raise TaskFailed("INVALID_ARGUMENT", f"{uri} names no table: bq://PROJECT.DATASET.TABLE")
        reference = Reference(project, str(dataset), table)
        row = get_table(state, reference)
    except ApiError as error:
        raise TaskFailed(error.status, error.message) from None
    _require(run, reference, "bigquery.tables.getData")
    if row["type"] != "TABLE":
        raise TaskFailed(
            "UNIMPLEMENTED", f"the emulator does not play inputs of type {row['type']}: {shown(reference)}"
        )
    fields: list[Json] = row.get("schema", {}).get("fields", [])
    found = await state.warehouse.read(fields, state.warehouse.segments(table_name(reference)), 0, 2**62)
    if not found:
        raise TaskFailed("INVALID_ARGUMENT", f"The table {shown(reference)} has no rows.")
    return fields, [_object(fields, values) for values in found]


async def write_results(
    run: Run, columns: list[Json], results: list[tuple[Json, Json, bool]], *, chats: bool, model: str
) -> Json:
    """Put results into tables, once, however often the job is begun again; the job's ``outputInfo``.

    A result is the row of its instance, what became of it, and whether that is an error. Raises `TaskFailed`.
    """
    state, uri = run.state, run.row["outputConfig"]["bigqueryDestination"]["outputUri"]
    try:
        check_installed()
        project, dataset, table = _parts(state, uri)
        time = _time(run.row["createTime"])
        made = dataset is None
        dataset = dataset or re.sub(r"\W", "_", f"prediction_{model}_{time}", flags=re.ASCII)
        suffix = "" if made else f"_{time}"
        predictions = Reference(project, dataset, table or f"predictions{suffix}")
        errors = Reference(project, dataset, f"errors{suffix}")
        if made:
            if not _may(state, run.account, f"projects/{project}", "bigquery.datasets.create"):
                raise _denied(run, f"Project {project}", "bigquery.datasets.create")
        else:
            get_dataset(state, project, dataset)
            _require(run, predictions, "bigquery.tables.create")
            _require(run, predictions, "bigquery.tables.updateData")
        parts: list[tuple[Reference, list[Json], list[Json]]] = []
        if chats:
            parts.append((predictions, _CHAT, [row | result for row, result, _ in results]))
        else:
            parts.append((predictions, _PREDICTED, [row | result for row, result, bad in results if not bad]))
            failed = [row | {"errors": result} for row, result, bad in results if bad]
            if failed or made:
                parts.append((errors, _FAILED, failed))
        written: list[tuple[Reference, list[Json], Segment]] = []
        with state.warehouse.reading():
            for reference, more, rows in parts:
                names = {field["name"] for field in more}
                fields = [*(_optional(field) for field in columns if field["name"] not in names), *more]
                lines = [row_in(fields, row, ignore_unknown=True) for row in rows]
                written.append((reference, fields, await state.warehouse.write_rows(fields, lines)))
            with state.database.transaction():
                if not run.notes.get("outputWritten"):
                    if made and state.rows.find(dataset_name(project, dataset)) is None:
                        create_dataset(state, project, {"datasetReference": {"datasetId": dataset}})
                    for reference, fields, segment in written:
                        _append(state, reference, fields, segment)
                    run.note(outputWritten=True)
    except ApiError as error:
        raise TaskFailed(error.status, error.message) from None
    return {
        "bigqueryOutputDataset": f"bq://{project}.{dataset}",
        "bigqueryOutputTable": predictions.table,
    }


def _append(state: State, reference: Reference, fields: list[Json], segment: Segment) -> None:
    named = {"projectId": reference.project, "datasetId": reference.dataset, "tableId": reference.table}
    write(state, {"tableReference": named}, fields, [segment], "WRITE_APPEND")


def _parts(state: State, uri: str) -> tuple[str, str | None, str | None]:
    """Project (by id), dataset and table of a ``bq://`` URI."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise TaskFailed("INVALID_ARGUMENT", f"{uri} is no BigQuery path: bq://PROJECT.DATASET.TABLE")
    return state.projects.id(found.group(1)), found.group(2), found.group(3)


def _require(run: Run, reference: Reference, permission: str) -> None:
    name = f"projects/{reference.project}/datasets/{reference.dataset}"
    if not _may(run.state, run.account, name, permission):
        raise _denied(run, f"Table {shown(reference)}", permission)


def _may(state: State, account: str, name: str, permission: str) -> bool:
    return state.access.may(account, permission, named_resource(state, name, "bigquery.googleapis.com"))


def _denied(run: Run, what: str, permission: str) -> TaskFailed:
    text = f"Access Denied: {what}: {run.account} does not have permission {permission} on it."
    return TaskFailed("PERMISSION_DENIED", text)


def _time(created: str) -> str:
    """``YYYY_MM_DDThh_mm_ss_sssZ``."""
    return re.sub(r"[-:.]", "_", re.sub(r"(\.\d{3})\d*Z$", r"\1Z", created))


def _optional(field: Json) -> Json:
    return {**field, "mode": _NULLABLE} if field.get("mode") == "REQUIRED" else field


def _object(fields: list[Json], values: tuple[Any, ...]) -> Json:
    return {field["name"]: _value(field, value) for field, value in zip(fields, values, strict=True)}


def _value(field: Json, value: Any) -> Any:
    """A value of a table as JSON has it; what JSON has not is text."""
    if value is None:
        return None
    if repeated(field):
        return [_value({**field, "mode": _NULLABLE}, item) for item in value]
    if kind(field) == "RECORD":
        return _object(field["fields"], tuple(value.values()))
    if kind(field) == "JSON":
        return orjson.loads(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, datetime | date | time) else value
