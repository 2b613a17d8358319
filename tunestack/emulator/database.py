"""The emulator's state: one SQLite file, one writer.

Every change is one ``BEGIN IMMEDIATE`` … ``COMMIT`` with ``synchronous=FULL`` in WAL mode: what was
acknowledged is on disk. All access is from the event loop's thread and no transaction spans an ``await``, so
changes are serial without locks. The request log goes through a second connection that does not wait for the
disk: it is a record for people, not state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tunestack.spec.errors import Problem, TunestackError

Json = dict[str, Any]

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (
    name TEXT PRIMARY KEY,          -- projects/<number>/locations/…
    collection TEXT NOT NULL,       -- endpoints, models, operations, …
    parent TEXT NOT NULL,
    sequence INTEGER NOT NULL,      -- order of creation
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX resource_of_parent ON resource (collection, parent, sequence);
CREATE TABLE policy (resource TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE object (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    live INTEGER NOT NULL,
    digest TEXT NOT NULL,           -- of the content, in objects/
    body BLOB NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX live_object ON object (bucket, name) WHERE live;
CREATE INDEX object_of_digest ON object (digest);
CREATE TABLE upload (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE job (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE request (
    sequence INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
_SUBMISSIONS = """
CREATE TABLE submission (
    sequence INTEGER PRIMARY KEY,   -- every job that was ever accepted
    time TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    labels BLOB NOT NULL
);
"""
# A model's row was its only version; labels stay with the model, which all versions share.
_MODEL_VERSIONS = """
INSERT INTO resource
    SELECT name || '@1', 'modelVersions', name, sequence,
        CAST(json_set(json_remove(CAST(body AS TEXT), '$.labels'), '$.name', name || '@1') AS BLOB)
    FROM resource WHERE collection = 'models';
"""
# What joins two resources (lineage events, membership of contexts), and data points of time series.
_EDGES_AND_POINTS = """
CREATE TABLE edge (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,             -- event, membership, child
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, source, target)
);
CREATE INDEX edge_to ON edge (kind, target);
CREATE TABLE point (
    series TEXT NOT NULL,
    step INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (series, step)
) WITHOUT ROWID;
"""
_BIGQUERY = """
CREATE TABLE bigquery_segment (
    table_name TEXT NOT NULL,
    sequence INTEGER NOT NULL,      -- order of the rows
    digest TEXT NOT NULL,           -- of the Parquet file, in bigquery/
    row_count INTEGER NOT NULL,
    sizes BLOB NOT NULL,            -- logical bytes by column
    PRIMARY KEY (table_name, sequence)
) WITHOUT ROWID;
CREATE INDEX segment_of_digest ON bigquery_segment (digest);
"""
# Messages, log lines and points of metrics: many and small, found by time.
_RECORDS = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    time TEXT NOT NULL,             -- of publication
    body BLOB NOT NULL
);
CREATE INDEX message_by_time ON message (time);
CREATE TABLE delivery (
    subscription TEXT NOT NULL,
    message INTEGER NOT NULL,
    due TEXT NOT NULL,              -- from when on it may be handed out
    attempts INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    PRIMARY KEY (subscription, message)
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (subscription, acknowledged, due);
CREATE TABLE log_entry (
    log TEXT NOT NULL,              -- projects/<number>/logs/<id>
    time TEXT NOT NULL,
    insert_id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (log, time, insert_id)
) WITHOUT ROWID;
CREATE TABLE metric_point (
    series TEXT NOT NULL,
    end_time TEXT NOT NULL,
    start_time TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (series, end_time)
) WITHOUT ROWID;
"""
_SOFT_DELETED = """
CREATE TABLE soft_deleted_object (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    hard_delete TEXT NOT NULL,      -- when it goes for good
    digest TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE INDEX soft_deleted_object_of_digest ON soft_deleted_object (digest);
"""
# An entry lies in every log bucket that a sink sent it to; what sinks send elsewhere waits until it is due.
_LOG_BUCKETS = """
CREATE TABLE stored_entry (
    bucket TEXT NOT NULL,           -- projects/<number>/locations/<location>/buckets/<id>
    log TEXT NOT NULL,              -- projects/<number>/logs/<id>
    time TEXT NOT NULL,
    insert_id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (bucket, log, time, insert_id)
) WITHOUT ROWID;
INSERT INTO stored_entry
    SELECT substr(log, 1, instr(log, '/logs/') - 1) || '/locations/global/buckets/_Default',
        log, time, insert_id, body
    FROM log_entry;
DROP TABLE log_entry;
CREATE TABLE exported_entry (
    sequence INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    due TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX exported_entry_due ON exported_entry (sink, due);
"""
VERSIONS = (
    *(_FIRST, _SUBMISSIONS, _MODEL_VERSIONS, _EDGES_AND_POINTS, _BIGQUERY, _RECORDS, _SOFT_DELETED),
    _LOG_BUCKETS,
)
"""What each version added to the one before: a new file runs through all, an older one through the rest."""
SCHEMA_VERSION = len(VERSIONS)
_REQUESTS_KEPT = 50_000


class Database:
    """An open state file. Raises `TunestackError` when it was written by a newer version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _connect(path, "FULL")
        self._depth = 0
        self._after_commit: list[Callable[[], None]] = []
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            self._connection.close()
            raise newer_database(path, version)
        if version < SCHEMA_VERSION:
            with self.transaction():
                for tables in VERSIONS[version:]:
                    for statement in tables.split(";\n"):
                        if statement.strip():
                            self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._log = _connect(path, "OFF")

    def close(self) -> None:
        self._log.close()
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Inside another transaction it is a part of that one."""
        if self._depth:
            yield
            return
        self._depth = 1
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._after_commit.clear()
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0
        effects, self._after_commit = self._after_commit, []
        for effect in effects:
            effect()

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Do ``effect`` once the surrounding change is on disk (at once when there is none)."""
        if self._depth:
            self._after_commit.append(effect)
        else:
            effect()

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of one statement. Outside a transaction a change commits by itself."""
        return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def next_number(self, key: str, least: int = 0) -> int:
        """A number larger than all that were given under ``key``, and at least ``least``."""
        with self.transaction():
            row = self.one("SELECT value FROM meta WHERE key = ?", key)
            number = max(int(row[0]) + 1 if row else 1, least)
            self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, str(number))
        return number

    def submissions(self, since: int) -> list[Json]:
        """Every job accepted after the ``since``-th, whether or not it is still there."""
        rows = self.execute("SELECT * FROM submission WHERE sequence > ? ORDER BY sequence", since)
        keys = ("sequence", "time", "name", "displayName", "labels")
        return [{**dict(zip(keys, row, strict=True)), "labels": orjson.loads(row[-1])} for row in rows]

    def log_request(self, time: str, entry: Json) -> int:
        """Append to the request log; its sequence number."""
        cursor = self._log.execute(
            "INSERT INTO request (time, body) VALUES (?, ?)", (time, orjson.dumps(entry))
        )
        sequence = int(cursor.lastrowid or 0)
        if sequence % 1000 == 0:
            self._log.execute("DELETE FROM request WHERE sequence <= ?", (sequence - _REQUESTS_KEPT,))
        return sequence

    def requests(self, since: int, limit: int) -> list[Json]:
        """Entries after ``since``, oldest first."""
        rows = self._log.execute(
            "SELECT sequence, time, body FROM request WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (since, limit),
        )
        return [{"sequence": sequence, "time": time, **orjson.loads(body)} for sequence, time, body in rows]


def newer_database(path: Path, version: int) -> TunestackError:
    return TunestackError(
        Problem(
            code="emulator-database-newer",
            message="the emulator's data was written by a newer version of tunestack",
            where=str(path),
            have=f"schema version {version}",
            need=f"schema version {SCHEMA_VERSION} or older",
            fix="update tunestack, or start with another --data folder",
        )
    )


def schema_version(path: Path) -> int:
    """The schema version of a state file, without changing it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection
