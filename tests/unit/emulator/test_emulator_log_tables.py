"""Log entries as rows: whatever a payload holds has columns that it fits, and columns only grow."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.bigquery.fields import Unfit, checked_schema, row_in
from tunestack.emulator.services.cloud_logging_tables import fields_of, joined, row_of

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
KEYS = st.text(max_size=6)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(PLAIN, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(KEYS, JSON, max_size=5)


def entry(payload):
    return {
        "logName": "projects/p/logs/a",
        "resource": {"type": "global", "labels": {"Project.Id": "p"}},
        "timestamp": "2026-01-02T03:04:05Z",
        "severity": "INFO",
        "jsonPayload": payload,
    }


def columns_of(payload):
    """The columns of an entry; none where BigQuery has none for it."""
    try:
        return fields_of(row_of(entry(payload)))
    except Unfit:
        return None


@given(PAYLOADS)
def test_every_payload_fits_the_columns_that_it_asks_for(payload):
    fields = columns_of(payload)
    if fields is not None:
        row_in(checked_schema(fields), row_of(entry(payload)))
        for field in next((one["fields"] for one in fields if one["name"] == "jsonPayload"), []):
            assert re.fullmatch(r"[a-z_][a-z0-9_]*", field["name"])


@given(PAYLOADS, PAYLOADS)
def test_what_fitted_a_table_fits_it_still_once_it_has_grown(first, second):
    one, two = columns_of(first), columns_of(second)
    if one is None or two is None:
        return
    try:
        grown = joined(one, two)
    except Unfit:
        return  # the second goes to the table of errors
    for payload in (first, second):
        row_in(checked_schema(grown), row_of(entry(payload)))
    assert joined(grown, one) == grown
