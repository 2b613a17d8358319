"""What kind a statement is, which table it changes, and the query inside it."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from tunestack.emulator.bigquery.definitions import schema_body, table_body, view_body
from tunestack.emulator.bigquery.merging import merged, updated_from
from tunestack.emulator.bigquery.model import CHANGED, Reference
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.translation import parsed
from tunestack.emulator.errors import ApiError

Json = dict[str, Any]


def kind_of(tree: exp.Expr, project: str, dataset: str | None) -> tuple[str, Reference | None, str]:
    """BigQuery's ``statementType``, the table that the statement changes, and how (a write disposition).

    Played: SELECT, CREATE and DROP of tables, views and datasets, INSERT, UPDATE, DELETE, MERGE, TRUNCATE. Raises 501
    for the rest.
    """
    if isinstance(tree, exp.Query):
        return "SELECT", None, ""
    if isinstance(tree, exp.Create) and tree.kind == "TABLE" and isinstance(tree.expression, exp.Query):
        disposition = "WRITE_TRUNCATE" if tree.args.get("replace") else "CREATE"
        if tree.args.get("exists"):
            disposition = "CREATE_IF_NOT_EXISTS"
        return "CREATE_TABLE_AS_SELECT", _target(tree.this, project, dataset), disposition
    if isinstance(tree, exp.Create) and tree.kind in ("TABLE", "VIEW", "SCHEMA"):
        of_dataset = tree.kind == "SCHEMA"
        target = _schema(tree.this, project) if of_dataset else _target(tree.this, project, dataset)
        disposition = "WRITE_TRUNCATE" if tree.args.get("replace") else "CREATE"
        if tree.args.get("exists"):
            disposition = "CREATE_IF_NOT_EXISTS"
        return f"CREATE_{tree.kind}", target, disposition
    if isinstance(tree, exp.Drop) and tree.args.get("kind") == "SCHEMA":
        dropped = (tree.args.get("tables") or [tree.this])[0]
        disposition = ("IF_EXISTS" if tree.args.get("exists") else "") + (
            " CASCADE" if tree.args.get("cascade") else ""
        )
        return "DROP_SCHEMA", _schema(dropped, project), disposition
    if isinstance(tree, exp.TruncateTable):
        return "TRUNCATE_TABLE", _target(tree.expressions[0], project, dataset), ""
    if isinstance(tree, exp.Drop) and tree.args.get("kind") in ("TABLE", "VIEW"):
        dropped = (tree.args.get("tables") or [tree.this])[0]
        return (
            f"DROP_{tree.args['kind']}",
            _target(dropped, project, dataset),
            "IF_EXISTS" if tree.args.get("exists") else "",
        )
    if isinstance(tree, exp.Update | exp.Delete | exp.Merge):
        return tree.key.upper(), _target(tree.this, project, dataset), ""
    if isinstance(tree, exp.Insert) and isinstance(tree.expression, exp.Query | exp.Values):
        return "INSERT", _target(tree.this, project, dataset), "WRITE_APPEND"
    words = tree.key.upper() + (f" {tree.args['kind']}" if tree.args.get("kind") else "")
    raise ApiError("UNIMPLEMENTED", f"{words} statements are not implemented by the tunestack emulator")


def inserted_columns(tree: exp.Expr) -> list[str]:
    """The columns that an INSERT names; none where it goes by the table's own."""
    named = isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Schema)
    return [column.name for column in tree.this.expressions] if named else []


def selected(tree: exp.Expr) -> exp.Expr | None:
    """The query whose rows the statement answers with or writes."""
    if isinstance(tree, exp.Query):
        return tree
    if not isinstance(tree, exp.Create | exp.Insert) or getattr(tree, "kind", None) == "VIEW":
        return None
    if not tree.expression:
        return None
    query: exp.Expr = tree.expression
    query.pop()
    if isinstance(query, exp.Values):
        rows = [exp.select(*row.expressions) for row in query.expressions]
        query = rows[0] if len(rows) == 1 else exp.union(*rows, distinct=False)
    return query


def rewritten(tree: exp.Expr, columns: list[str]) -> exp.Expr:
    """What a table's rows are after an UPDATE, DELETE or MERGE, as a query.

    An UPDATE's ends in the column `CHANGED`, a MERGE's in `CHANGED` and `INSERTED`.
    """
    if isinstance(tree, exp.Merge):
        return parsed(merged(tree, columns))
    where = tree.args.get("where")
    if where is None:
        raise refused(f"{tree.key.upper()} must have a WHERE clause at [1:1]")
    if isinstance(tree, exp.Update) and (tree.args.get("from_") or tree.args.get("from")):
        return parsed(updated_from(tree, columns))
    # A condition that is NULL does not hold.
    holds = exp.func("COALESCE", exp.paren(where.this.copy()), exp.false())
    kept = [exp.column(name, quoted=True) for name in columns]
    if isinstance(tree, exp.Delete):
        return exp.select(*kept).from_(tree.this.copy()).where(exp.not_(holds))
    values = {}
    for assignment in tree.expressions:
        name = assignment.this.name.lower()
        if not isinstance(assignment, exp.EQ) or name not in {column.lower() for column in columns}:
            raise refused(f"Column {assignment.this.name} is not present in the table")
        values[name] = assignment.expression
    chosen: list[exp.Expr] = [
        exp.alias_(
            exp.If(this=holds.copy(), true=values[name.lower()].copy(), false=column), name, quoted=True
        )
        if name.lower() in values
        else column
        for name, column in zip(columns, kept, strict=True)
    ]
    return exp.select(*chosen, exp.alias_(holds, CHANGED)).from_(tree.this.copy())


def body_of(tree: exp.Expr, kind: str) -> Json:
    """What a CREATE says of what it makes, as the API's resource has it; empty for other statements."""
    if not isinstance(tree, exp.Create):
        return {}
    bodies = {"CREATE_VIEW": view_body, "CREATE_SCHEMA": schema_body}
    return bodies.get(kind, table_body)(tree)


def _schema(node: exp.Expr, project: str) -> Reference:
    """A dataset, as a reference without a table."""
    parts = [part.name for part in node.parts if part.name] if isinstance(node, exp.Table) else []
    if not parts:
        raise refused("Invalid dataset name", "invalid")
    return Reference(parts[0] if len(parts) > 1 else project, parts[-1], "")


def _target(node: exp.Expr, project: str, dataset: str | None) -> Reference:
    table = node.this if isinstance(node, exp.Schema) else node
    parts = [part.name for part in table.parts] if isinstance(table, exp.Table) else []
    if not parts or (len(parts) == 1 and dataset is None):
        raise refused(
            f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).', "invalid"
        )
    return Reference(*[project, dataset or ""][: 3 - len(parts)], *parts)
