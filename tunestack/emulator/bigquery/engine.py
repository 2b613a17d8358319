"""duckdb, opened for one piece of work: UTC, two threads, and no file but those of one folder."""

from __future__ import annotations

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


def check_installed() -> None:
    """Raises 501 UNIMPLEMENTED, naming the extra, where duckdb or sqlglot is not there."""
    try:
        import duckdb  # noqa: F401
        import sqlglot  # noqa: F401
    except ImportError:
        raise ApiError("UNIMPLEMENTED", _MISSING) from None


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that keeps nothing. SQL that a user sent reaches ``folder`` and no other file, and no network."""
    import duckdb

    connection = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = {text(str(folder / 'spill'))}")
        connection.execute(f"SET allowed_directories = [{text(str(folder) + '/')}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def text(value: str) -> str:
    """A string literal of duckdb's."""
    return "'" + value.replace("'", "''") + "'"
