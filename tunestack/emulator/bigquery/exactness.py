"""Where duckdb would answer otherwise than BigQuery: rewritten in the tree, after types are known.

cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules, …/date_functions, …/timestamp_functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sqlglot import exp

from tunestack.emulator.errors import ApiError

_DIGITS = {"DECIMAL": "DECIMAL(38, 9)", "BIGDECIMAL": "DECIMAL(38, 18)"}
_CLOCK = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime)


def make_exact(tree: exp.Expr, now: datetime) -> None:
    """Rewrite ``tree`` in place, the innermost nodes first. ``tree`` itself stays."""
    for unnest in list(tree.find_all(exp.Unnest)):
        _count_offsets_from_zero(tree, unnest)
    changes: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr | None]] = {
        exp.Literal: _literal,
        exp.Div: _division,
        exp.DataType: _data_type,
        exp.Extract: _extract,
        exp.TimestampDiff: _timestamp_difference,
        exp.Cast: _cast,
        exp.Format: _format,
        **dict.fromkeys(_CLOCK, lambda node: _clock(node, now.astimezone(UTC))),
    }
    for node in reversed(list(tree.find_all(*changes))):
        changed = changes[type(node)](node) if type(node) in changes else None
        if changed is not None and node.parent is not None:
            node.replace(changed)


def _literal(node: exp.Expr) -> exp.Expr | None:
    """1.5 is a FLOAT64; duckdb reads a decimal."""
    number = not node.is_string and re.search(r"[.eE]", str(node.this))
    return exp.cast(node.copy(), "DOUBLE") if number else None


def _division(node: exp.Expr) -> exp.Expr | None:
    """Division by zero is an error; duckdb answers infinity."""
    divisor: exp.Expr = node.expression
    if isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.this) != 0:
        return None
    words = exp.Literal.string(f"division by zero: {node.sql(dialect='bigquery')}")
    zero = exp.EQ(this=divisor.copy(), expression=exp.Literal.number(0))
    failure = exp.Anonymous(this="error", expressions=[words])
    return exp.Case(ifs=[exp.If(this=zero, true=failure)], default=node.copy())


def _data_type(node: exp.Expr) -> exp.Expr | None:
    """NUMERIC has 9 decimals; duckdb's DECIMAL has 3."""
    digits = _DIGITS.get(getattr(node.this, "name", ""))
    return exp.DataType.build(digits, dialect="duckdb") if digits and not node.expressions else None


def _extract(node: exp.Expr) -> exp.Expr | None:
    """Days of the week count from Sunday = 1, weeks begin on Sunday."""
    part = node.this.name.upper()
    value: exp.Expr = node.expression
    if part == "DAYOFWEEK":
        return exp.Paren(this=exp.Add(this=node.copy(), expression=exp.Literal.number(1)))
    if part == "WEEK":
        week = exp.Anonymous(this="strftime", expressions=[value.copy(), exp.Literal.string("%U")])
        return exp.cast(week, "BIGINT")
    if part == "ISOWEEK":
        return exp.Extract(this=exp.var("WEEK"), expression=value.copy())
    if part in ("DATE", "TIME", "DATETIME"):
        return exp.cast(value.copy(), {"DATETIME": "TIMESTAMP"}.get(part, part))
    return None


def _timestamp_difference(node: exp.Expr) -> exp.Expr:
    """Whole intervals; duckdb's date_diff counts the boundaries that were crossed."""
    unit = exp.Literal.string(node.args["unit"].name)
    return exp.Anonymous(this="date_sub", expressions=[unit, node.expression.copy(), node.this.copy()])


def _cast(node: exp.Expr) -> exp.Expr | None:
    """FLOAT64 to INT64 rounds halves away from zero; FLOAT64 to STRING has no trailing ``.0``."""
    value: exp.Expr = node.this
    to = node.args["to"].this
    if not (value.type and value.type.this == exp.DType.DOUBLE):
        return None
    if to == exp.DType.BIGINT:
        return exp.cast(exp.Anonymous(this="round", expressions=[value.copy()]), "BIGINT")
    if to in (exp.DType.TEXT, exp.DType.VARCHAR):
        pattern = [exp.Literal.string(r"\.0$"), exp.Literal.string("")]
        return exp.Anonymous(this="regexp_replace", expressions=[node.copy(), *pattern])
    return None


def _format(node: exp.Expr) -> exp.Expr:
    """C's formats are duckdb's printf; its own ``format`` has another syntax."""
    if re.search(r"%[-+ #0']*[\d.]*[tTpP]|%[^%]*'", str(node.this.this)):
        raise ApiError(
            "UNIMPLEMENTED", "FORMAT with %t, %T, %p or %' is not implemented by the tunestack emulator"
        )
    return exp.Anonymous(this="printf", expressions=[node.this.copy(), *(e.copy() for e in node.expressions)])


def _clock(node: exp.Expr, moment: datetime) -> exp.Expr:
    """The emulator's clock, not the machine's."""
    values: dict[type[exp.Expr], tuple[str, str]] = {
        exp.CurrentTimestamp: (moment.isoformat(), "TIMESTAMPTZ"),
        exp.CurrentDate: (moment.date().isoformat(), "DATE"),
        exp.CurrentDatetime: (moment.replace(tzinfo=None).isoformat(), "TIMESTAMP"),
        exp.CurrentTime: (moment.time().isoformat(), "TIME"),
    }
    value, kind = values[type(node)]
    return exp.cast(exp.Literal.string(value), kind)


def _count_offsets_from_zero(tree: exp.Expr, unnest: exp.Expr) -> None:
    """``WITH OFFSET`` counts from 0, duckdb's ``WITH ORDINALITY`` from 1."""
    offset = unnest.args.get("offset")
    if not isinstance(offset, exp.Identifier):
        return
    for column in list(tree.find_all(exp.Column)):
        if column.name.lower() == offset.name.lower() and column.table in ("", unnest.alias):
            less = exp.Sub(this=column.copy(), expression=exp.Literal.number(1))
            column.replace(exp.Paren(this=less))
