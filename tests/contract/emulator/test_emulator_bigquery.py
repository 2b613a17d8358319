"""google-cloud-bigquery, unchanged, against the emulator."""

# ruff: noqa: S608 - statements are put together from names that the tests chose

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from decimal import Decimal

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField as Field

UTC = dt.UTC
ALL_TYPES = [
    Field("s", "STRING", "REQUIRED", description="a text"),
    Field("i", "INTEGER"),
    Field("f", "FLOAT"),
    Field("n", "NUMERIC"),
    Field("b", "BOOLEAN"),
    Field("by", "BYTES"),
    Field("ts", "TIMESTAMP"),
    Field("d", "DATE"),
    Field("t", "TIME"),
    Field("dt", "DATETIME"),
    Field("j", "JSON"),
    Field("a", "INTEGER", "REPEATED"),
    Field(
        "r", "RECORD", fields=[Field("x", "INTEGER"), Field("y", "STRING", "REPEATED"), Field("z", "BYTES")]
    ),
    Field("rr", "RECORD", "REPEATED", fields=[Field("k", "STRING"), Field("v", "BYTES")]),
]
WHOLE = {
    "s": 'ä\n"quoted"',
    "i": 2**63 - 1,
    "f": 0.1,
    "n": Decimal("12345678901234567890.123456789"),
    "b": True,
    "by": b"\x00\xff",
    "ts": dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "d": dt.date(2026, 1, 2),
    "t": dt.time(3, 4, 5, 6),
    "dt": dt.datetime(2026, 1, 2, 3, 4, 5),
    "j": {"a": [1, None, "x"]},
    "a": [1, -(2**63)],
    "r": {"x": 1, "y": ["p", "q"], "z": b"\x01"},
    "rr": [{"k": "a", "v": b"\x02"}, {"k": "b", "v": None}],
}
EMPTY = {**dict.fromkeys(WHOLE), "s": "", "a": [], "rr": []}
SENT = {
    "s": WHOLE["s"],
    "i": str(WHOLE["i"]),
    "f": 0.1,
    "n": str(WHOLE["n"]),
    "b": True,
    "by": "AP8=",
    "ts": "2026-01-02T03:04:05.678901Z",
    "d": "2026-01-02",
    "t": "03:04:05.000006",
    "dt": "2026-01-02T03:04:05",
    "j": '{"a": [1, null, "x"]}',
    "a": [1, str(-(2**63))],
    "r": {"x": 1, "y": ["p", "q"], "z": "AQ=="},
    "rr": [{"k": "a", "v": "Ag=="}, {"k": "b"}],
}


@pytest.fixture(scope="module")
def client(emulator):
    return bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )


@pytest.fixture
def dataset(client):
    return client.create_dataset(f"d_{uuid.uuid4().hex[:12]}")


def rows_of(iterator):
    return [dict(row) for row in iterator]


def table_of(client, dataset, rows=(), schema=None, name="t"):
    table = client.create_table(
        bigquery.Table(dataset.table(name), schema or [Field("i", "INTEGER"), Field("s", "STRING")])
    )
    if rows:
        assert client.insert_rows_json(table, list(rows)) == []
    return table


def test_a_dataset_reads_back_as_sent_and_goes_with_its_tables(client, dataset):
    body = bigquery.Dataset(f"p1.d_{uuid.uuid4().hex[:12]}")
    body.location = "EU"
    body.labels = {"env": "dev"}
    body.default_table_expiration_ms = 3_600_000
    body.description = "of a test"
    made = client.create_dataset(body)
    read = client.get_dataset(made.reference)
    assert (read.location, read.labels, read.description) == ("EU", {"env": "dev"}, "of a test")
    assert {entry.role for entry in read.access_entries} == {"WRITER", "OWNER", "READER"}
    read.labels["more"] = "1"
    assert client.update_dataset(read, ["labels"]).labels == {"env": "dev", "more": "1"}
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_dataset(read, ["labels"])
    table = table_of(client, made)
    assert table.expires - table.created == dt.timedelta(hours=1)
    assert made.dataset_id in {item.dataset_id for item in client.list_datasets(filter="labels.env:dev")}
    with pytest.raises(exceptions.Conflict, match="Already Exists: Dataset p1:"):
        client.create_dataset(body)
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        client.delete_dataset(made)
    client.delete_dataset(made, delete_contents=True)
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset p1:"):
        client.get_dataset(made.reference)


def test_a_table_reads_back_as_sent_and_its_schema_only_grows(client, dataset):
    table = bigquery.Table(dataset.table("t"), schema=ALL_TYPES)
    table.time_partitioning = bigquery.TimePartitioning(field="ts", expiration_ms=86_400_000)
    table.clustering_fields = ["s"]
    table.labels = {"a": "1"}
    client.create_table(table)
    read = client.get_table(table.reference)
    assert read.schema == ALL_TYPES
    assert (read.time_partitioning.field, read.clustering_fields, read.labels) == ("ts", ["s"], {"a": "1"})
    read.schema = [*read.schema, Field("new", "STRING")]
    assert client.update_table(read, ["schema"]).schema[-1].name == "new"
    read = client.get_table(table.reference)
    read.schema = read.schema[:-1]
    with pytest.raises(exceptions.BadRequest, match="Field new is missing in new schema"):
        client.update_table(read, ["schema"])
    assert [item.table_id for item in client.list_tables(dataset)] == ["t"]
    with pytest.raises(exceptions.Conflict, match="Already Exists: Table"):
        client.create_table(table)
    client.delete_table(table)
    with pytest.raises(exceptions.NotFound, match="Not found: Table p1:"):
        client.get_table(table.reference)


def test_every_type_comes_back_exactly_as_it_went_in(client, dataset):
    table = table_of(client, dataset, schema=ALL_TYPES)
    assert client.insert_rows_json(table, [SENT, {"s": ""}]) == []
    assert rows_of(client.list_rows(table)) == [WHOLE, EMPTY]
    found = client.query(f"SELECT * FROM `{table}` ORDER BY s DESC").result()
    assert [field.field_type for field in found.schema] == [field.field_type for field in table.schema]
    assert rows_of(found) == [WHOLE, EMPTY]
    read = client.get_table(table.reference)
    assert read.num_rows == 2
    # The whole row: s 2+11, six of 8, n 16, b 1, by 2+2, j 2+18, a 2×8, r 8+6+3, rr 6+3; the empty one: s 2.
    assert read.num_bytes == 13 + 6 * 8 + 16 + 1 + 4 + 20 + 16 + 17 + 9 + 2


def test_rows_that_do_not_fit_are_named_one_by_one(client, dataset):
    table = table_of(client, dataset, schema=[Field("i", "INT64", "REQUIRED"), Field("d", "DATE")])
    errors = client.insert_rows_json(table, [{"i": 1}, {"i": "x"}, {"d": "2026-01-01"}, {"i": 1, "no": 2}])
    told = {error["index"]: error["errors"][0] for error in errors}
    assert told[0]["reason"] == "stopped"
    assert "Cannot convert value to integer (bad value): x" in told[1]["message"]
    assert told[2]["message"] == "Missing required field: i."
    assert (told[3]["location"], told[3]["message"]) == ("no", "no such field: no.")
    assert rows_of(client.list_rows(table)) == []
    client.insert_rows_json(table, [{"i": 1}, {"i": "x"}], skip_invalid_rows=True)
    assert rows_of(client.list_rows(table)) == [{"i": 1, "d": None}]


def test_a_row_that_is_sent_again_under_its_insert_id_is_there_once(client, dataset):
    table = table_of(client, dataset)
    for _ in range(2):
        assert client.insert_rows_json(table, [{"i": 1}], row_ids=["the one"]) == []
    assert client.get_table(table).num_rows == 1


def test_many_small_inserts_keep_their_order_and_are_read_in_pages(client, dataset):
    table = table_of(client, dataset)
    for number in range(20):
        client.insert_rows_json(table, [{"i": 2 * number}, {"i": 2 * number + 1}])
    found = client.list_rows(table, page_size=7)
    assert [len(list(page)) for page in found.pages] == [7, 7, 7, 7, 7, 5]
    assert [row["i"] for row in client.list_rows(table, start_index=3, max_results=4)] == [3, 4, 5, 6]
    assert [
        tuple(row.keys())
        for row in client.list_rows(table, selected_fields=[Field("s", "STRING")], max_results=1)
    ] == [("s",)]


def test_a_query_takes_parameters_of_every_kind(client, dataset):
    table = table_of(client, dataset, [{"i": number, "s": f"job-{number % 3}"} for number in range(9)])
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("least", "INT64", 3),
            bigquery.ArrayQueryParameter("names", "STRING", ["job-1", "job-2"]),
            bigquery.ScalarQueryParameter("at", "TIMESTAMP", dt.datetime(2026, 1, 1, tzinfo=UTC)),
            bigquery.StructQueryParameter(
                "pair", bigquery.ScalarQueryParameter("x", "NUMERIC", Decimal("1.5"))
            ),
        ]
    )
    query = f"""
        SELECT s, COUNT(*) AS n, SUM(i) AS total, @at AS at, @pair.x AS x FROM `{table}`
        WHERE i >= @least AND s IN UNNEST(@names) GROUP BY s ORDER BY s"""
    assert [tuple(row) for row in client.query(query, job_config=config).result()] == [
        ("job-1", 2, 11, dt.datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5")),
        ("job-2", 2, 13, dt.datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5")),
    ]
    positional = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter(None, "INT64", 8)])
    assert (
        next(iter(client.query_and_wait(f"SELECT s FROM `{table}` WHERE i = ?", job_config=positional)))["s"]
        == "job-2"
    )
    with pytest.raises(exceptions.BadRequest, match=r"Query parameter 'no' not found at \[1:8\]"):
        client.query("SELECT @no").result()


def test_refusals_are_worded_as_bigquery_words_them_with_line_and_column(client, dataset):
    table = table_of(client, dataset, [{"i": 1}])
    for query, words in (
        (f"SELECT nothing\nFROM `{table}`", r"Unrecognized name: nothing at \[1:8\]"),
        ("SELECT 1 FROM\n  WHERE", r"Syntax error: .* at \[2:3\]"),
        ("SELECT no_such_function(1)", r"Function not found: no_such_function at \[1:8\]"),
        (
            f"SELECT i FROM `{table}` WHERE i = s",
            "No matching signature for operator = for argument types: INT64, STRING",
        ),
        ("SELECT 1/0", "division by zero"),
        ("SELECT CAST('x' AS INT64)", "Bad int64 value: x"),
        (f"SELECT i, i FROM `{table}`", r"Duplicate column names .*: i"),
        ("SELECT * FROM t", r'Table "t" must be qualified with a dataset'),
    ):
        with pytest.raises(exceptions.BadRequest, match=words) as refused:
            client.query(query).result()
        assert refused.value.errors[0]["reason"] in ("invalidQuery", "invalid")
    with pytest.raises(exceptions.NotFound, match=rf"Not found: Table p1:{dataset.dataset_id}\.no"):
        client.query(f"SELECT 1 FROM {dataset.dataset_id}.no").result()
    with pytest.raises(exceptions.BadRequest, match="Unrecognized name: x") as refused:
        client.query("SELECT x", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert refused.value.errors[0]["reason"] == "invalidQuery"
    failed = client.query("SELECT 1/0")
    assert isinstance(failed.exception(), exceptions.BadRequest)
    assert failed.error_result["reason"] == "invalidQuery"


def test_a_dry_run_says_what_would_be_read_and_reads_nothing(client, dataset):
    table = table_of(client, dataset, [{"i": number, "s": "abc"} for number in range(10)])
    dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    assert client.query(f"SELECT i FROM `{table}`", job_config=dry).total_bytes_processed == 80
    job = client.query(f"SELECT * FROM `{table}`", job_config=dry)
    assert job.total_bytes_processed == 80 + 10 * 5
    assert [field.name for field in job.schema] == ["i", "s"]
    with pytest.raises(exceptions.NotFound):
        client.get_job(job.job_id)
    capped = bigquery.QueryJobConfig(maximum_bytes_billed=1)
    with pytest.raises(exceptions.GoogleAPICallError, match="exceeded limit for bytes billed"):
        client.query(f"SELECT i FROM `{table}`", job_config=capped).result()


def test_a_query_writes_where_it_is_told_and_by_its_disposition(client, dataset):
    to = dataset.table("made")
    config = bigquery.QueryJobConfig(destination=to)
    client.query("SELECT 1 AS i, 'x' AS s", job_config=config).result()
    with pytest.raises(exceptions.Conflict, match="Already Exists"):
        client.query("SELECT 2 AS i", job_config=config).result()
    config.write_disposition = "WRITE_APPEND"
    client.query("SELECT 2 AS i", job_config=config).result()
    appended = client.query(f"SELECT i FROM {to.dataset_id}.made ORDER BY i").result()
    assert [row["i"] for row in appended] == [1, 2]
    config.write_disposition = "WRITE_TRUNCATE"
    client.query("SELECT 'y' AS t", job_config=config).result()
    assert rows_of(client.query(f"SELECT * FROM {to.dataset_id}.made").result()) == [{"t": "y"}]


def test_tables_are_made_filled_and_dropped_by_statements(client, dataset):
    name = dataset.dataset_id
    client.query(f"CREATE TABLE {name}.a AS SELECT 1 AS i, 'x' AS s").result()
    inserted = client.query(f"INSERT INTO {name}.a (s, i) VALUES ('y', 2), ('z', 3)")
    inserted.result()
    assert inserted.num_dml_affected_rows == 2
    client.query(f"INSERT {name}.a SELECT i + 10, s FROM {name}.a WHERE i > 1").result()
    assert [tuple(row) for row in client.query(f"SELECT i, s FROM {name}.a ORDER BY i").result()] == [
        *((1, "x"), (2, "y"), (3, "z"), (12, "y"), (13, "z"))
    ]
    with pytest.raises(exceptions.BadRequest, match="type STRING which cannot be inserted into column i"):
        client.query(f"INSERT INTO {name}.a (i) VALUES ('no')").result()
    client.query(f"TRUNCATE TABLE {name}.a").result()
    assert client.get_table(f"p1.{name}.a").num_rows == 0
    client.query(f"DROP TABLE {name}.a").result()
    with pytest.raises(exceptions.NotFound):
        client.query(f"SELECT * FROM {name}.a").result()


def test_rows_are_updated_and_deleted_where_a_condition_holds(client, dataset):
    votes = [{"i": 1, "s": "up"}, {"i": 2, "s": "down"}, {"i": 3}]
    name = f"{dataset.dataset_id}.{table_of(client, dataset, votes).table_id}"
    changed = client.query(f"UPDATE {name} SET s = UPPER(s), i = i + 10 WHERE s = 'up'")
    changed.result()
    assert changed.num_dml_affected_rows == 1
    gone = client.query(f"DELETE FROM {name} WHERE s = 'down'")
    gone.result()
    assert gone.num_dml_affected_rows == 1
    assert [tuple(row) for row in client.query(f"SELECT i, s FROM {name} ORDER BY i").result()] == [
        (3, None),
        (11, "UP"),
    ]
    for query, words in (
        (f"DELETE FROM {name}", "DELETE must have a WHERE clause"),
        (f"UPDATE {name} SET no = 1 WHERE true", "Column no is not present"),
        (f"UPDATE {name} SET i = '5' WHERE true", "for argument types: BOOL, STRING, INT64"),
        (f"DELETE FROM {name} WHERE no = 1", r"Unrecognized name: no at \[1:"),
    ):
        with pytest.raises(exceptions.BadRequest, match=words):
            client.query(query).result()


def test_views_wildcards_and_partitions_by_arrival_are_read(client, dataset):
    for day in ("20260101", "20260102"):
        table_of(client, dataset, [{"i": int(day)}], name=f"export_{day}")
    view = bigquery.Table(dataset.table("v"))
    view.view_query = f"SELECT i, _TABLE_SUFFIX AS day FROM `p1.{dataset.dataset_id}.export_*`"
    view.view_use_legacy_sql = False
    assert [field.name for field in client.create_table(view).schema] == ["i", "day"]
    found = client.query(f"SELECT i FROM {dataset.dataset_id}.v WHERE day > '20260101'").result()
    assert [row["i"] for row in found] == [20260102]
    table = bigquery.Table(dataset.table("arrived"), schema=[Field("i", "INTEGER")])
    table.time_partitioning = bigquery.TimePartitioning()
    table.require_partition_filter = True
    client.create_table(table)
    client.insert_rows_json(table, [{"i": 1}])
    today = dt.datetime.now(UTC).date().isoformat()
    query = f"SELECT * FROM {dataset.dataset_id}.arrived"
    assert rows_of(client.query(f"{query} WHERE _PARTITIONTIME >= '{today}'").result()) == [{"i": 1}]
    assert rows_of(client.query(f"{query} WHERE DATE(_PARTITIONTIME) < '2020-01-01'").result()) == []
    with pytest.raises(exceptions.BadRequest, match="without a filter over column"):
        client.query(query).result()


def test_labels_of_the_billing_export_are_unnested(client, dataset):
    label = [Field("key", "STRING"), Field("value", "STRING")]
    credit = [Field("name", "STRING"), Field("amount", "FLOAT")]
    schema = [
        *(Field("cost", "FLOAT"), Field("usage_start_time", "TIMESTAMP")),
        Field("service", "RECORD", fields=[Field("description", "STRING")]),
        *(
            Field("labels", "RECORD", "REPEATED", fields=label),
            Field("credits", "RECORD", "REPEATED", fields=credit),
        ),
    ]
    row = {"service": {"description": "Vertex AI"}, "usage_start_time": "2026-02-03 04:05:06 UTC", "cost": 2}
    table = table_of(
        client,
        dataset,
        [
            {**row, "labels": [{"key": "run", "value": "a"}], "credits": [{"name": "c", "amount": -0.5}]},
            {**row, "labels": [{"key": "run", "value": "b"}, {"key": "x", "value": "a"}]},
        ],
        schema,
    )
    query = f"""
        SELECT service.description AS service, FORMAT_TIMESTAMP('%Y-%m', usage_start_time) AS month,
          (SELECT value FROM UNNEST(labels) WHERE key = 'run') AS run,
          SUM(cost) + SUM(IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) c), 0)) AS total
        FROM `{table}` WHERE EXISTS (SELECT 1 FROM UNNEST(labels) AS l WHERE l.key = 'run')
        GROUP BY 1, 2, 3 ORDER BY total"""
    assert [tuple(row) for row in client.query(query).result()] == [
        ("Vertex AI", "2026-02", "a", 1.5),
        ("Vertex AI", "2026-02", "b", 2.0),
    ]
    assert [
        row["key"]
        for row in client.query(f"SELECT l.key FROM `{table}` t, t.labels AS l ORDER BY 1").result()
    ] == [*("run", "run", "x")]
    query = f"SELECT l.value, o FROM `{table}` t, UNNEST(t.labels) AS l WITH OFFSET o ORDER BY o DESC LIMIT 1"
    assert tuple(next(iter(client.query(query).result()))) == ("a", 1)


def test_files_are_loaded_from_cloud_storage_and_written_back(client, dataset, emulator):
    bucket = emulator.bucket()
    bucket.blob("in/1.json").upload_from_string('{"i": 1, "s": "a"}\n{"i": "2"}\n')
    bucket.blob("in/2.json").upload_from_string('{"i": 3, "s": "c"}\n')
    to = dataset.table("loaded")
    config = bigquery.LoadJobConfig(
        source_format="NEWLINE_DELIMITED_JSON", schema=[Field("i", "INTEGER"), Field("s", "STRING")]
    )
    job = client.load_table_from_uri(f"gs://{bucket.name}/in/*.json", to, job_config=config)
    job.result()
    assert (job.output_rows, job.input_files) == (3, 2)
    expected = [{"i": 1, "s": "a"}, {"i": 2, "s": None}, {"i": 3, "s": "c"}]
    assert rows_of(client.list_rows(client.get_table(to))) == expected
    for form, name in (
        ("CSV", "out.csv"),
        ("NEWLINE_DELIMITED_JSON", "out.json"),
        ("PARQUET", "out-*.parquet"),
    ):
        config = bigquery.ExtractJobConfig(destination_format=form)
        client.extract_table(to, f"gs://{bucket.name}/{name}", job_config=config).result()
    assert bucket.blob("out.csv").download_as_text() == "i,s\n1,a\n2,\n3,c\n"
    assert bucket.blob("out.json").download_as_text().splitlines()[1] == '{"i":"2"}'
    back = dataset.table("back")
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    client.load_table_from_uri(
        f"gs://{bucket.name}/out-000000000000.parquet", back, job_config=config
    ).result()
    assert rows_of(client.list_rows(client.get_table(back))) == expected
    config = bigquery.LoadJobConfig(skip_leading_rows=1, autodetect=True)
    client.load_table_from_uri(
        f"gs://{bucket.name}/out.csv", dataset.table("csv"), job_config=config
    ).result()
    assert [field.field_type for field in client.get_table(dataset.table("csv")).schema] == [
        "INTEGER",
        "STRING",
    ]
    with pytest.raises(exceptions.NotFound, match="Not found: URI"):
        client.load_table_from_uri(f"gs://{bucket.name}/nothing", back).result()


def test_a_load_that_meets_bad_rows_says_which_and_changes_nothing(client, dataset):
    to = dataset.table("t")
    table_of(client, dataset, [{"i": 1}])
    lines = [json.dumps({"i": 2}), "{", json.dumps({"i": "x"})]
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    job = client.load_table_from_file(io.BytesIO("\n".join(lines).encode()), to, job_config=config)
    with pytest.raises(
        exceptions.BadRequest, match=r"JSON table encountered too many errors, giving up. Rows: 2; errors: 1"
    ):
        job.result()
    assert "row starting at line 2" in job.errors[1]["message"]
    assert client.get_table(to).num_rows == 1
    config.max_bad_records = 2
    client.load_table_from_file(io.BytesIO("\n".join(lines).encode()), to, job_config=config).result()
    assert client.get_table(to).num_rows == 2


@pytest.mark.parametrize("resumable", [False, True])
def test_rows_in_memory_are_loaded_with_a_schema_found_in_them(client, dataset, resumable):
    to = dataset.table("feedback")
    rows = [
        {"id": number, "vote": "up", "at": "2026-01-01T00:00:00Z", "tags": ["a"], "of": {"x": 1.5}}
        for number in range(3)
    ]
    if resumable:
        data = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
        config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", autodetect=True)
        client.load_table_from_file(data, to, job_config=config).result()
    else:
        client.load_table_from_json(rows, to).result()
    table = client.get_table(to)
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        ("id", "INTEGER", "NULLABLE"),
        ("vote", "STRING", "NULLABLE"),
        ("at", "TIMESTAMP", "NULLABLE"),
        ("tags", "STRING", "REPEATED"),
        ("of", "RECORD", "NULLABLE"),
    ]
    assert next(iter(client.list_rows(table)))["of"] == {"x": 1.5}


def test_tables_are_copied_and_the_copy_is_its_own(client, dataset):
    source = table_of(client, dataset, [{"i": 1}])
    client.copy_table(source, dataset.table("copy")).result()
    client.insert_rows_json(client.get_table(dataset.table("copy")), [{"i": 2}])
    client.delete_table(source)
    assert sorted(row["i"] for row in client.query(f"SELECT i FROM {dataset.dataset_id}.copy").result()) == [
        1,
        2,
    ]


def test_jobs_are_listed_newest_first_and_can_be_cancelled(client, emulator):
    jobs = [client.query(f"SELECT {number}") for number in range(2)]
    for job in jobs:
        job.result()
    listed = [job.job_id for job in client.list_jobs(max_results=10)]
    assert listed.index(jobs[1].job_id) < listed.index(jobs[0].job_id)
    with pytest.raises(exceptions.Conflict, match="Already Exists: Job"):
        emulator_insert(client, jobs[0].job_id)
    numbers = "UNNEST(GENERATE_ARRAY(1, 100000))"
    endless = client.query(f"SELECT COUNT(*) FROM {numbers} a, {numbers} b, {numbers} c WHERE a + b + c < 0")
    assert client.get_job(endless.job_id).state in ("PENDING", "RUNNING")
    endless.cancel()
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        endless.result(timeout=20)
    assert client.get_job(endless.job_id).error_result["reason"] == "stopped"


def emulator_insert(client, job_id):
    client._connection.api_request(
        "POST",
        "/projects/p1/jobs",
        data={
            "jobReference": {"projectId": "p1", "jobId": job_id},
            "configuration": {"query": {"query": "SELECT 1", "useLegacySql": False}},
        },
    )


def test_a_plain_client_finds_the_emulator_by_its_environment(start, monkeypatch):
    from tunestack.emulator.environment import environment

    emulator = start(enforce_iam=True)
    for name, value in environment(emulator.running.options).items():
        monkeypatch.setenv(name, value)
    client = bigquery.Client()
    dataset = client.create_dataset("feedback")
    votes = [{"prompt": "a", "vote": "up"}, {"prompt": "b", "vote": "down"}]
    client.load_table_from_json(votes, dataset.table("votes")).result()
    found = client.query_and_wait("SELECT prompt FROM feedback.votes WHERE vote = 'up'")
    assert [row["prompt"] for row in found] == ["a"]


def test_a_statement_reaches_no_file_of_the_machine(client, tmp_path):
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    for query in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM `{tmp_path}/secret.csv`",
        f"SELECT read_text('{tmp_path}/secret.csv')",
    ):
        with pytest.raises(exceptions.GoogleAPICallError) as refused:
            client.query(query).result(retry=None)
        assert "1,2" not in str(refused.value)


def test_what_was_acknowledged_is_there_after_a_kill(start):
    local = start()
    client = bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": local.url}
    )
    dataset = client.create_dataset("kept")
    table = table_of(client, dataset)
    for number in range(20):
        assert client.insert_rows_json(table, [{"i": number}]) == []
    client.query("CREATE TABLE kept.sum AS SELECT SUM(i) AS s FROM kept.t").result()
    running = client.query("SELECT COUNT(*) AS n FROM kept.t")
    local.kill()
    local.start_again()
    client = bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": local.url}
    )
    assert [row["i"] for row in client.list_rows(client.get_table("p1.kept.t"))] == list(range(20))
    assert rows_of(client.query("SELECT s FROM kept.sum").result()) == [{"s": 190}]
    assert rows_of(client.get_job(running.job_id).result()) == [{"n": 20}]
    listed = {segment.name for segment in (local.options.data / "bigquery").glob("??/*")}
    client.delete_dataset("kept", delete_contents=True)
    left = {segment.name for segment in (local.options.data / "bigquery").glob("??/*")}
    assert len(left) < len(listed)
