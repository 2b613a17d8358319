"""duckdb: UTC, two threads, and no file but those of one folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunestack.emulator.errors import ApiError

if TYPE_CHECKING:
    import duckdb

_MISSING = (
    "the tunestack emulator answers BigQuery only where the extra `bigquery` is installed (duckdb and sqlglot): "
    "pip install 'tunestack[bigquery]'"
)


def installed() -> bool:
    """Whether the extra's packages are there."""
    try:
        import duckdb  # noqa: F401
        import sqlglot  # noqa: F401
    except ImportError:
        return False
    return True


def check_installed() -> None:
    """Raises 501 UNIMPLEMENTED, naming the extra, where duckdb or sqlglot is not there."""
    if not installed():
        raise ApiError("UNIMPLEMENTED", _MISSING)


_databases: dict[Path, duckdb.DuckDBPyConnection] = {}
_opening = threading.Lock()


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own; what it creates is temporary. For any thread.

    All connections share one database in memory, because opening one takes ten times as long as a small query. SQL
    that a user sent reaches ``folder`` and no other file, and no network.
    """
    import duckdb

    with _opening:
        database = _databases.get(folder) or _databases.setdefault(folder, _open(folder))
    connection = database.cursor()
    try:
        yield connection
    except duckdb.FatalException:
        # duckdb answers nothing more from a database in which it met a defect of its own.
        _databases.pop(folder, None)
        raise
    finally:
        connection.close()


def _open(folder: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    database = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute(f"SET temp_directory = {text(str(folder / 'spill'))}")
    database.execute(f"SET allowed_directories = [{text(str(folder) + '/')}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def text(value: str) -> str:
    """A string literal of duckdb's."""
    return "'" + value.replace("'", "''") + "'"
