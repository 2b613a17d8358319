"""Load jobs: newline-delimited JSON, CSV and Parquet, from Cloud Storage or uploaded with the job.

cloud.google.com/bigquery/docs/loading-data-cloud-storage-json, …-csv, …-parquet.
"""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.bigquery import detection
from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.fields import Unfit, row_in
from tunestack.emulator.bigquery.gs_files import content, sources
from tunestack.emulator.bigquery.jobs import upload_path
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.rights import require_object, require_writing
from tunestack.emulator.bigquery.tables import (
    by_arrival,
    checked,
    find_table,
    partition_of,
    reference_of,
    write,
)
from tunestack.emulator.bigquery.warehouse import PARTITION_TIME, Segment
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]

_TABLE_KEYS = ("timePartitioning", "rangePartitioning", "clustering")
_ERRORS_SHOWN = 5


@dataclass
class _Bad:
    """Rows that do not fit, counted against ``maxBadRecords``."""

    at_most: int
    rows: int = 0
    errors: list[Json] = field(default_factory=list)

    def add(self, where: str, message: str) -> None:
        words = f"Error while reading data, error message: {message} File: {where}"
        self.errors.append({"reason": "invalid", "location": where, "message": words})

    def check(self, kind: str, where: str) -> None:
        if len(self.errors) > self.at_most:
            raise ApiError(
                "INVALID_ARGUMENT",
                f"Error while reading data, error message: {kind} table encountered too many errors, giving up. "
                f"Rows: {self.rows}; errors: {len(self.errors)}. Please look into the errors[] collection for more "
                f"details. File: {where}",
                reason="invalid",
                details=self.errors[:_ERRORS_SHOWN],
            )


def check(state: State, row: Json) -> Json:
    raise ApiError("INVALID_ARGUMENT", "Dry run is only supported for query jobs.", reason="invalid")


async def run(state: State, row: Json, interrupts: list[Any]) -> Callable[[], Json]:
    """Reads all of it; the answer puts the rows in place, inside the job's last transaction."""
    check_installed()
    load = row["configuration"]["load"]
    form = load.get("sourceFormat", "CSV")
    readers = {"NEWLINE_DELIMITED_JSON": _json_rows, "CSV": _csv_rows}
    if form not in (*readers, "PARQUET"):
        raise ApiError("UNIMPLEMENTED", f"loading {form} is not implemented by the tunestack emulator")
    project = row["jobReference"]["projectId"]
    reference = reference_of(load["destinationTable"], project)
    require_writing(state, row, reference)
    for uri in load.get("sourceUris", []):
        require_object(state, row, uri, "storage.objects.get")
    uploaded = upload_path(state, row)
    files = [("upload", uploaded)] if uploaded.exists() else sources(state, load.get("sourceUris", []))
    kept = find_table(state, reference)
    fields = checked(load["schema"]["fields"]) if load.get("schema", {}).get("fields") else None
    truncates = str(load.get("writeDisposition", "")).startswith("WRITE_TRUNCATE")
    if fields is None and kept is not None and "schema" in kept and not truncates:
        fields = kept["schema"]["fields"]
    arrival = kept if kept is not None and by_arrival(kept) else None
    if kept is None and "timePartitioning" in load and not load["timePartitioning"].get("field"):
        arrival = {"timePartitioning": load["timePartitioning"]}
    partition = partition_of(state, arrival) if arrival else None
    bad = _Bad(int(load.get("maxBadRecords", 0)))
    if form == "PARQUET":
        schema, segment = await asyncio.to_thread(_parquet, state, files, fields, partition)
    else:
        schema, rows = await asyncio.to_thread(readers[form], files, load, fields, bad)
        if partition:
            rows = [{**item, "_PARTITIONTIME": partition} for item in rows]
        if not schema:
            raise refused("Schema has no fields.", "invalid")
        segment = await state.warehouse.write_rows([*schema, PARTITION_TIME] if partition else schema, rows)
    read = sum(path.stat().st_size for _, path in files)

    def commit() -> Json:
        body = {
            "tableReference": {
                "projectId": reference.project,
                "datasetId": reference.dataset,
                "tableId": reference.table,
            },
            **{key: load[key] for key in _TABLE_KEYS if key in load},
            **load.get("destinationTableProperties", {}),
        }
        write(
            state,
            body,
            schema,
            [segment],
            load.get("writeDisposition", "WRITE_APPEND"),
            create=load.get("createDisposition", "CREATE_IF_NEEDED"),
            grow="ALLOW_FIELD_ADDITION" in load.get("schemaUpdateOptions", []),
        )
        return {
            "load": {
                "inputFiles": str(len(files)),
                "inputFileBytes": str(read),
                "outputRows": str(segment.rows),
                "outputBytes": str(sum(segment.sizes.values())),
                "badRecords": str(len(bad.errors)),
            }
        }

    return commit


def _json_rows(
    files: list[tuple[str, Path]], load: Json, fields: list[Json] | None, bad: _Bad
) -> tuple[list[Json], list[Json]]:
    parsed: list[tuple[str, Json]] = []
    for where, path in files:
        for number, line in enumerate(content(path).split(b"\n"), 1):
            if not line.strip():
                continue
            bad.rows += 1
            try:
                row = orjson.loads(line)
                if not isinstance(row, dict):
                    raise Unfit("", "the line is not a JSON object.")
                parsed.append((f"{where}:{number}", row))
            except (orjson.JSONDecodeError, Unfit) as error:
                bad.add(where, f"JSON parsing error in row starting at line {number}: {error}.")
                bad.check("JSON", where)
    if fields is None:
        if not load.get("autodetect"):
            raise refused("Schema has no fields.", "invalid")
        fields = checked(detection.of_rows(row for _, row in parsed))
    rows = []
    for place, row in parsed:
        try:
            rows.append(row_in(fields, row, ignore_unknown=bool(load.get("ignoreUnknownValues"))))
        except Unfit as error:
            where, _, line_number = place.rpartition(":")
            bad.add(where, f"JSON parsing error in row starting at line {line_number}: {error}")
            bad.check("JSON", where)
    return fields, rows


def _csv_rows(
    files: list[tuple[str, Path]], load: Json, fields: list[Json] | None, bad: _Bad
) -> tuple[list[Json], list[Json]]:
    delimiter = str(load.get("fieldDelimiter", ",")).replace("tab", "\t").replace("\\t", "\t")
    skip = int(load.get("skipLeadingRows") or 0)
    encoding = load.get("encoding", "UTF-8")
    tables: list[tuple[str, list[list[str]]]] = []
    header: list[str] | None = None
    for where, path in files:
        reader = csv.reader(
            io.StringIO(content(path).decode(encoding), newline=""),
            delimiter=delimiter,
            quotechar=load.get("quote", '"') or None,
            quoting=csv.QUOTE_MINIMAL if load.get("quote", '"') else csv.QUOTE_NONE,
        )
        lines = [line for line in reader if line]
        if skip and lines:
            header = header or lines[min(skip, len(lines)) - 1]
        tables.append((where, lines[skip:]))
    if fields is None:
        if not load.get("autodetect"):
            raise refused("Schema has no fields.", "invalid")
        found, headed = detection.of_table([line for _, lines in tables for line in lines], header)
        fields = checked(found)
        if headed:
            tables = [(where, lines[1:]) for where, lines in tables]
    rows = []
    for where, lines in tables:
        for number, line in enumerate(lines, skip + 1):
            bad.rows += 1
            try:
                rows.append(row_in(fields, dict(_cells(fields, line, load))))
            except Unfit as error:
                bad.add(where, f"{error}; Row starting at line: {number}")
                bad.check("CSV", where)
    return fields, rows


def _cells(fields: list[Json], line: list[str], load: Json) -> Iterator[tuple[str, str | None]]:
    if len(line) > len(fields) and not load.get("ignoreUnknownValues"):
        raise Unfit("", f"Too many values in line. Found {len(line)} column(s) while expected {len(fields)}.")
    if len(line) < len(fields) and not load.get("allowJaggedRows"):
        raise Unfit("", f"Too few values in line. Found {len(line)} column(s) while expected {len(fields)}.")
    marker = load.get("nullMarker", "")
    for column, cell in zip(fields, line, strict=False):
        # Without a marker of its own, nothing is NULL in any column but one of text.
        null = cell == marker and (marker or column["type"] not in ("STRING", "BYTES"))
        yield column["name"], None if null else cell


def _parquet(
    state: State, files: list[tuple[str, Path]], fields: list[Json] | None, partition: str | None
) -> tuple[list[Json], Segment]:
    from tunestack.emulator.bigquery.execution import file_segment

    folder = state.warehouse.folder / "aside"
    copies = []
    try:
        for index, (_, path) in enumerate(files):
            copies.append(folder / f"load-{id(files)}-{index}")
            shutil.copyfile(path, copies[-1])
        return file_segment(state.warehouse, copies, fields, partition)
    finally:
        for copy in copies:
            copy.unlink(missing_ok=True)
