"""Rows of tables: immutable Parquet files named by their digest, listed in SQLite.

A file is written aside, flushed and renamed before the transaction that names it: what SQLite lists is there
and whole, and a file that nothing lists is swept at the next start. Changing rows writes other files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tunestack.emulator.bigquery.engine import opened, text
from tunestack.emulator.bigquery.fields import engine_type, kind, logical_bytes, quoted, repeated
from tunestack.emulator.contents import Contents, file_pieces
from tunestack.emulator.database import Database

if TYPE_CHECKING:
    import duckdb

Json = dict[str, Any]

PARTITION_TIME = {"name": "_PARTITIONTIME", "type": "TIMESTAMP", "mode": "NULLABLE"}
_SEGMENTS_AT_MOST = 16
_MERGED_ROWS_AT_MOST = 100_000


@dataclass(frozen=True)
class Segment:
    """A file of rows; ``sizes`` are the logical bytes of its columns.

    ``changed`` and ``inserted`` are the rows that an UPDATE or MERGE changed and added.
    """

    digest: str
    rows: int
    sizes: dict[str, int]
    changed: int = 0
    inserted: int = 0


class Warehouse:
    """The files of all tables. Changes belong into the caller's transaction."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._database = database
        self._contents = Contents(folder)
        self.loads = folder / "loads"
        """Data that was uploaded with load jobs that have not ended."""
        self.loads.mkdir(exist_ok=True)
        self.folder = folder
        self._readers = 0
        self._unused: set[str] = set()
        self.insert_ids: dict[tuple[str, str], float] = {}
        """When rows came in, by table and ``insertId``; of the last minute, oldest first."""
        self.partitions_seen: dict[str, tuple[list[Segment], datetime]] = {}
        """Which rows of a table were last looked at for partitions that are over, and of which hour."""
        self._contents.sweep({d for (d,) in database.execute("SELECT DISTINCT digest FROM bigquery_segment")})

    def segments(self, table: str) -> list[Segment]:
        rows = self._database.execute(
            "SELECT digest, row_count, sizes FROM bigquery_segment WHERE table_name = ? ORDER BY sequence",
            table,
        )
        return [Segment(digest, count, orjson.loads(sizes)) for digest, count, sizes in rows]

    def append(self, table: str, segments: Iterable[Segment]) -> None:
        for segment in segments:
            self._database.execute(
                "INSERT INTO bigquery_segment VALUES (?, ?, ?, ?, ?)",
                table,
                self._database.next_number("segment"),
                segment.digest,
                segment.rows,
                orjson.dumps(segment.sizes),
            )

    def replace(self, table: str, segments: Iterable[Segment]) -> None:
        """The table's rows become those of ``segments`` (none: it is empty, or gone)."""
        digests = {segment.digest for segment in self.segments(table)}
        self._database.execute("DELETE FROM bigquery_segment WHERE table_name = ?", table)
        self.append(table, segments)
        self._database.after_commit(lambda: self._forget(digests))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While rows are read or about to be listed, no file of theirs goes, whatever becomes of their table."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            self._forget(set())

    def _forget(self, digests: set[str]) -> None:
        self._unused |= digests
        if self._readers:
            return
        for digest in self._unused:
            if not self._database.one("SELECT 1 FROM bigquery_segment WHERE digest = ? LIMIT 1", digest):
                self._contents.forget(digest)
        self._unused.clear()

    def source(self, fields: list[Json], segments: list[Segment]) -> str:
        """The rows as a query of duckdb's, each column with the type of ``fields``; absent ones are NULL."""
        empty = ", ".join(f"NULL::{engine_type(field)} AS {quoted(field['name'])}" for field in fields)
        typed = f"SELECT {empty} WHERE false"
        if not segments:
            return typed
        files = ", ".join(text(str(self._contents.path(segment.digest))) for segment in segments)
        columns = ", ".join(
            f"CAST({quoted(field['name'])} AS {engine_type(field)}) AS {quoted(field['name'])}"
            for field in fields
        )
        return (
            f"SELECT {columns} FROM ({typed} UNION ALL BY NAME "  # noqa: S608 - names are quoted
            f"SELECT * FROM read_parquet([{files}], union_by_name = true))"
        )

    async def write_rows(self, fields: list[Json], rows: list[Json]) -> Segment:
        """A segment of rows as `row_in` leaves them."""
        lines = b"\n".join(orjson.dumps(row) for row in rows)
        return await asyncio.to_thread(self._write_lines, fields, lines)

    def _write_lines(self, fields: list[Json], lines: bytes) -> Segment:
        path = self._contents.aside()
        path.write_bytes(lines)
        types = ", ".join(
            f"{text(field['name'])}: {text(engine_type(field, text_bytes=True))}" for field in fields
        )
        columns = ", ".join(
            f"{_decoded(field, quoted(field['name']))} AS {quoted(field['name'])}" for field in fields
        )
        query = (
            f"SELECT {columns} FROM read_json({text(str(path))}, "  # noqa: S608 - names are quoted
            f"format = 'newline_delimited', columns = {{{types}}}, maximum_object_size = 104857600)"
        )
        try:
            with opened(self.folder) as connection:
                return self.write_query(connection, fields, query)
        finally:
            path.unlink()

    def write_query(self, connection: duckdb.DuckDBPyConnection, fields: list[Json], query: str) -> Segment:
        """A segment of a query's rows, which have the columns ``fields``. Blocks: for a thread."""
        path = self._contents.aside()
        try:
            connection.execute(f"COPY ({query}) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)")
            sizes = ", ".join(f"sum({logical_bytes(field, quoted(field['name']))})" for field in fields)
            found = connection.execute(
                f"SELECT count(*), {sizes} FROM read_parquet({text(str(path))})"  # noqa: S608 - names are quoted
            ).fetchone()
            content = self._contents.put(file_pieces(path))
        finally:
            path.unlink(missing_ok=True)
        count, *summed = found or (0,)
        names = [field["name"] for field in fields]
        return Segment(
            content.digest, count, {n: int(size or 0) for n, size in zip(names, summed, strict=True)}
        )

    def parquet(self, fields: list[Json], segments: list[Segment]) -> bytes:
        """The rows as one Parquet file. Blocks: for a thread."""
        path = self._contents.aside()
        try:
            with opened(self.folder) as connection:
                connection.execute(
                    f"COPY ({self.source(fields, segments)}) TO {text(str(path))} (FORMAT parquet)"
                )
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    async def compact(self, table: str, fields: list[Json]) -> None:
        """Join the small segments that many small inserts leave. The rows keep their order."""
        segments = self.segments(table)
        if len(segments) <= _SEGMENTS_AT_MOST:
            return
        tail = len(segments)
        while tail and sum(segment.rows for segment in segments[tail - 1 :]) <= _MERGED_ROWS_AT_MOST:
            tail -= 1
        if len(segments) - tail < 2:
            return

        def merge() -> Segment:
            with opened(self.folder) as connection:
                return self.write_query(connection, fields, self.source(fields, segments[tail:]))

        with self.reading():
            merged = await asyncio.to_thread(merge)
            with self._database.transaction():
                # Another request may have changed the table meanwhile: then its segments stay as they are.
                if self.segments(table)[: len(segments)] == segments:
                    self.replace(table, [*segments[:tail], merged, *self.segments(table)[len(segments) :]])

    async def read(
        self, fields: list[Json], segments: list[Segment], start: int, count: int
    ) -> list[tuple[Any, ...]]:
        """``count`` rows from ``start`` on, in the order they came in."""

        def fetch() -> list[tuple[Any, ...]]:
            with opened(self.folder) as connection:
                query = f"{self.source(fields, segments)} LIMIT {count} OFFSET {start}"
                return connection.execute(query).fetchall()

        with self.reading():
            return await asyncio.to_thread(fetch) if segments else []


def _decoded(field: Json, column: str) -> str:
    """An expression that makes what JSON carried (base64 for bytes, at any depth) what is kept."""
    if not _holds_bytes(field):
        return column
    if repeated(field):
        inner = _decoded({**field, "mode": "NULLABLE"}, "x")
        return f"list_transform({column}, lambda x: {inner})"
    if kind(field) == "BYTES":
        return f"from_base64({column})"
    parts = ", ".join(
        f"{quoted(child['name'])} := {_decoded(child, f'{column}.' + quoted(child['name']))}"
        for child in field["fields"]
    )
    return f"CASE WHEN {column} IS NULL THEN NULL ELSE struct_pack({parts}) END"


def _holds_bytes(field: Json) -> bool:
    return kind(field) == "BYTES" or any(_holds_bytes(child) for child in field.get("fields", []))
