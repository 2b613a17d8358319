"""Definitions, INFORMATION_SCHEMA and who may touch which table, by google-cloud-bigquery, unchanged."""

# ruff: noqa: S608 - statements are put together from names that the tests chose

from __future__ import annotations

import time
import uuid

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2.credentials import Credentials

from tunestack.emulator.environment import token_of


def client_of(emulator, project="p1", email=None):
    return bigquery.Client(
        project=project,
        credentials=Credentials(token=token_of(email)) if email else AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
    )


@pytest.fixture(scope="module")
def client(emulator):
    return client_of(emulator)


@pytest.fixture
def dataset(client):
    return client.create_dataset(f"d_{uuid.uuid4().hex[:12]}").dataset_id


def run(client, statement):
    job = client.query(statement)
    job.result()
    return job


def rows(client, query):
    return [dict(row) for row in client.query_and_wait(query)]


def test_a_table_is_made_with_what_its_statement_says(client, dataset):
    name = f"{dataset}.runs"
    statement = f"""CREATE TABLE {name} (
          Job STRING NOT NULL OPTIONS(description='its id'), loss NUMERIC, at TIMESTAMP,
          tags ARRAY<STRUCT<key STRING, value STRING>>)
        PARTITION BY TIMESTAMP_TRUNC(at, HOUR) CLUSTER BY Job
        OPTIONS(description='runs', labels=[('team', 'ml')], partition_expiration_days=7,
          require_partition_filter=true)"""
    job = run(client, statement)
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE", "CREATE")
    table = client.get_table(f"p1.{name}")
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        ("Job", "STRING", "REQUIRED"),
        ("loss", "NUMERIC", "NULLABLE"),
        ("at", "TIMESTAMP", "NULLABLE"),
        ("tags", "RECORD", "REPEATED"),
    ]
    assert table.schema[0].description == "its id"
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("HOUR", "at")
    assert table.time_partitioning.expiration_ms == 7 * 86_400_000
    assert (table.clustering_fields, table.labels, table.description) == (["Job"], {"team": "ml"}, "runs")
    assert table.require_partition_filter is True
    assert run(client, statement.replace("TABLE", "TABLE IF NOT EXISTS", 1)).ddl_operation_performed == "SKIP"
    with pytest.raises(exceptions.Conflict, match="Already Exists"):
        run(client, statement)
    assert run(client, f"CREATE OR REPLACE TABLE {name} (x INT64)").ddl_operation_performed == "REPLACE"
    assert [field.name for field in client.get_table(f"p1.{name}").schema] == ["x"]


def test_a_table_made_of_a_query_keeps_its_partitions(client, dataset):
    run(client, f"CREATE TABLE {dataset}.t PARTITION BY day AS SELECT DATE '2026-01-02' AS day, 1 AS Loss")
    table = client.get_table(f"p1.{dataset}.t")
    assert table.time_partitioning.field == "day"
    assert [field.name for field in table.schema] == ["day", "Loss"]


def test_partitions_end_when_their_time_has_come(start):
    emulator = start()
    emulator.call("POST", "/_local/clock", {"set": "2027-03-10T12:00:00Z", "stopped": True})
    client = client_of(emulator)
    dataset = bigquery.Dataset("p1.days")
    dataset.default_partition_expiration_ms = 5 * 86_400_000
    client.create_dataset(dataset)
    days = "UNNEST([DATE '2027-03-01', DATE '2027-03-07', DATE '2027-03-10']) AS day"
    run(
        client,
        f"""CREATE TABLE days.a PARTITION BY day OPTIONS(partition_expiration_days=3)
        AS SELECT day FROM {days} UNION ALL SELECT NULL""",
    )
    run(client, f"CREATE TABLE days.b PARTITION BY day AS SELECT day FROM {days}")
    assert client.get_table("p1.days.b").time_partitioning.expiration_ms == 5 * 86_400_000

    def counts(first, second):
        deadline = time.monotonic() + 20
        while (found := [client.get_table(f"p1.days.{name}").num_rows for name in "ab"]) != [first, second]:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    counts(2, 2)
    emulator.call("POST", "/_local/clock", {"set": "2027-03-12T12:00:00Z"})
    counts(2, 1)
    emulator.call("POST", "/_local/clock", {"set": "2027-03-13T12:00:00Z"})
    counts(1, 1)
    assert rows(client, "SELECT day FROM days.a") == [{"day": None}]


def test_views_and_datasets_are_made_and_dropped_by_statements(client, dataset):
    run(client, f"CREATE VIEW {dataset}.v AS SELECT 1 AS a")
    assert rows(client, f"SELECT * FROM {dataset}.v") == [{"a": 1}]
    with pytest.raises(exceptions.BadRequest, match="is not a TABLE, it is a VIEW"):
        run(client, f"DROP TABLE {dataset}.v")
    run(client, f"DROP VIEW {dataset}.v")
    other = f"d_{uuid.uuid4().hex[:12]}"
    run(
        client,
        f"CREATE SCHEMA {other} OPTIONS(location='EU', description='x', default_table_expiration_days=1)",
    )
    made = client.get_dataset(other)
    assert (made.location, made.default_table_expiration_ms) == ("EU", 86_400_000)
    run(client, f"CREATE TABLE {other}.t (a INT64)")
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        run(client, f"DROP SCHEMA {other}")
    run(client, f"DROP SCHEMA {other} CASCADE")
    with pytest.raises(exceptions.NotFound):
        client.get_dataset(other)


def test_a_snapshot_stays_as_the_table_was_and_a_clone_goes_its_own_way(client, dataset):
    run(client, f"CREATE TABLE {dataset}.t AS SELECT 1 AS id")
    for operation, name in (("SNAPSHOT", "before"), ("CLONE", "branch")):
        config = bigquery.CopyJobConfig(operation_type=operation)
        client.copy_table(f"p1.{dataset}.t", f"p1.{dataset}.{name}", job_config=config).result()
    run(client, f"UPDATE {dataset}.t SET id = 2 WHERE true")
    run(client, f"INSERT INTO {dataset}.branch VALUES (3)")
    snapshot = client.get_table(f"p1.{dataset}.before")
    assert (snapshot.table_type, snapshot.snapshot_definition.base_table_reference.table_id) == (
        "SNAPSHOT",
        "t",
    )
    assert client.get_table(f"p1.{dataset}.branch").clone_definition is not None
    assert rows(client, f"SELECT id FROM {dataset}.before") == [{"id": 1}]
    assert [row["id"] for row in client.list_rows(f"p1.{dataset}.before")] == [1]
    assert rows(client, f"SELECT COUNT(*) AS n FROM {dataset}.branch") == [{"n": 2}]
    with pytest.raises(exceptions.BadRequest, match="currently a SNAPSHOT"):
        run(client, f"DELETE FROM {dataset}.before WHERE true")
    config = bigquery.CopyJobConfig(operation_type="RESTORE")
    client.copy_table(f"p1.{dataset}.before", f"p1.{dataset}.again", job_config=config).result()
    assert client.get_table(f"p1.{dataset}.again").table_type == "TABLE"
    with pytest.raises(exceptions.BadRequest, match="RESTORE needs a SNAPSHOT"):
        client.copy_table(f"p1.{dataset}.t", f"p1.{dataset}.wrong", job_config=config).result()


def test_what_is_there_is_found_in_the_information_schema(emulator):
    client = client_of(emulator, f"info-{uuid.uuid4().hex[:8]}")
    client.create_dataset("a")
    run(
        client,
        "CREATE TABLE a.t (id INT64 NOT NULL, r STRUCT<x STRING>, day DATE) PARTITION BY day CLUSTER BY id",
    )
    run(client, "CREATE VIEW a.v AS SELECT id FROM a.t WHERE day > '2020-01-01'")
    assert rows(client, "SELECT table_name, table_type FROM a.INFORMATION_SCHEMA.TABLES ORDER BY 1") == [
        {"table_name": "t", "table_type": "BASE TABLE"},
        {"table_name": "v", "table_type": "VIEW"},
    ]
    found = rows(
        client,
        f"""SELECT column_name, ordinal_position, is_nullable, data_type, is_partitioning_column
        FROM `{client.project}.a.INFORMATION_SCHEMA.COLUMNS` WHERE table_name = 't' ORDER BY ordinal_position""",
    )
    assert [tuple(row.values()) for row in found] == [
        ("id", 1, "NO", "INT64", "NO"),
        ("r", 2, "YES", "STRUCT<`x` STRING>", "NO"),
        ("day", 3, "YES", "DATE", "YES"),
    ]
    paths = rows(
        client, "SELECT field_path FROM a.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS WHERE table_name = 't'"
    )
    assert [row["field_path"] for row in paths] == ["id", "r", "r.x", "day"]
    assert rows(client, "SELECT schema_name, location FROM INFORMATION_SCHEMA.SCHEMATA") == [
        {"schema_name": "a", "location": "US"}
    ]
    config = bigquery.QueryJobConfig(labels={"team": "ml"})
    job = client.query("SELECT COUNT(*) FROM a.v", job_config=config)
    job.result()
    (row,) = rows(
        client,
        f"""SELECT state, statement_type, total_bytes_billed, labels, referenced_tables[0].table_id AS first,
        creation_time <= end_time AS timed FROM `region-us`.INFORMATION_SCHEMA.JOBS WHERE job_id = '{job.job_id}'""",
    )
    assert (row["state"], row["statement_type"], row["timed"]) == ("DONE", "SELECT", True)
    assert row["labels"] == [{"key": "team", "value": "ml"}]
    assert row["first"] in ("t", "v")
    for query, error, words in (
        ("SELECT * FROM nowhere.INFORMATION_SCHEMA.TABLES", exceptions.NotFound, "Not found: Dataset"),
        ("SELECT * FROM a.INFORMATION_SCHEMA.ROUTINES", exceptions.MethodNotImplemented, "ROUTINES"),
    ):
        with pytest.raises(error, match=words):
            client.query_and_wait(query)


def test_a_job_may_do_to_tables_only_what_its_user_may(start):
    emulator = start(enforce_iam=True)
    owner = client_of(emulator)
    intern = "intern@p1.iam.gserviceaccount.com"
    owner.create_dataset("open")
    owner.create_dataset("closed")
    for name in ("open.t", "closed.t"):
        run(owner, f"CREATE TABLE {name} AS SELECT 1 AS id")
    policy = emulator.call("POST", "/v1/projects/p1:getIamPolicy", {})
    policy["bindings"].append({"role": "roles/bigquery.jobUser", "members": [f"serviceAccount:{intern}"]})
    emulator.call("POST", "/v1/projects/p1:setIamPolicy", {"policy": policy})
    dataset = owner.get_dataset("open")
    reader = bigquery.AccessEntry("READER", "userByEmail", intern)
    dataset.access_entries = [*dataset.access_entries, reader]
    owner.update_dataset(dataset, ["access_entries"])
    client = client_of(emulator, email=intern)
    assert rows(client, "SELECT id FROM open.t") == [{"id": 1}]
    for statement, words in (
        ("SELECT id FROM closed.t", "User does not have permission to query table p1:closed.t"),
        ("SELECT a.id FROM open.t a JOIN closed.t b USING (id)", "query table p1:closed.t"),
        ("INSERT INTO open.t VALUES (2)", "bigquery.tables.updateData denied"),
        ("MERGE open.t t USING open.t s ON FALSE WHEN NOT MATCHED THEN INSERT ROW", "updateData denied"),
        ("CREATE TABLE open.n (a INT64)", "bigquery.tables.create denied"),
        ("DROP TABLE open.t", "bigquery.tables.delete denied"),
        ("CREATE SCHEMA more", "bigquery.datasets.create denied"),
    ):
        with pytest.raises(exceptions.Forbidden, match=words):
            run(client, statement)
    table = owner.get_table("p1.closed.t")
    policy = owner.get_iam_policy(table)
    policy.bindings.append({"role": "roles/bigquery.dataViewer", "members": {f"serviceAccount:{intern}"}})
    assert owner.set_iam_policy(table, policy).bindings == policy.bindings
    assert rows(client, "SELECT id FROM closed.t") == [{"id": 1}], "a table's own policy opens it alone"
    held = client.test_iam_permissions(table, ["bigquery.tables.getData", "bigquery.tables.delete"])
    assert held == {"permissions": ["bigquery.tables.getData"]}
    with pytest.raises(exceptions.Conflict, match="concurrent policy changes"):
        owner.set_iam_policy(table, policy)
    policy = owner.get_iam_policy(table)
    policy.bindings = []
    owner.set_iam_policy(table, policy)
    with pytest.raises(exceptions.Forbidden, match=r"query table p1:closed\.t"):
        client.query("SELECT id FROM closed.t", job_config=bigquery.QueryJobConfig(dry_run=True))
    with pytest.raises(exceptions.Forbidden, match="updateData denied"):
        client.copy_table("p1.open.t", "p1.open.copy").result()
    bucket = emulator.bucket()
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.create access"):
        client.extract_table("p1.open.t", f"gs://{bucket.name}/t.csv").result()
