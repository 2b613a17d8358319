"""BigQuery: rows of tables, read in pages and inserted one by one (bigquery.v2 tabledata)."""

from __future__ import annotations

import itertools
from typing import Any

from tunestack.emulator.bigquery.billing_export import settle
from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.fields import Unfit, row_in, row_out
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.tables import (
    WITH_ROWS,
    by_arrival,
    columns,
    get_table,
    partition_of,
    project_id,
    table_name,
)
from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

_PAGE = 10_000


@implements("bigquery.tabledata.list")
async def list_rows(call: Call) -> Json:
    check_installed()
    await settle(call.state)
    reference = _reference(call)
    row = get_table(call.state, reference)
    if row["type"] not in WITH_ROWS:
        raise refused(f"Cannot list a table of type {row['type']}.", "invalid")
    fields = row.get("schema", {}).get("fields", [])
    wanted = call.query.get("selectedFields")
    if wanted:
        names = {name.strip().lower() for name in wanted.split(",")}
        unknown = names - {field["name"].lower() for field in fields}
        if unknown:
            raise refused(f"Selected fields do not exist: {', '.join(sorted(unknown))}", "invalid")
        fields = [field for field in fields if field["name"].lower() in names]
    body = await rows_page(call, table_name(reference), fields)
    return {"kind": "bigquery#tableDataList", "etag": etag(row), **body}


async def rows_page(call: Call, table: str, fields: list[Json]) -> Json:
    """``totalRows``, ``rows`` and ``pageToken`` as the call's query asks for them."""
    query = call.query
    try:
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
    except ValueError:
        raise refused(f"Invalid page token: {query['pageToken']}", "invalid") from None
    asked = query.get("maxResults")
    size = _PAGE if asked is None else min(asked, _PAGE)
    check_installed()
    segments = call.state.warehouse.segments(table)
    total = sum(segment.rows for segment in segments)
    rows = await call.state.warehouse.read(fields, segments, start, size) if size and start < total else []
    integers = bool(query.get("formatOptions.useInt64Timestamp"))
    body: Json = {"totalRows": str(total)}
    if rows:
        body["rows"] = [row_out(fields, row, integer_timestamps=integers) for row in rows]
    if start + len(rows) < total and (rows or asked == 0):
        body["pageToken"] = str(start + len(rows))
    return body


@implements("bigquery.tabledata.insertAll")
async def insert_all(call: Call) -> Json:
    """Rows that do not fit are named; the others wait for them unless ``skipInvalidRows`` is set.

    A row whose ``insertId`` came within the last minute is not inserted again: Google's best effort, too.
    """
    check_installed()
    reference = _reference(call)
    row = get_table(call.state, reference)
    body = call.body
    if body.get("templateSuffix"):
        raise ApiError("UNIMPLEMENTED", "templateSuffix is not implemented by the tunestack emulator")
    if row["type"] != "TABLE" or "schema" not in row:
        raise refused(f"The destination table {reference.table} has no schema.", "invalid")
    sent = body.get("rows", [])
    if not sent:
        raise refused("No rows present in the request.", "invalid")
    fields = row["schema"]["fields"]
    errors: list[Json] = []
    fitting: list[Json] = []
    for index, item in enumerate(sent):
        try:
            fitting.append(
                row_in(
                    fields,
                    item.get("json"),
                    ignore_unknown=bool(body.get("ignoreUnknownValues")),
                    json_as_text=True,
                )
            )
        except Unfit as error:
            entry = {"reason": "invalid", "location": error.field, "debugInfo": "", "message": str(error)}
            errors.append({"index": index, "errors": [entry]})
    answer: Json = {"kind": "bigquery#tableDataInsertAllResponse"}
    if errors:
        answer["insertErrors"] = errors
        if not body.get("skipInvalidRows"):
            bad = {error["index"] for error in errors}
            stopped = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}
            errors += [
                {"index": index, "errors": [stopped]} for index in range(len(sent)) if index not in bad
            ]
            return answer
    bad = {error["index"] for error in errors}
    ids = [item.get("insertId") for index, item in enumerate(sent) if index not in bad]
    fresh = _fresh(call.state, table_name(reference), ids)
    await append_rows(call.state, reference, [item for item, new in zip(fitting, fresh, strict=True) if new])
    now = call.state.clock().timestamp()
    call.state.warehouse.insert_ids.update({(table_name(reference), str(key)): now for key in ids if key})
    return answer


async def append_rows(state: State, reference: Reference, rows: list[Json]) -> None:
    """Rows as `row_in` leaves them; on disk when this returns."""
    row = get_table(state, reference)
    if by_arrival(row):
        partition = partition_of(state, row)
        rows = [{**item, "_PARTITIONTIME": partition} for item in rows]
    if not rows:
        return
    name = table_name(reference)
    with state.warehouse.reading():
        segment = await state.warehouse.write_rows(columns(row), rows)
        with state.database.transaction():
            get_table(state, reference)  # it may have been deleted meanwhile
            state.warehouse.append(name, [segment])
    await state.warehouse.compact(name, columns(row))


def _fresh(state: State, table: str, ids: list[str | None]) -> list[bool]:
    """Which of the rows did not come within the last minute, by their insert ids."""
    seen = state.warehouse.insert_ids
    least = state.clock().timestamp() - 60
    for key, _ in list(itertools.takewhile(lambda item: item[1] < least, seen.items())):
        del seen[key]
    return [not identifier or (table, identifier) not in seen for identifier in ids]


def _reference(call: Call) -> Reference:
    project = project_id(call.state, call.path["projectId"])
    return Reference(project, call.path["datasetId"], call.path["tableId"])
