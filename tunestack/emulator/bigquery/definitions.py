"""What CREATE statements say of a table, view or dataset, as the bodies that the API takes. Pure.

cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.translation import field_of
from tunestack.emulator.errors import ApiError

Json = dict[str, Any]

_DAY = 86_400_000
_TRUNCATIONS = (
    exp.Date,
    exp.TsOrDsToDate,
    exp.TimestampTrunc,
    exp.DateTrunc,
    exp.DatetimeTrunc,
    exp.TsOrDsToTimestamp,
)


def table_body(tree: exp.Create) -> Json:
    """Schema, partitions, clustering and options of a CREATE TABLE. Raises 400, and 501 on what is not kept here."""
    body: Json = {}
    if isinstance(tree.this, exp.Schema):
        body["schema"] = {"fields": [_field(column) for column in tree.this.expressions]}
    for name in ("clone", "shallow"):
        if tree.args.get(name):
            raise _unplayed("CREATE TABLE … CLONE")
    for part in _properties(tree):
        if isinstance(part, exp.PartitionedByProperty):
            body |= _partitioning(part.this)
        elif isinstance(part, exp.ClusterProperty | exp.Cluster):
            body["clustering"] = {"fields": [column.name for column in part.expressions]}
        elif type(part) is exp.Property:
            body = _with_option(body, part)
        else:
            raise _unplayed(f"CREATE TABLE with {part.sql(dialect='bigquery')}")
    return body


def view_body(tree: exp.Create) -> Json:
    """The view of a CREATE VIEW, and its options."""
    if isinstance(tree.this, exp.Schema):
        raise _unplayed("CREATE VIEW with a list of columns")
    body: Json = {"view": {"query": tree.expression.sql(dialect="bigquery"), "useLegacySql": False}}
    for part in _properties(tree):
        if type(part) is not exp.Property:
            raise _unplayed(f"CREATE VIEW with {part.sql(dialect='bigquery')}")
        body = _with_option(body, part)
    return body


def schema_body(tree: exp.Create) -> Json:
    """The options of a CREATE SCHEMA."""
    body: Json = {}
    for part in _properties(tree):
        if isinstance(part, exp.LocationProperty):
            body["location"] = part.this.name
        elif type(part) is exp.Property and part.name.lower() == "default_table_expiration_days":
            body["defaultTableExpirationMs"] = str(int(float(part.args["value"].name) * _DAY))
        elif type(part) is exp.Property:
            body = _with_option(body, part)
        else:
            raise _unplayed(f"CREATE SCHEMA with {part.sql(dialect='bigquery')}")
    return body


def _properties(tree: exp.Create) -> list[exp.Expr]:
    found = tree.args.get("properties")
    return list(found.expressions) if found else []


def _field(column: exp.Expr) -> Json:
    found = (
        field_of(column.args["kind"])
        if isinstance(column, exp.ColumnDef) and column.args.get("kind")
        else None
    )
    if found is None:
        raise _unplayed(f"the column {column.sql(dialect='bigquery')}")
    field: Json = {"name": column.name, **found}
    for constraint in column.args.get("constraints") or []:
        kind = constraint.args["kind"]
        if isinstance(kind, exp.NotNullColumnConstraint):
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.Properties) and [part.name.lower() for part in kind.expressions] == [
            "description"
        ]:
            field["description"] = kind.expressions[0].args["value"].name
        else:
            raise _unplayed(f"the column {column.sql(dialect='bigquery')}")
    return field


def _partitioning(node: exp.Expr) -> Json:
    if isinstance(node, exp.RangeBucket):
        array = node.expression
        edges = {key: array.args[key].sql() for key in ("start", "end")}
        step = array.args["step"].sql() if array.args.get("step") else "1"
        return {"rangePartitioning": {"field": node.this.name, "range": {**edges, "interval": step}}}
    unit = "DAY"
    if isinstance(node, _TRUNCATIONS):
        unit = node.args["unit"].name.upper() if node.args.get("unit") else "DAY"
        node = node.this
    if not isinstance(node, exp.Column | exp.Identifier):
        raise refused(f"PARTITION BY expression must be a column or a truncation of one: {node.sql()}")
    if node.name.upper() in ("_PARTITIONDATE", "_PARTITIONTIME"):
        return {"timePartitioning": {"type": unit}}
    return {"timePartitioning": {"type": unit, "field": node.name}}


def _with_option(body: Json, part: exp.Property) -> Json:
    name, value = part.name.lower(), part.args["value"]
    if name == "description":
        return {**body, "description": value.name}
    if name == "friendly_name":
        return {**body, "friendlyName": value.name}
    if name == "labels":
        return {
            **body,
            "labels": {pair.expressions[0].name: pair.expressions[1].name for pair in value.expressions},
        }
    if name == "require_partition_filter":
        return {**body, "requirePartitionFilter": bool(value.this)}
    if name == "partition_expiration_days" and "timePartitioning" in body:
        kept = {**body["timePartitioning"], "expirationMs": str(int(float(value.name) * _DAY))}
        return {**body, "timePartitioning": kept}
    raise _unplayed(f"the option {name}")


def _unplayed(what: str) -> ApiError:
    return ApiError("UNIMPLEMENTED", f"{what} is not implemented by the tunestack emulator")
