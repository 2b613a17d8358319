"""Query parameters: their values, typed, in the places that a query keeps for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlglot import exp

from tunestack.emulator.bigquery.refusal import place, refused

Json = dict[str, Any]


def bind(query: str, tree: exp.Expr, parameters: list[Json]) -> None:
    """Put the values of query parameters in their places."""
    named = {str(parameter["name"]).lower(): parameter for parameter in parameters if parameter.get("name")}
    positional = [parameter for parameter in parameters if not parameter.get("name")]
    for node in list(tree.find_all(exp.Parameter)):
        name = node.this.name
        if name.lower() not in named:
            found = re.search(rf"@{re.escape(name)}\b", query)
            raise refused(f"Query parameter '{name}' not found{place(query, found.start()) if found else ''}")
        node.replace(_literal(named[name.lower()]))
    places = [node for node in tree.find_all(exp.Placeholder, bfs=False) if node.this is None]
    if len(places) > len(positional):
        raise refused(f"Number of positional parameters: {len(places)} in the query, {len(positional)} given")
    for place_holder, parameter in zip(places, positional, strict=False):
        place_holder.replace(_literal(parameter))


def _literal(parameter: Json) -> exp.Expr:
    return _typed(parameter.get("parameterType", {}), parameter.get("parameterValue", {}))


def _typed(data_type: Json, value: Json) -> exp.Expr:
    name = str(data_type.get("type", "")).upper()
    if name == "ARRAY":
        items = [_typed(data_type["arrayType"], item) for item in value.get("arrayValues", [])]
        return exp.cast(
            exp.Array(expressions=items), exp.DataType.build(parameter_type(data_type), dialect="bigquery")
        )
    if name == "STRUCT":
        values = value.get("structValues", {})
        return exp.Struct(
            expressions=[
                exp.PropertyEQ(
                    this=exp.to_identifier(child["name"]),
                    expression=_typed(child["type"], values.get(child["name"], {})),
                )
                for child in data_type["structTypes"]
            ]
        )
    built = exp.DataType.build(parameter_type(data_type), dialect="bigquery")
    if value.get("value") is None:
        return exp.cast(exp.Null(), built)
    literal = exp.Literal.string(str(value["value"]))
    if name == "BYTES":
        return exp.FromBase64(this=literal)
    return exp.ParseJSON(this=literal) if name == "JSON" else exp.cast(literal, built)


def parameter_type(data_type: Json) -> str:
    name = str(data_type.get("type", "")).upper()
    if name == "ARRAY":
        return f"ARRAY<{parameter_type(data_type['arrayType'])}>"
    if name == "STRUCT":
        inner: Iterable[str] = (
            f"`{child['name']}` {parameter_type(child['type'])}" for child in data_type["structTypes"]
        )
        return f"STRUCT<{', '.join(inner)}>"
    return {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(name, name)
