"""What the parts of a query are to each other. Free of sqlglot and duckdb, which may not be installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

CHANGED = "_changed"
"""A last column of a query that stands for an UPDATE or MERGE: which rows it changes. It is not kept."""
INSERTED = "_inserted"
"""The one after it, of a MERGE: which rows it adds. It is not kept."""


@dataclass(frozen=True)
class Reference:
    """A table as a query names it; ``table`` may end in ``*``."""

    project: str
    dataset: str
    table: str


@dataclass
class Source:
    """What is known of a table that a query reads."""

    fields: list[Json]
    partition_filter: str | None = None
    """The column that must be filtered by, where the table requires it."""


@dataclass
class Translated:
    """A query for the engine. ``fields`` are the result's columns as far as sqlglot knows them; ``read`` the columns
    of each source that the query looks at."""

    sql: str
    names: list[str]
    fields: list[Json | None]
    read: dict[Reference, set[str]] = field(default_factory=dict)
