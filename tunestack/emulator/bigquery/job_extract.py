"""Extract jobs: a table as CSV, newline-delimited JSON or Parquet in Cloud Storage.

cloud.google.com/bigquery/docs/exporting-data: INT64 and NUMERIC are written as strings in JSON, nested columns not at
all in CSV.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
from collections.abc import Callable
from datetime import UTC
from typing import Any

import orjson

from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.fields import kind, repeated, text_out
from tunestack.emulator.bigquery.gs_files import write_object
from tunestack.emulator.bigquery.job_load import check as check
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.rights import require_object, require_reading
from tunestack.emulator.bigquery.tables import get_table, reference_of, table_name
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]

_FIRST = "000000000000"
_TYPES = {
    "CSV": "text/csv",
    "NEWLINE_DELIMITED_JSON": "application/json",
    "PARQUET": "application/vnd.apache.parquet",
}


async def run(state: State, row: Json, interrupts: list[Any]) -> Callable[[], Json]:
    """The answer writes the objects, inside the job's last transaction. Each URI gets one file."""
    check_installed()
    extract = row["configuration"]["extract"]
    if "sourceTable" not in extract:
        raise ApiError("UNIMPLEMENTED", "extracting models is not implemented by the tunestack emulator")
    form = extract.get("destinationFormat", "CSV")
    if form not in _TYPES:
        raise ApiError("UNIMPLEMENTED", f"extracting {form} is not implemented by the tunestack emulator")
    compression = extract.get("compression", "NONE")
    if compression not in ("NONE", "GZIP") and form != "PARQUET":
        raise refused(f"{compression} compression is not supported for format {form}", "invalid")
    reference = reference_of(extract["sourceTable"], row["jobReference"]["projectId"])
    require_reading(state, row, reference, "bigquery.tables.export")
    table = get_table(state, reference)
    fields = table.get("schema", {}).get("fields", [])
    segments = state.warehouse.segments(table_name(reference))
    uris = extract.get("destinationUris") or [extract.get("destinationUri", "")]
    for uri in uris:
        require_object(state, row, uri, "storage.objects.create")
    if form == "PARQUET":
        data = await asyncio.to_thread(state.warehouse.parquet, fields, segments)
    else:
        rows = await state.warehouse.read(fields, segments, 0, 2**62)
        data = _json(fields, rows) if form == "NEWLINE_DELIMITED_JSON" else _csv(fields, rows, extract)
        data = gzip.compress(data, mtime=0) if compression == "GZIP" else data

    def commit() -> Json:
        for uri in uris:
            write_object(state, uri.replace("*", _FIRST), data, _TYPES[form])
        return {
            "extract": {
                "destinationUriFileCounts": ["1" for _ in uris],
                "inputBytes": str(sum(sum(segment.sizes.values()) for segment in segments)),
            }
        }

    return commit


def _csv(fields: list[Json], rows: list[tuple[Any, ...]], extract: Json) -> bytes:
    for field in fields:
        if kind(field) == "RECORD" or repeated(field):
            raise refused(
                f"Operation cannot be performed on a nested schema. Field: {field['name']}", "invalid"
            )
    out = io.StringIO(newline="")
    delimiter = str(extract.get("fieldDelimiter", ",")).replace("tab", "\t").replace("\\t", "\t")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if extract.get("printHeader", True):
        writer.writerow([field["name"] for field in fields])
    for row in rows:
        writer.writerow(
            ["" if value is None else _text(field, value) for field, value in zip(fields, row, strict=True)]
        )
    return out.getvalue().encode()


def _json(fields: list[Json], rows: list[tuple[Any, ...]]) -> bytes:
    return b"".join(orjson.dumps(_object(fields, row)) + b"\n" for row in rows)


def _object(fields: list[Json], row: tuple[Any, ...]) -> Json:
    return {
        field["name"]: _value(field, value)
        for field, value in zip(fields, row, strict=True)
        if value is not None
    }


def _value(field: Json, value: Any) -> Any:
    if repeated(field):
        return [_value({**field, "mode": "NULLABLE"}, item) for item in value]
    name = kind(field)
    if name == "RECORD":
        return _object(field["fields"], tuple(value.values()))
    if name == "JSON":
        return orjson.loads(value)
    if name in ("BOOLEAN", "FLOAT"):
        return value
    return _text(field, value)


def _text(field: Json, value: Any) -> str:
    if kind(field) == "TIMESTAMP":
        moment = value.astimezone(UTC)
        fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
        return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} UTC"
    return text_out(kind(field), value)
