"""MERGE and UPDATE … FROM by google-cloud-bigquery, unchanged, against the emulator."""

# ruff: noqa: S608 - statements are put together from names that the tests chose

from __future__ import annotations

import uuid

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from hypothesis import given, settings
from hypothesis import strategies as st

FIELDS = [
    bigquery.SchemaField("id", "INTEGER"),
    bigquery.SchemaField("Loss", "FLOAT"),
    bigquery.SchemaField("s", "STRING"),
]


@pytest.fixture(scope="module")
def client(emulator):
    return bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )


@pytest.fixture(scope="module")
def dataset(client):
    return client.create_dataset(f"d_{uuid.uuid4().hex[:12]}").dataset_id


def table(client, dataset, *rows):
    name = f"{dataset}.t_{uuid.uuid4().hex[:8]}"
    made = client.create_table(bigquery.Table(f"p1.{name}", FIELDS))
    sent = [dict(zip(("id", "Loss", "s"), row, strict=True)) for row in rows]
    if sent:
        assert client.insert_rows_json(made, sent) == []
    return name


def rows(client, name):
    return [tuple(row) for row in client.list_rows(f"p1.{name}")]


def run(client, statement):
    job = client.query(statement)
    job.result()
    stats = job.dml_stats
    return stats.inserted_row_count, stats.updated_row_count, stats.deleted_row_count


def test_a_merge_changes_removes_and_adds_rows_and_counts_each(client, dataset):
    target = table(client, dataset, (1, 1.0, "a"), (2, 2.0, "b"), (3, 3.0, "c"), (4, 4.0, "d"))
    source = table(client, dataset, (1, 0.5, "new"), (2, 0.0, "gone"), (5, 5.0, "e"), (6, None, "f"))
    counts = run(
        client,
        f"""MERGE {target} AS t USING (SELECT * FROM {source}) AS n ON t.id = n.id
        WHEN MATCHED AND n.s = 'gone' THEN DELETE
        WHEN MATCHED THEN UPDATE SET loss = n.loss, s = CONCAT(t.s, '-', n.s)
        WHEN NOT MATCHED AND n.loss IS NOT NULL THEN INSERT (id, s) VALUES (n.id, n.s)
        WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET s = 'orphan'""",
    )
    assert rows(client, target) == [(1, 0.5, "a-new"), (3, 3.0, "orphan"), (5, None, "e")]
    assert counts == (1, 2, 2)


def test_whole_rows_are_inserted_from_a_table_that_shares_no_key(client, dataset):
    target, source = (
        table(client, dataset, (1, 1.0, "a")),
        table(client, dataset, (1, 1.0, "a"), (2, 2.0, "b")),
    )
    counts = run(client, f"MERGE INTO {target} USING {source} ON FALSE WHEN NOT MATCHED THEN INSERT ROW")
    assert counts == (2, 0, 0)
    assert len(rows(client, target)) == 3


def test_an_update_takes_values_from_other_tables(client, dataset):
    target = table(client, dataset, (1, 1.0, "a"), (2, 2.0, "b"))
    source = table(client, dataset, (1, 0.5, "x"), (7, 0.7, "y"))
    more = table(client, dataset, (1, 0.0, "z"))
    counts = run(
        client,
        f"""UPDATE {target} AS t SET Loss = n.loss, s = m.s FROM {source} AS n, {more} AS m
        WHERE t.id = n.id AND m.id = n.id""",
    )
    assert rows(client, target) == [(1, 0.5, "z"), (2, 2.0, "b")]
    assert counts == (0, 1, 0)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("MERGE {t} USING {s} AS n ON {t}.id = n.id WHEN MATCHED THEN DELETE", "Unrecognized name|not found"),
        (
            "MERGE {t} t USING {s} n ON t.id = n.id WHEN MATCHED THEN UPDATE SET s = n.s",
            "at most one source row",
        ),
        ("UPDATE {t} t SET s = n.s FROM {s} n WHERE t.id = n.id", "at most one source row"),
        (
            "MERGE {t} t USING {s} n ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2)",
            "wrong column count",
        ),
        ("MERGE {t} t USING {s} n ON FALSE WHEN NOT MATCHED THEN INSERT (no) VALUES (1)", "Column no is not"),
        ("MERGE {t} t USING {s} n ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES ('x')", "STRING"),
        ("UPDATE {t} t SET s = n.s FROM nowhere.x n WHERE TRUE", "Not found: Dataset"),
    ],
)
def test_what_bigquery_refuses_changes_nothing(client, dataset, statement, words):
    target = table(client, dataset, (1, 1.0, "a"))
    source = table(client, dataset, (1, 0.5, "x"), (1, 0.7, "y"))
    with pytest.raises((exceptions.BadRequest, exceptions.NotFound), match=words):
        client.query(statement.format(t=target, s=source)).result()
    assert rows(client, target) == [(1, 1.0, "a")]


KEYS = st.dictionaries(st.integers(1, 6), st.integers(0, 9), max_size=5)


@settings(max_examples=8, deadline=None)
@given(before=KEYS, more=KEYS)
def test_an_upsert_leaves_what_a_dictionary_would(client, dataset, before, more):
    target = table(client, dataset, *((key, float(value), None) for key, value in before.items()))
    source = table(client, dataset, *((key, float(value), None) for key, value in more.items()))
    counts = run(
        client,
        f"""MERGE {target} t USING {source} n ON t.id = n.id WHEN MATCHED THEN UPDATE SET loss = n.loss
        WHEN NOT MATCHED THEN INSERT (id, loss) VALUES (id, loss)""",
    )
    assert {key: value for key, value, _ in rows(client, target)} == before | more
    assert counts == (len(set(more) - set(before)), len(set(more) & set(before)), 0)
