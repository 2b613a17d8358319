"""Where log entries go: sinks to buckets, datasets, topics and log buckets, by Google's own clients."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud import logging as google_logging

WRITER = "service-{}@gcp-sa-logging.iam.gserviceaccount.com"


def clients(emulator, project):
    options = {
        "project": project,
        "credentials": AnonymousCredentials(),
        "client_options": {"api_endpoint": emulator.url},
    }
    return google_logging.Client(**options, _use_grpc=False), bigquery.Client(**options)


@pytest.fixture
def project():
    return f"sinks-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def logs(emulator, project):
    return clients(emulator, project)[0]


@pytest.fixture
def warehouse(emulator, project):
    return clients(emulator, project)[1]


def until(found, seconds=20):
    """What ``found`` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return result


def payloads(client, text, **options):
    entries = client.list_entries(filter_=text, **options)
    return [entry.payload for entry in entries if "diagnostic" not in str(entry.payload)]


def problems(client):
    entries = client.list_entries(filter_='log_id("logging.googleapis.com/sink_error")')
    return [(entry.labels["sink_id"], entry.labels["error_code"]) for entry in entries]


def test_a_bucket_has_a_file_an_hour_and_latecomers_an_addendum(start):
    emulator = start()
    logs, _ = clients(emulator, "p1")
    bucket = emulator.bucket()
    logs.sink(
        "all",
        filter_='log_id("training/a") AND jsonPayload.step>0',
        destination=f"storage.googleapis.com/{bucket.name}",
    ).create()
    emulator.call("POST", "/_local/clock", {"set": "2027-03-04T05:10:00Z", "stopped": True})
    log = logs.logger("training/a")
    for step in (1, 2):
        log.log_struct({"step": step})
    assert list(bucket.list_blobs()) == [], "before the hour is over nothing is written"
    emulator.call("POST", "/_local/clock", {"set": "2027-03-04T06:00:00Z"})
    (blob,) = until(lambda: list(bucket.list_blobs()))
    assert blob.name == "training/a/2027/03/04/05:00:00_05:59:59_S0.json"
    entries = [json.loads(line) for line in blob.download_as_text().splitlines()]
    assert [entry["jsonPayload"]["step"] for entry in entries] == [1, 2]
    assert entries[0]["logName"] == "projects/p1/logs/training%2Fa"
    log.log_struct({"step": 3}, timestamp=datetime(2027, 3, 4, 5, 59, tzinfo=UTC))
    emulator.call("POST", "/_local/clock", {"set": "2027-03-04T07:00:00Z"})
    until(lambda: len(list(bucket.list_blobs())) == 2)
    assert any("05:59:59_A0:" in blob.name for blob in bucket.list_blobs())


def test_a_dataset_has_a_table_a_day_whose_columns_grow(logs, warehouse):
    warehouse.create_dataset("logs")
    destination = f"bigquery.googleapis.com/projects/{logs.project}/datasets/logs"
    logs.sink("rows", filter_="severity>=INFO", destination=destination).create()
    log = logs.logger("training/a")
    when = datetime.now(UTC).replace(microsecond=0)
    log.log_struct({"Step": 1, "eval.loss": 0.5}, severity="INFO", timestamp=when, labels={"job": "7"})
    table = f"logs.training_a_{when:%Y%m%d}"

    def rows(query):
        try:
            return [dict(row) for row in warehouse.query_and_wait(query)]
        except (exceptions.NotFound, exceptions.BadRequest):
            return []

    (row,) = until(lambda: rows(f"SELECT * FROM {table}"))  # noqa: S608
    assert row["jsonPayload"] == {"step": 1.0, "eval_loss": 0.5}
    assert (row["timestamp"], row["severity"], row["labels"]) == (when, "INFO", {"job": "7"})
    log.log_struct({"step": 2, "gpu": {"memory": 3}}, severity="INFO", timestamp=when)
    found = until(lambda: rows(f"SELECT jsonPayload.gpu.memory FROM {table} WHERE jsonPayload.step = 2"))  # noqa: S608
    assert found == [{"memory": 3.0}]
    log.log_struct({"step": "three"}, severity="INFO", timestamp=when)
    (wrong,) = until(lambda: rows(f"SELECT * FROM logs.export_errors_{when:%Y%m%d}"))  # noqa: S608
    assert wrong["schemaErrorDetail"] == "jsonPayload.step: expected FLOAT, received STRING"
    assert json.loads(wrong["logEntry"])["jsonPayload"] == {"step": "three"}


def test_a_partitioned_table_is_one_a_log(emulator, logs, warehouse):
    warehouse.create_dataset("logs")
    body = {
        "name": "rows",
        "destination": f"bigquery.googleapis.com/projects/{logs.project}/datasets/logs",
        "bigqueryOptions": {"usePartitionedTables": True},
        "exclusions": [{"name": "noise", "filter": 'textPayload="noise"'}],
    }
    made = emulator.call("POST", f"/v2/projects/{logs.project}/sinks", body)
    assert made["bigqueryOptions"]["usesTimestampColumnPartitioning"] is True
    for text in ("noise", "signal"):
        logs.logger("app").log_text(text)

    def found():
        try:
            return list(warehouse.list_rows("logs.app", selected_fields=None))
        except exceptions.NotFound:
            return []

    assert [row["textPayload"] for row in until(found)] == ["signal"]
    assert warehouse.get_table("logs.app").time_partitioning.field == "timestamp"


def test_a_sink_writes_nothing_without_the_permission_and_says_so(start):
    emulator = start(enforce_iam=True)
    logs, warehouse = clients(emulator, "p1")
    bucket, topic = emulator.bucket(), "projects/p1/topics/logs"
    emulator.call("PUT", f"/v1/{topic}", {})
    emulator.call("PUT", "/v1/projects/p1/subscriptions/logs", {"topic": topic})
    warehouse.create_dataset("logs")
    for name, destination in (
        ("bucket", f"storage.googleapis.com/{bucket.name}"),
        ("dataset", "bigquery.googleapis.com/projects/p1/datasets/logs"),
        ("topic", f"pubsub.googleapis.com/{topic}"),
        ("gone", "pubsub.googleapis.com/projects/p1/topics/gone"),
    ):
        sink = logs.sink(name, filter_='log_id("app")', destination=destination)
        sink.create()
    writer = sink.writer_identity
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 0, "stopped": True})
    logs.logger("app").log_text("lost")
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 3600})
    expected = {
        ("bucket", "bucket_permission_denied"),
        ("dataset", "dataset_permission_denied"),
        ("topic", "topic_permission_denied"),
        ("gone", "topic_not_found"),
    }
    until(lambda: set(problems(logs)) == expected)
    policy = bucket.get_iam_policy()
    policy.bindings.append({"role": "roles/storage.objectCreator", "members": {writer}})
    bucket.set_iam_policy(policy)
    publisher = {"bindings": [{"role": "roles/pubsub.publisher", "members": [writer]}]}
    emulator.call("POST", f"/v1/{topic}:setIamPolicy", {"policy": publisher})
    dataset = warehouse.get_dataset("logs")
    entry = bigquery.AccessEntry("WRITER", "userByEmail", writer.partition(":")[2])
    dataset.access_entries = [*dataset.access_entries, entry]
    warehouse.update_dataset(dataset, ["access_entries"])
    logs.logger("app").log_text("kept")
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 3600})
    (blob,) = until(lambda: list(bucket.list_blobs()))
    assert "lost" not in blob.download_as_text()
    assert "kept" in blob.download_as_text()
    (table,) = until(lambda: list(warehouse.list_tables("logs")))
    assert [row["textPayload"] for row in warehouse.list_rows(table)] == ["kept"]
    pulled = emulator.call("POST", "/v1/projects/p1/subscriptions/logs:pull", {"maxMessages": 9})
    assert len(pulled["receivedMessages"]) == 1


def test_what_waited_for_its_hour_outlives_a_kill(start):
    emulator = start()
    logs, _ = clients(emulator, "p1")
    bucket = emulator.bucket()
    logs.sink(
        "all", filter_='log_id("app") AND textPayload:*', destination=f"storage.googleapis.com/{bucket.name}"
    ).create()
    logs.logger("app").log_text("x")
    emulator.kill()
    emulator.start_again()
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 3600})
    (blob,) = until(lambda: list(emulator.storage().list_blobs(bucket.name)))
    assert json.loads(blob.download_as_text())["textPayload"] == "x"


def test_a_log_bucket_has_what_its_sink_wants_and_default_what_is_not_excluded(emulator, logs):
    project = f"projects/{logs.project}"
    parent = f"{project}/locations/global"
    emulator.call("POST", f"/v2/{parent}/buckets", {"retentionDays": 7}, bucketId="audit")
    sink = logs.sink(
        "audit", filter_="severity>=ERROR", destination=f"logging.googleapis.com/{parent}/buckets/audit"
    )
    sink.create()
    assert not sink.writer_identity, "a log bucket of the same project asks for no permission"
    emulator.call("POST", f"/v2/{project}/exclusions", {"name": "dull", "filter": 'textPayload="dull"'})
    log = logs.logger("app")
    for text, severity in (("dull", "ERROR"), ("fine", "INFO")):
        log.log_text(text, severity=severity)
    for bucket, expected in (("audit", ["dull"]), ("_Default", ["fine"])):
        found = payloads(logs, 'log_id("app")', resource_names=[f"{parent}/buckets/{bucket}"])
        assert found == expected
    assert payloads(logs, 'log_id("app")') == ["dull", "fine"]
    old = datetime.now(UTC) - timedelta(days=8)
    log.log_text("old", severity="ERROR", timestamp=old)
    assert payloads(logs, 'textPayload="old"', resource_names=[f"{parent}/buckets/audit"]) == []
    with pytest.raises(exceptions.BadRequest, match="cannot be deleted"):
        logs.sink("_Default").delete()


def test_an_entry_goes_on_to_another_project_and_no_further(emulator, logs):
    other, _ = clients(emulator, f"{logs.project}-b")
    third, _ = clients(emulator, f"{logs.project}-c")
    logs.sink(
        "on", filter_='log_id("app")', destination=f"logging.googleapis.com/projects/{other.project}"
    ).create()
    other.sink(
        "on", filter_='log_id("app")', destination=f"logging.googleapis.com/projects/{third.project}"
    ).create()
    logs.logger("app").log_text("x")
    assert payloads(other, 'log_id("app")') == ["x"]
    assert payloads(third, 'log_id("app")') == []


def test_a_metric_has_the_distribution_of_what_it_extracts_by_label(emulator, logs):
    body = {
        "name": "loss",
        "filter": 'log_id("train")',
        "valueExtractor": "EXTRACT(jsonPayload.loss)",
        "labelExtractors": {"job": 'REGEXP_EXTRACT(jsonPayload.message, "job (\\\\w+)")'},
        "metricDescriptor": {
            "metricKind": "DELTA",
            "valueType": "DISTRIBUTION",
            "labels": [{"key": "job"}],
        },
        "bucketOptions": {"explicitBuckets": {"bounds": [1.0, 2.0]}},
    }
    emulator.call("POST", f"/v2/projects/{logs.project}/metrics", body)
    when = datetime.now(UTC).replace(second=5)
    for loss in (0.5, 1.5, 2.5, "none"):
        logs.logger("train").log_struct({"loss": loss, "message": "of job a1"}, timestamp=when)
    (series,) = emulator.call(
        "GET",
        f"/v3/projects/{logs.project}/timeSeries",
        **{
            "filter": 'metric.type="logging.googleapis.com/user/loss"',
            "interval.startTime": (when - timedelta(minutes=5)).isoformat(),
            "interval.endTime": (when + timedelta(minutes=5)).isoformat(),
        },
    )["timeSeries"]
    assert series["metric"]["labels"] == {"job": "a1"}
    (point,) = series["points"]
    found = point["value"]["distributionValue"]
    assert (found["count"], found["mean"], found["bucketCounts"]) == ("3", 1.5, ["1", "1", "1"])
    assert found["sumOfSquaredDeviation"] == pytest.approx(2.0)

    def aligned(**aggregation):
        (series,) = emulator.call(
            "GET",
            f"/v3/projects/{logs.project}/timeSeries",
            **{
                "filter": 'metric.type="logging.googleapis.com/user/loss"',
                "interval.startTime": (when - timedelta(minutes=5)).isoformat(),
                "interval.endTime": (when + timedelta(minutes=5)).isoformat(),
                "aggregation.alignmentPeriod": "600s",
                **{f"aggregation.{key}": value for key, value in aggregation.items()},
            },
        )["timeSeries"]
        return series["points"][0]["value"]

    assert aligned(perSeriesAligner="ALIGN_PERCENTILE_50") == {"doubleValue": 1.5}
    joined = {"perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_MEAN"}
    assert aligned(**joined) == {"doubleValue": 1.5}
    assert aligned(perSeriesAligner="ALIGN_DELTA")["distributionValue"]["count"] == "3"
    for wrong, words in (
        ({"valueExtractor": "jsonPayload.loss"}, "Invalid extractor"),
        ({"labelExtractors": {}}, "must be the same"),
    ):
        answer = emulator.http.put(f"/v2/projects/{logs.project}/metrics/loss", json={**body, **wrong})
        assert answer.status_code == 400
        assert words in answer.text
