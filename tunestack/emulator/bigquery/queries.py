"""A query from its text to what the engine runs: tables looked up, views put in, wildcards spread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunestack.emulator.bigquery import information_schema
from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.fields import quoted
from tunestack.emulator.bigquery.model import Reference, Source, Translated
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.tables import (
    by_arrival,
    columns,
    get_dataset,
    get_table,
    shown,
    table_name,
    tables_of,
)
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

if TYPE_CHECKING:
    from sqlglot import exp

Json = dict[str, Any]

_SUFFIX = {"name": "_TABLE_SUFFIX", "type": "STRING", "mode": "NULLABLE"}
_PARTITION_DATE = {"name": "_PARTITIONDATE", "type": "DATE", "mode": "NULLABLE"}
_DEPTH = 16  # views in views, as BigQuery allows


@dataclass
class Prepared:
    """A statement that is ready to run over a snapshot of its tables. ``bytes`` is what it would be billed for."""

    kind: str
    translated: Translated
    views: dict[str, str] = field(default_factory=dict)
    referenced: list[Reference] = field(default_factory=list)
    bytes: int = 0
    target: Reference | None = None
    """The table that a data definition or manipulation statement changes."""
    replace: str = ""
    """Its write disposition, where the statement decides it."""
    body: Json = field(default_factory=dict)
    """What a CREATE says of its table, view or dataset, as the API's resource has it."""
    columns: list[str] = field(default_factory=list)
    """The columns that an INSERT names."""


def prepare(
    state: State, project: str, query: str, parameters: list[Json] | None = None, dataset: str | None = None
) -> Prepared:
    """Raises 400 invalidQuery, 404 for tables that are not there, 501 for statements that are not played."""
    check_installed()
    from tunestack.emulator.bigquery.statements import (
        body_of,
        inserted_columns,
        kind_of,
        rewritten,
        selected,
    )
    from tunestack.emulator.bigquery.translation import parsed

    tree = parsed(query)
    kind, target, disposition = kind_of(tree, project, dataset)
    prepared = Prepared(kind, Translated("", [], []), target=target, replace=disposition)
    prepared.columns = inserted_columns(tree)
    prepared.body = body_of(tree, kind)
    select = selected(tree)
    if kind in ("UPDATE", "DELETE", "MERGE") and target is not None:
        names = [column["name"] for column in columns(get_table(state, target))]
        select = rewritten(tree, names)
    if select is not None:
        resolution = _Resolution(state, prepared)
        prepared.translated = resolution.translate(project, query, select, parameters or [], dataset)
        prepared.bytes = resolution.bytes()
    return prepared


def view_schema(state: State, project: str, view: Json) -> list[Json]:
    """The columns of a view. Raises 400 where its query is refused."""
    from tunestack.emulator.bigquery.execution import query_fields

    if view.get("useLegacySql", True):
        raise ApiError(
            "UNIMPLEMENTED", "the tunestack emulator speaks GoogleSQL alone: set useLegacySql to false"
        )
    prepared = prepare(state, project, view.get("query", ""))
    return query_fields(state.warehouse, prepared.views, prepared.translated)


class _Resolution:
    """Looks tables up, each once, and keeps what the engine needs of them in ``prepared``."""

    def __init__(self, state: State, prepared: Prepared) -> None:
        self._state = state
        self._prepared = prepared
        self._names: dict[Reference, str] = {}
        self._sources: dict[Reference, Source] = {}
        self._sizes: dict[Reference, dict[str, int]] = {}
        self._read: dict[Reference, set[str]] = {}
        self._depth = 0

    def translate(
        self, project: str, query: str, tree: exp.Expr, parameters: list[Json], dataset: str | None
    ) -> Translated:
        from tunestack.emulator.bigquery.translation import references, translate

        named = references(tree, project, dataset)
        for reference in named.values():
            if reference not in self._names:
                self._look_up(reference)
        found = set(named.values())
        translated = translate(
            query,
            tree,
            named,
            {reference: self._sources[reference] for reference in found},
            {reference: self._names[reference] for reference in found},
            parameters,
            self._state.clock(),
        )
        for reference, names in translated.read.items():
            self._read.setdefault(reference, set()).update(names)
        return translated

    def bytes(self) -> int:
        return sum(
            size
            for reference, sizes in self._sizes.items()
            for name, size in sizes.items()
            if name.lower() in self._read.get(reference, set())
        )

    def _look_up(self, reference: Reference) -> None:
        name = f"t{len(self._names)}"
        self._names[reference] = name
        if information_schema.is_view(reference):
            fields, self._prepared.views[name] = information_schema.view(self._state, reference)
            self._sources[reference] = Source(fields)
            return
        if reference.table.endswith("*"):
            query = self._wildcard(reference)
        else:
            row = get_table(self._state, reference)
            query = self._view(reference, row) if row["type"] == "VIEW" else self._table(reference, row)
        self._prepared.referenced.append(reference)
        self._prepared.views[name] = query

    def _table(self, reference: Reference, row: Json) -> str:
        segments = self._state.warehouse.segments(table_name(reference))
        fields = columns(row)
        if not fields:
            raise refused(f"Table {shown(reference)} does not have a schema.", "invalid")
        needed = None
        if row.get("requirePartitionFilter") or row.get("timePartitioning", {}).get("requirePartitionFilter"):
            needed = row.get("timePartitioning", {}).get("field") or (
                "_PARTITIONTIME" if by_arrival(row) else row.get("rangePartitioning", {}).get("field")
            )
        self._sizes[reference] = {
            column["name"]: sum(segment.sizes.get(column["name"], 0) for segment in segments)
            for column in row["schema"]["fields"]
        }
        query = self._state.warehouse.source(fields, segments)
        if by_arrival(row):
            fields = [*fields, _PARTITION_DATE]
            query = f'SELECT *, CAST("_PARTITIONTIME" AS DATE) AS "_PARTITIONDATE" FROM ({query})'  # noqa: S608
        self._sources[reference] = Source(fields, needed)
        return query

    def _wildcard(self, reference: Reference) -> str:
        """All tables with a prefix, with the columns of the newest."""
        prefix = reference.table[:-1]
        get_dataset(self._state, reference.project, reference.dataset)
        rows = [
            row
            for row in tables_of(self._state, reference.project, reference.dataset)
            if row["type"] == "TABLE" and row["tableReference"]["tableId"].startswith(prefix)
        ]
        if not rows:
            raise ApiError("NOT_FOUND", f"{shown(reference)} does not match any table.")
        newest = columns(
            max(rows, key=lambda row: (int(row["creationTime"]), row["tableReference"]["tableId"]))
        )
        parts = []
        sizes: dict[str, int] = {}
        for row in rows:
            table = row["tableReference"]["tableId"]
            segments = self._state.warehouse.segments(
                table_name(Reference(reference.project, reference.dataset, table))
            )
            for segment in segments:
                for column, size in segment.sizes.items():
                    sizes[column] = sizes.get(column, 0) + size
            suffix = table.removeprefix(prefix).replace("'", "''")
            source = self._state.warehouse.source(newest, segments)
            parts.append(f"SELECT *, '{suffix}' AS \"_TABLE_SUFFIX\" FROM ({source})")  # noqa: S608
        self._sizes[reference] = sizes
        self._sources[reference] = Source([*newest, _SUFFIX])
        return " UNION ALL ".join(parts)

    def _view(self, reference: Reference, row: Json) -> str:
        from tunestack.emulator.bigquery.translation import parsed

        if self._depth == _DEPTH:
            raise refused(f"Views are nested more than {_DEPTH} deep at {shown(reference)}", "invalid")
        self._depth += 1
        translated = self.translate(
            reference.project, row["view"]["query"], parsed(row["view"]["query"]), [], reference.dataset
        )
        self._depth -= 1
        fields = row["schema"]["fields"]
        self._sources[reference] = Source(fields)
        names = ", ".join(quoted(column["name"]) for column in fields)
        return f"SELECT {names} FROM ({translated.sql})"  # noqa: S608 - names are quoted
