"""BigQuery's types: what goes in comes out exactly, and what does not fit is named. The translation's exactness."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.emulator.bigquery import detection
from tunestack.emulator.bigquery.execution import run_query
from tunestack.emulator.bigquery.fields import Unfit, checked_schema, row_in, row_out
from tunestack.emulator.bigquery.translation import parsed, translate
from tunestack.emulator.bigquery.warehouse import Warehouse
from tunestack.emulator.database import Database
from tunestack.emulator.errors import ApiError

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
SCHEMA = checked_schema(
    [
        {"name": "s", "type": "STRING"},
        {"name": "i", "type": "INT64"},
        {"name": "f", "type": "FLOAT64"},
        {"name": "n", "type": "NUMERIC"},
        {"name": "b", "type": "BOOL"},
        {"name": "y", "type": "BYTES"},
        {"name": "ts", "type": "TIMESTAMP"},
        {"name": "d", "type": "DATE"},
        {"name": "t", "type": "TIME"},
        {"name": "dt", "type": "DATETIME"},
        {"name": "j", "type": "JSON"},
        {"name": "a", "type": "INT64", "mode": "REPEATED"},
        {
            "name": "r",
            "type": "STRUCT",
            "fields": [
                {"name": "x", "type": "BYTES"},
                {
                    "name": "many",
                    "type": "RECORD",
                    "mode": "REPEATED",
                    "fields": [{"name": "k", "type": "STRING"}],
                },
            ],
        },
    ]
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda inner: st.lists(inner, max_size=2)
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warehouse")
    database = Database(folder / "state.db")
    yield Warehouse(folder / "bigquery", database)
    database.close()


def stored(warehouse: Warehouse, rows: list[dict[str, Any]], schema: Any = SCHEMA) -> list[Any]:
    """The rows as cells, after a Parquet file."""
    from tunestack.emulator.bigquery.engine import opened

    segment = warehouse._write_lines(schema, b"\n".join(json.dumps(row).encode() for row in rows))
    with opened(warehouse.folder) as connection:
        found = connection.execute(warehouse.source(schema, [segment])).fetchall()
    return [[cell["v"] for cell in row_out(schema, row, integer_timestamps=True)["f"]] for row in found]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    s=TEXT,
    i=INTEGERS,
    f=st.floats(),
    n=st.decimals(-(10**28), 10**28, places=9),
    b=st.booleans(),
    y=st.binary(max_size=8),
    ts=MOMENTS,
    d=st.dates(),
    t=st.times(),
    j=JSON,
    a=st.lists(INTEGERS, max_size=3),
    keys=st.lists(TEXT, max_size=2),
)
def test_every_value_comes_back_as_it_went_in(warehouse, s, i, f, n, b, y, ts, d, t, j, a, keys):
    encoded = base64.b64encode(y).decode()
    row = {
        "s": s,
        "i": str(i),
        "f": repr(f),
        "n": str(n),
        "b": b,
        "y": encoded,
        "ts": ts.isoformat() + "Z",
        "d": d.isoformat(),
        "t": t.isoformat(),
        "dt": ts.isoformat(),
        "j": j,
        "a": a,
        "r": {"x": encoded, "many": [{"k": key} for key in keys]},
    }
    (cells,) = stored(warehouse, [row_in(SCHEMA, row)])
    microseconds = (ts.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)
    assert cells[:2] == [s, str(i)]
    assert cells[2] == {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(f), repr(f))
    assert Decimal(cells[3]) == n
    assert cells[4:7] == [str(b).lower(), encoded, str(microseconds)]
    assert (date.fromisoformat(cells[7]), time.fromisoformat(cells[8])) == (d, t)
    assert datetime.fromisoformat(cells[9]) == ts
    assert (json.loads(cells[10]) if cells[10] is not None else None) == j
    assert cells[11] == [{"v": str(item)} for item in a]
    assert cells[12]["f"] == [{"v": encoded}, {"v": [{"v": {"f": [{"v": key}]}} for key in keys]}]


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        ({"i": "1.5"}, "i", "Cannot convert value to integer"),
        ({"i": True}, "i", "Cannot convert value to integer"),
        ({"i": 2**63}, "i", "Cannot convert value to integer"),
        ({"n": "1.0000000001"}, "n", "Invalid NUMERIC value"),
        ({"n": "1e29"}, "n", "Invalid NUMERIC value"),
        ({"b": "maybe"}, "b", "Cannot convert value to boolean"),
        ({"y": "!"}, "y", "Could not decode base64"),
        ({"ts": "yesterday"}, "ts", "Invalid timestamp value"),
        ({"d": "2026-02-30"}, "d", "Invalid date value"),
        ({"dt": "2026-01-01T00:00:00Z"}, "dt", "Invalid datetime value"),
        ({"a": 1}, "a", "Repeated field must be imported as a JSON array"),
        ({"a": [None]}, "a", "Only optional fields can be set to NULL"),
        ({"i": [1]}, "i", "Array specified for non-repeated field"),
        ({"r": {"z": 1}}, "r.z", "no such field: r.z"),
        ({"r": 1}, "r", "This field is a record"),
    ],
)
def test_a_value_that_does_not_fit_is_named(value, field, words):
    with pytest.raises(Unfit, match=words) as refused:
        row_in(SCHEMA, value)
    assert refused.value.field == field


# What BigQuery's documentation says its functions answer (cloud.google.com/bigquery/docs/reference/standard-sql).
ANSWERS = {
    "1/2": "0.5",
    "0.1+0.2": "0.30000000000000004",
    "CAST(2.5 AS INT64)": "3",
    "CAST(-2.5 AS INT64)": "-3",
    "CAST(1.0 AS STRING)": "1",
    "CAST(5 AS NUMERIC)/2": "2.5",
    "ROUND(2.5)": "3.0",
    "DIV(7, 2)": "3",
    "MOD(-5, 3)": "-2",
    "SAFE_DIVIDE(1, 0)": None,
    "SAFE_CAST('x' AS INT64)": None,
    "EXTRACT(DAYOFWEEK FROM DATE '2024-01-07')": "1",
    "EXTRACT(WEEK FROM DATE '2024-01-08')": "1",
    "EXTRACT(ISOWEEK FROM DATE '2024-01-08')": "2",
    "EXTRACT(DATE FROM TIMESTAMP '2024-01-01 10:00:00')": "2024-01-01",
    "DATE_TRUNC(DATE '2024-01-10', WEEK)": "2024-01-07",
    "DATE_TRUNC(DATE '2024-01-10', ISOWEEK)": "2024-01-08",
    "TIMESTAMP_DIFF(TIMESTAMP '2024-01-01 10:30:00', TIMESTAMP '2024-01-01 09:59:00', HOUR)": "0",
    "DATE_DIFF(DATE '2024-02-01', DATE '2024-01-31', MONTH)": "1",
    "DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)": "1",
    "DATE(TIMESTAMP '2024-01-01 03:00:00', 'America/New_York')": "2023-12-31",
    "FORMAT_DATE('%Y-%m', DATE '2024-03-01')": "2024-03",
    "FORMAT('%d-%s', 1, 'a')": "1-a",
    "SPLIT('a,b')[OFFSET(0)]": "a",
    "SPLIT('a,b')[SAFE_OFFSET(5)]": None,
    "[10, 20][ORDINAL(1)]": "10",
    "(SELECT o FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS o WHERE x = 'a')": "0",
    "SUBSTR('abcdef', -2)": "ef",
    "REGEXP_EXTRACT('job-12', r'job-(\\d+)')": "12",
    "JSON_VALUE('{\"a\": {\"b\": 1}}', '$.a.b')": "1",
    "TO_JSON_STRING(STRUCT(1 AS a))": '{"a":1}',
    "TO_HEX(MD5('a'))": "0cc175b9c0f1b6a831c399e269772661",
    "CURRENT_DATE()": "2026-01-02",
    "STRING(CURRENT_TIMESTAMP())": "2026-01-02 03:04:05.000006+00",
    "1.5": "1.5",
    "NULL": None,
}


@pytest.mark.parametrize("expression", ANSWERS)
def test_an_expression_is_worth_what_bigquery_says(warehouse, expression):
    query = f"SELECT {expression} AS x"
    translated = translate(query, parsed(query), {}, {}, {}, [], NOW)
    fields, segment = run_query(warehouse, {}, translated)
    from tunestack.emulator.bigquery.engine import opened

    with opened(warehouse.folder) as connection:
        (row,) = connection.execute(warehouse.source(fields, [segment])).fetchall()
    assert row_out(fields, row, integer_timestamps=False)["f"][0]["v"] == ANSWERS[expression]


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_statement_or_a_refusal(text):
    code = None
    # A table that nobody looked up is a KeyError: `references` is what finds tables.
    with contextlib.suppress(KeyError):
        try:
            translate(text, parsed(text), {}, {}, {}, [], NOW)
        except ApiError as error:
            code = error.code
    assert code in (None, 400, 501)


def test_a_schema_is_found_as_in_the_data():
    rows = [
        {
            "i": 1,
            "f": 1,
            "s": "x",
            "d": "2026-01-01",
            "ts": "2026-01-01T00:00:00Z",
            "r": {"a": [1]},
            "no": None,
        },
        {"i": "2", "f": 1.5, "s": 1, "d": None, "r": {"a": [2], "b": True}, "m": []},
    ]
    found = {field["name"]: field for field in detection.of_rows(rows)}
    assert {name: field["type"] for name, field in found.items()} == {
        **{"i": "INTEGER", "f": "FLOAT", "s": "STRING", "d": "DATE", "ts": "TIMESTAMP", "r": "RECORD"},
    }
    assert [(field["name"], field["type"], field["mode"]) for field in found["r"]["fields"]] == [
        *(("a", "INTEGER", "REPEATED"), ("b", "BOOLEAN", "NULLABLE")),
    ]
    fields, headed = detection.of_table([["run", "a cost"], ["x", "1.5"], ["y", "2"]], None)
    assert headed
    assert [(field["name"], field["type"]) for field in fields] == [("run", "STRING"), ("a_cost", "FLOAT")]
