"""Partitions whose time has come: their rows go, by the emulator's clock, without being asked for.

cloud.google.com/bigquery/docs/managing-partitioned-tables#partition-expiration: a partition ends ``expirationMs`` after
the moment that it begins with.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tunestack.emulator.background import in_background
from tunestack.emulator.bigquery.engine import installed, opened, text
from tunestack.emulator.bigquery.fields import quoted
from tunestack.emulator.bigquery.tables import TABLES, columns, reference_of, table_name
from tunestack.emulator.bigquery.warehouse import PARTITION_TIME, Segment
from tunestack.emulator.state import State

Json = dict[str, Any]

_AGAIN = timedelta(hours=1)  # the shortest partition is an hour


@in_background
async def expire(state: State) -> datetime | None:
    """Remove what is over; when to look again, where a table has partitions that end."""
    tables = state.database.execute(
        "SELECT body FROM resource WHERE collection = ?"
        " AND json_extract(CAST(body AS TEXT), '$.timePartitioning.expirationMs') IS NOT NULL",
        TABLES,
    )
    if not tables or not installed():
        return None
    for (body,) in tables:
        await _expire(state, orjson.loads(body))
    return state.clock() + _AGAIN


async def _expire(state: State, row: Json) -> None:
    name, partitioning = table_name(reference_of(row["tableReference"])), row["timePartitioning"]
    before = state.warehouse.segments(name)
    if not before:
        return
    fields = columns(row)
    column = quoted(partitioning.get("field") or PARTITION_TIME["name"])
    unit = partitioning.get("type", "DAY").lower()
    ends = state.clock().astimezone(UTC) - timedelta(milliseconds=int(partitioning["expirationMs"]))
    # The works are woken often: the same rows are looked at once an hour.
    seen = (before, ends.replace(minute=0, second=0, microsecond=0))
    if state.warehouse.partitions_seen.get(name) == seen:
        return
    state.warehouse.partitions_seen[name] = seen
    moment = f"CAST({text(ends.strftime('%Y-%m-%d %H:%M:%S.%f'))} AS TIMESTAMP)"
    over = f"coalesce(date_trunc('{unit}', CAST({column} AS TIMESTAMP)) <= {moment}, false)"
    source = state.warehouse.source(fields, before)

    def rewrite() -> Segment | None:
        with opened(state.warehouse.folder) as connection:
            found = connection.execute(f"SELECT count(*) FROM ({source}) WHERE {over}").fetchone()  # noqa: S608
            if not found or not found[0]:
                return None
            left = f"SELECT * FROM ({source}) WHERE NOT {over}"  # noqa: S608
            return state.warehouse.write_query(connection, fields, left)

    with state.warehouse.reading():
        left = await asyncio.to_thread(rewrite)
        if left is None:
            return
        with state.database.transaction():
            # A job may have changed the table meanwhile; the next look finds it.
            if state.rows.find(name) is not None and state.warehouse.segments(name) == before:
                state.warehouse.replace(name, [left] if left.rows else [])
