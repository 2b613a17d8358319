"""Cloud Logging: what sinks write to buckets of Cloud Storage and to datasets of BigQuery, by itself, when it is due.

Buckets get a file an hour and log, ``LOG/YYYY/MM/DD/HH:00:00_HH:59:59_S0.json``, of what came in that hour, one entry
a line; what belongs to an hour that has its file goes into ``…_A0:<number>.json``
(cloud.google.com/logging/docs/export/storage). Datasets get rows as they come, in a table a log and day, or a log
partitioned by time (cloud.google.com/logging/docs/export/bigquery); rows that do not fit it go to ``export_errors_…``.
The rows, or the files, and the end of their waiting are one transaction: each entry is written once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson

from tunestack.emulator.access.resources import bucket_resource, named_resource
from tunestack.emulator.background import in_background
from tunestack.emulator.bigquery.engine import installed
from tunestack.emulator.bigquery.tables import dataset_name
from tunestack.emulator.services.cloud_logging_routing import fail, writer_of
from tunestack.emulator.services.cloud_logging_tables import write_entries_to
from tunestack.emulator.services.storage import find_object
from tunestack.emulator.services.storage_objects import store
from tunestack.emulator.services.times import moment
from tunestack.emulator.state import State

Json = dict[str, Any]
Waiting = list[tuple[int, Json]]

_BUCKET = "storage.googleapis.com/"
_DATASET = "bigquery.googleapis.com/"


@in_background
async def export(state: State) -> datetime | None:
    """Write what is due; the moment when something is due next."""
    now = state.now()
    for (key,) in state.database.execute("SELECT DISTINCT sink FROM exported_entry WHERE due <= ?", now):
        rows = state.database.execute(
            "SELECT sequence, body FROM exported_entry WHERE sink = ? AND due <= ? ORDER BY sequence",
            key,
            now,
        )
        waiting = [(sequence, orjson.loads(body)) for sequence, body in rows]
        sink = state.rows.find(key)
        if sink is None or sink.get("disabled"):
            _forget(state, waiting)
        elif sink["destination"].startswith(_BUCKET):
            _to_bucket(state, key.partition("/sinks/")[0], sink, waiting)
        elif sink["destination"].startswith(_DATASET):
            await _to_dataset(state, key.partition("/sinks/")[0], sink, waiting)
        else:  # it had another destination when these came
            _forget(state, waiting)
    due = state.database.one("SELECT min(due) FROM exported_entry")
    return moment(due[0]) if due and due[0] else None


def _forget(state: State, waiting: Waiting) -> None:
    for sequence, _ in waiting:
        state.database.execute("DELETE FROM exported_entry WHERE sequence = ?", sequence)


def _to_bucket(state: State, project: str, sink: Json, waiting: Waiting) -> None:
    bucket, writer = sink["destination"].removeprefix(_BUCKET), writer_of(sink)
    with state.database.transaction():
        _forget(state, waiting)
        resource = bucket_resource(state, bucket)
        if resource is None:
            fail(state, project, sink, "bucket_not_found", f"The bucket {bucket} does not exist.")
        elif writer and not state.access.may(writer, "storage.objects.create", resource):
            text = f"{writer} does not have storage.objects.create access to {bucket}."
            fail(state, project, sink, "bucket_permission_denied", text)
        else:
            files: defaultdict[tuple[str, datetime], list[Json]] = defaultdict(list)
            for _, entry in waiting:
                hour = moment(entry["timestamp"]).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
                files[unquote(entry["logName"].partition("/logs/")[2]), hour].append(entry)
            for (log, hour), entries in files.items():
                _write_file(state, bucket, log, hour, entries, waiting[0][0])


def _write_file(
    state: State, bucket: str, log: str, hour: datetime, entries: list[Json], number: int
) -> None:
    stem = f"{log}/{hour:%Y/%m/%d/%H:00:00_%H:59:59}"
    name = f"{stem}_S0.json"
    if find_object(state, bucket, name) is not None:
        name = f"{stem}_A0:{number}.json"
    lines = b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)
    store(state, bucket, name, {"contentType": "application/json"}, state.contents.put([lines]))


async def _to_dataset(state: State, project: str, sink: Json, waiting: Waiting) -> None:
    _, owner, _, dataset = sink["destination"].removeprefix(_DATASET).split("/")
    name, writer = state.projects.id(owner), writer_of(sink)
    resource = named_resource(state, f"projects/{owner}/datasets/{dataset}", "bigquery.googleapis.com")
    problem = None
    if state.rows.find(dataset_name(name, dataset)) is None:
        problem = ("dataset_not_found", f"Not found: Dataset {name}:{dataset}")
    elif writer and not state.access.may(writer, "bigquery.tables.updateData", resource):
        problem = (
            "dataset_permission_denied",
            f"Access Denied: Dataset {name}:{dataset}: {writer} does not have bigquery.tables.updateData on it.",
        )
    elif not installed():
        problem = (
            "dataset_not_available",
            "the emulator runs without the extra bigquery: tunestack[bigquery]",
        )
    if problem:
        with state.database.transaction():
            _forget(state, waiting)
            fail(state, project, sink, *problem)
        return
    partitioned = bool(sink.get("bigqueryOptions", {}).get("usePartitionedTables"))
    await write_entries_to(
        state,
        name,
        dataset,
        sink["name"],
        [entry for _, entry in waiting],
        partitioned,
        lambda: _forget(state, waiting),
    )
