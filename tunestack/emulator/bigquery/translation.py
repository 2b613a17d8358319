"""GoogleSQL into duckdb's SQL, with the names and types checked on the way. Pure.

sqlglot parses, qualifies, types and transpiles. Ours is what it leaves open: BigQuery's words for errors, names
of unnamed columns, parameters, the clock, division by zero, and that a number with a point is a FLOAT64.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from sqlglot import exp, parse
from sqlglot.errors import OptimizeError, ParseError, SqlglotError, TokenError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from tunestack.emulator.bigquery.exactness import make_exact
from tunestack.emulator.bigquery.fields import sql_type
from tunestack.emulator.bigquery.model import Reference, Source, Translated
from tunestack.emulator.bigquery.parameters import bind
from tunestack.emulator.bigquery.refusal import place, refused
from tunestack.emulator.errors import ApiError

Json = dict[str, Any]

# It warns, on the process's own log, of differences between dialects that `_make_exact` mends.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_KINDS: dict[str, str] = {
    **dict.fromkeys(("BIGINT", "INT", "SMALLINT", "TINYINT"), "INTEGER"),
    **dict.fromkeys(("DOUBLE", "FLOAT"), "FLOAT"),
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR"), "STRING"),
    **dict.fromkeys(("VARBINARY", "BINARY"), "BYTES"),
    **dict.fromkeys(("TIMESTAMPTZ", "TIMESTAMPLTZ"), "TIMESTAMP"),
    **dict.fromkeys(("DATETIME", "TIMESTAMP", "TIMESTAMPNTZ"), "DATETIME"),
    "BOOLEAN": "BOOLEAN",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
}
_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
_TIMES = {"DATE", "DATETIME", "TIMESTAMP", "TIME"}
_NUMBERS = {"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"}
# Functions of BigQuery that sqlglot passes through and duckdb has under the same name and meaning.
_SAME = {"ACOSH", "ASINH", "ATANH", "CBRT", "ERROR", "IEEE_DIVIDE", "TO_JSON", "STARTS_WITH", "PI"}


def parsed(query: str) -> exp.Expr:
    """One statement. Raises 400 invalidQuery with the line and column of a mistake."""
    try:
        statements = [statement for statement in parse(query, dialect="bigquery") if statement is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        found = str(first.get("highlight", ""))
        line, end = first.get("line"), first.get("col") or 0
        at = f" at [{line}:{max(1, end - len(found) + 1)}]" if line else ""
        words = re.sub(r"<Token [^>]*text: ([^,>]*)[^>]*>", r'"\1"', str(first.get("description", error)))
        raise refused(f"Syntax error: {words.rstrip('.')}{at}") from None
    except TokenError as error:
        raise refused(f"Syntax error: {error}") from None
    if not statements:
        raise refused("Syntax error: Unexpected end of statement at [1:1]")
    if len(statements) > 1:
        raise ApiError(
            "UNIMPLEMENTED", "scripts of several statements are not implemented by the tunestack emulator"
        )
    for command in statements[0].find_all(exp.Command):
        name = str(command.this).upper()
        raise ApiError("UNIMPLEMENTED", f"{name} statements are not implemented by the tunestack emulator")
    return statements[0]


def references(tree: exp.Expr, project: str, dataset: str | None) -> dict[exp.Table, Reference]:
    """The tables that a statement names, apart from its own common table expressions.

    A path into another source (``FROM t, t.labels``) becomes the UNNEST that it stands for.
    """
    sources = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    aliases = {table.alias_or_name.lower() for table in tree.find_all(exp.Table)} | {
        unnest.alias.lower() for unnest in tree.find_all(exp.Unnest)
    }
    found: dict[exp.Table, Reference] = {}
    for table in list(tree.find_all(exp.Table)):
        parts = [part.name for part in table.parts]
        if len(parts) == 1 and (parts[0].lower() in sources or not isinstance(table.this, exp.Identifier)):
            continue
        if len(parts) > 1 and parts[0].lower() in aliases and parts[0].lower() != parts[-1].lower():
            column: exp.Expr = exp.column(parts[1], table=parts[0])
            for part in parts[2:]:
                column = exp.Dot(this=column, expression=exp.to_identifier(part))
            name = exp.to_identifier(table.alias or parts[-1])
            table.replace(exp.Unnest(expressions=[column], alias=exp.TableAlias(columns=[name])))
            continue
        if len(parts) == 1 and dataset is None and not parts[0].upper().startswith("INFORMATION_SCHEMA."):
            raise refused(
                f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).', "invalid"
            )
        own = [project, dataset or ""][: 3 - len(parts)]
        if len(parts) > 3:
            raise ApiError("UNIMPLEMENTED", f"{'.'.join(parts)} is not implemented by the tunestack emulator")
        found[table] = Reference(*own, *parts)
    return found


def translate(
    query: str,
    tree: exp.Expr,
    named: Mapping[exp.Table, Reference],
    sources: Mapping[Reference, Source],
    views: Mapping[Reference, str],
    parameters: list[Json],
    now: datetime,
) -> Translated:
    """The engine's query for ``tree`` (from `parsed`), whose tables are ``named``.

    ``views`` are the names under which the engine finds each source. Raises 400 invalidQuery.
    """
    bind(query, tree, parameters)
    _name_columns(tree)
    _check_functions(query, tree)
    for table, reference in named.items():
        alias = table.alias or reference.table.rpartition(".")[2].rstrip("*_") or "t"
        table.replace(
            exp.Table(
                this=exp.to_identifier(views[reference], quoted=True),
                alias=exp.TableAlias(this=exp.to_identifier(alias)),
            )
        )
    spelled = _spelled(tree, sources)
    schema = MappingSchema(dialect="bigquery")
    for reference, source in sources.items():
        columns = {column["name"]: sql_type(column) for column in source.fields}
        schema.add_table(exp.to_table(views[reference]), columns, dialect="bigquery")
    _check_filters(tree, named, sources)
    try:
        tree = qualify(tree, schema=schema, dialect="bigquery", quote_identifiers=True)
        tree = annotate_types(tree, schema=schema, dialect="bigquery")
    except OptimizeError as error:
        _unresolved(query, error)
    except SqlglotError as error:
        raise refused(str(error)) from None
    _spell(tree, spelled)
    _check_comparisons(query, tree)
    selects = tree.selects if isinstance(tree, exp.Query) else []
    read = _columns_read(tree, {view: reference for reference, view in views.items()})
    fields = [field_of(select.type) if select.type else None for select in selects]
    names = [select.alias_or_name for select in selects]
    tree = exp.Paren(this=tree)  # so that the outermost node, too, can be replaced
    make_exact(tree, now)
    tree = tree.this
    return Translated(tree.sql(dialect="duckdb"), names, fields, read)


def field_of(data_type: exp.DataType) -> Json | None:
    """A result's field for sqlglot's type; None where sqlglot does not know."""
    name = data_type.this.name if isinstance(data_type.this, exp.DType) else ""
    if name == "ARRAY":
        inner = field_of(data_type.expressions[0]) if data_type.expressions else None
        return {**inner, "mode": "REPEATED"} if inner and inner["mode"] == "NULLABLE" else None
    if name == "STRUCT":
        fields = []
        for child in data_type.expressions:
            inner = field_of(child.kind) if isinstance(child, exp.ColumnDef) and child.kind else None
            if inner is None:
                return None
            fields.append({"name": child.name, **inner})
        return {"type": "RECORD", "mode": "NULLABLE", "fields": fields}
    kind = _KINDS.get(name)
    return {"type": kind, "mode": "NULLABLE"} if kind else None


def position(query: str, node: exp.Expr) -> str:
    """``" at [line:column]"`` of a node, as far as its tokens were kept."""
    for part in [node, *node.find_all(exp.Identifier), *node.find_all(exp.Column)]:
        if "start" in part.meta:
            return place(query, int(part.meta["start"]))
    return ""


def _unresolved(query: str, error: OptimizeError) -> NoReturn:
    text = str(error)
    found = re.search(r"Column '([^']*)' could not be resolved(?: for table: '([^']*)')?", text)
    if found:
        at = re.search(r"Line: (\d+), Col: (\d+)", text)
        name = found.group(1)
        column = max(1, int(at.group(2)) - len(name) + 1) if at else 1
        words = (
            f"Name {name} not found inside {found.group(2)}"
            if found.group(2)
            else f"Unrecognized name: {name}"
        )
        raise refused(f"{words} at [{at.group(1) if at else 1}:{column}]") from None
    ambiguous = re.search(r"Column '?\"?`?(\w+).* is ambiguous|Column '(\w+)' was found in", text)
    if ambiguous:
        raise refused(f"Column name {ambiguous.group(1) or ambiguous.group(2)} is ambiguous") from None
    raise refused(text) from None


def _name_columns(tree: exp.Expr) -> None:
    """Unnamed columns of the outermost query are ``f0_``, ``f1_``, …"""
    if not isinstance(tree, exp.Query):
        return
    inner: exp.Expr = tree
    while isinstance(inner, exp.SetOperation):
        inner = inner.left
    if not isinstance(inner, exp.Select):
        return
    number = 0
    for select in list(inner.expressions):
        if isinstance(select, exp.Alias | exp.Column | exp.Dot) or select.is_star:
            continue
        select.replace(exp.alias_(select.copy(), f"f{number}_"))
        number += 1


def _spelled(tree: exp.Expr, sources: Mapping[Reference, Source]) -> dict[str, str]:
    """How names are written, in the tables and then in the query: sqlglot makes all of them lower case."""
    spelled = {
        column["name"].lower(): column["name"] for source in sources.values() for column in source.fields
    }
    return spelled | {found.name.lower(): found.name for found in tree.find_all(exp.Identifier)}


def _spell(tree: exp.Expr, spelled: Mapping[str, str]) -> None:
    """The columns of the outermost query get their names as they are written."""
    while isinstance(tree, exp.SetOperation):
        tree = tree.left
    for select in tree.selects if isinstance(tree, exp.Select) else []:
        if isinstance(select, exp.Alias):
            name = spelled.get(select.alias.lower(), select.alias)
            select.set("alias", exp.to_identifier(name, quoted=True))


def _check_functions(query: str, tree: exp.Expr) -> None:
    for function in tree.find_all(exp.Anonymous):
        name = str(function.this)
        if name.upper() not in _SAME:
            found = re.search(rf"\b{re.escape(name)}\s*\(", query, re.IGNORECASE)
            at = place(query, found.start()) if found else ""
            raise refused(f"Function not found: {name}{at}")


def _check_filters(
    tree: exp.Expr, named: Mapping[exp.Table, Reference], sources: Mapping[Reference, Source]
) -> None:
    filtered = {
        column.name.lower() for where in tree.find_all(exp.Where) for column in where.find_all(exp.Column)
    }
    for reference in set(named.values()):
        needed = sources[reference].partition_filter
        names = {needed.lower(), "_partitiondate"} if needed == "_PARTITIONTIME" else {(needed or "").lower()}
        if needed and not names & filtered:
            raise refused(
                f"Cannot query over table '{reference.project}.{reference.dataset}.{reference.table}' without a filter "
                f"over column(s) '{needed}' that can be used for partition elimination"
            )


def _check_comparisons(query: str, tree: exp.Expr) -> None:
    """BigQuery compares and mixes no text with numbers, and no dates with timestamps; literals alone are coerced."""
    signs: dict[type[exp.Expr], str] = {
        exp.EQ: "=",
        exp.NEQ: "!=",
        exp.GT: ">",
        exp.GTE: ">=",
        exp.LT: "<",
        exp.LTE: "<=",
    }
    for node in tree.find_all(*signs):
        types = _unlike(node.this, node.expression)
        if types:
            raise refused(
                f"No matching signature for operator {signs[type(node)]} for argument types: {types}"
                f"{position(query, node)}"
            )
    for choice in tree.find_all(exp.If):
        otherwise = choice.args.get("false")
        types = _unlike(choice.args["true"], otherwise) if otherwise is not None else None
        if types:
            raise refused(f"No matching signature for function IF for argument types: BOOL, {types}")


def _unlike(first: exp.Expr, second: exp.Expr) -> str | None:
    """The types of two values, where BigQuery makes neither the other's."""
    sides = [first, second]
    kinds = [(field_of(side.type) or {}).get("type") if side.type else None for side in sides]
    if None in kinds or kinds[0] == kinds[1] or set(kinds) <= _NUMBERS:
        return None
    texts = [isinstance(side, exp.Literal) and side.is_string for side in sides]
    if any(is_text and kinds[1 - i] in _TIMES for i, is_text in enumerate(texts)):
        return None
    if any(isinstance(side, exp.Null) for side in sides):
        return None
    return ", ".join(_SQL_NAMES.get(str(kind), str(kind)) for kind in kinds)


def _columns_read(tree: exp.Expr, views: Mapping[str, Reference]) -> dict[Reference, set[str]]:
    """Top-level columns by source. A name stands for every source that has it: more is counted, never less."""
    names = {column.name.lower() for column in tree.find_all(exp.Column)}
    names |= {column.parts[0].name.lower() for column in tree.find_all(exp.Column)}
    used = {table.name for table in tree.find_all(exp.Table)}
    return {reference: names for view, reference in views.items() if view in used}
