"""google-cloud-logging, unchanged, over its HTTP API against the emulator (its generated clients are gRPC alone)."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as google_logging
from google.cloud.logging_v2.handlers import CloudLoggingHandler
from google.cloud.logging_v2.handlers.transports import SyncTransport
from google.cloud.logging_v2.resource import Resource
from googleapiclient import discovery

JOB = Resource("ml_job", {"job_id": "7", "task_name": "workerpool0-0", "project_id": "p"})


@pytest.fixture
def project():
    return f"logs-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(emulator, project):
    return google_logging.Client(
        project=project,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        _use_grpc=False,
    )


@pytest.fixture
def api(emulator):
    return discovery.build(
        "logging",
        "v2",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        static_discovery=True,
    )


def payloads(client, text, **options):
    # The first write of a process carries an entry of the client's about itself.
    entries = client.list_entries(filter_=text, **options)
    return [entry.payload for entry in entries if "diagnostic" not in str(entry.payload)]


def test_entries_are_found_by_what_the_filter_says(client):
    log = client.logger("training/a-job")
    log.log_text("step 1 of 3", severity="INFO", resource=JOB, labels={"shard": "a.b"})
    log.log_struct({"message": "Out of Memory", "device": {"id": 3}}, severity="ERROR", resource=JOB)
    client.logger("other").log_text("elsewhere", severity="WARNING")
    errors = [{"message": "Out of Memory", "device": {"id": 3}}]
    for text, found in (
        ('resource.type="ml_job" AND resource.labels.job_id="7"', 2),
        ('resource.labels.job_id="8"', 0),
        ("severity>=WARNING", 2),
        ("severity=(ERROR OR CRITICAL)", 1),
        ('textPayload:"STEP 1"', 1),
        (r'textPayload =~ "step \d"', 1),
        (r'textPayload !~ "step \d"', 2),
        ('jsonPayload.device.id=3 "out of memory"', 1),
        ("NOT severity=ERROR", 2),
        ('labels.shard="a.b"', 1),
        ('log_id("training/a-job")', 2),
        (f'logName="projects/{client.project}/logs/other"', 1),
        (f'timestamp>="{(datetime.now(UTC) - timedelta(minutes=5)).isoformat()}"', 3),
        ('timestamp<"2020-01-01T00:00:00Z"', 0),
        ("elsewhere OR -resource.type=global\n-- a remark", 3),
    ):
        assert len(payloads(client, text)) == found, text
    assert payloads(client, "severity>=ERROR") == errors
    for text in ("severity>=LOUD", "a = (", 'textPayload =~ "("'):
        with pytest.raises(exceptions.BadRequest):
            payloads(client, text)


def test_entries_come_in_the_order_of_time_page_by_page(client):
    log = client.logger("ordered")
    start = datetime.now(UTC) - timedelta(hours=1)
    for minute in (2, 0, 1):
        log.log_text(str(minute), timestamp=start + timedelta(minutes=minute))
    assert payloads(client, 'log_id("ordered")', page_size=2) == ["0", "1", "2"]
    newest = payloads(client, 'log_id("ordered")', order_by=google_logging.DESCENDING, max_results=2)
    assert newest == ["2", "1"]


def test_an_entry_sent_twice_is_one_entry(client):
    log = client.logger("once")
    when = datetime.now(UTC)
    for _ in range(2):
        log.log_text("x", insert_id="same", timestamp=when)
    assert payloads(client, 'log_id("once")') == ["x"]
    log.delete()
    assert payloads(client, 'log_id("once")') == []


def test_pythons_logging_reaches_it_through_googles_handler(client):
    handler = CloudLoggingHandler(client, name="app", transport=SyncTransport)
    logger = logging.getLogger(f"test.{uuid.uuid4().hex}")
    logger.propagate = False
    logger.addHandler(handler)
    logger.error("it broke", extra={"labels": {"part": "trainer"}})
    (entry,) = client.list_entries(filter_='severity=ERROR AND labels.part="trainer"')
    assert entry.payload == "it broke"


def test_a_write_is_refused_whole_unless_it_asks_for_part_of_it(api, client, project):
    entries = [{"textPayload": "good"}, {"textPayload": "bad", "jsonPayload": {}}]
    body = {
        "logName": f"projects/{project}/logs/mixed",
        "resource": {"type": "global"},
        "entries": entries,
    }
    for partial, kept in ((False, []), (True, ["good"])):
        with pytest.raises(Exception, match="one of textPayload"):
            api.entries().write(body={**body, "partialSuccess": partial}).execute()
        assert payloads(client, 'log_id("mixed")') == kept


def test_a_sink_is_made_changed_and_removed(client):
    sink = client.sink("errors", filter_="severity>=ERROR", destination="storage.googleapis.com/b")
    assert not sink.exists()
    sink.create()
    assert sink.writer_identity.endswith("@gcp-sa-logging.iam.gserviceaccount.com")
    sink.filter_ = "severity>=CRITICAL"
    sink.update()
    sink.reload()
    assert sink.filter_ == "severity>=CRITICAL"
    assert {found.name for found in client.list_sinks()} == {"errors", "_Default", "_Required"}
    with pytest.raises(exceptions.Conflict):
        client.sink("errors", destination="storage.googleapis.com/b").create()
    with pytest.raises(exceptions.BadRequest, match="sink destination"):
        client.sink("wrong", destination="nowhere").create()
    sink.delete()
    assert not sink.exists()


def test_a_sink_to_a_topic_passes_on_what_its_filter_wants(emulator, client, project):
    topic, subscription = f"/v1/projects/{project}/topics/logs", f"/v1/projects/{project}/subscriptions/logs"
    emulator.call("PUT", topic, {})
    emulator.call("PUT", subscription, {"topic": topic.removeprefix("/v1/")})
    destination = "pubsub.googleapis.com" + topic.removeprefix("/v1")
    client.sink("alerts", filter_="severity>=ERROR", destination=destination).create()
    log = client.logger("app")
    for severity in ("INFO", "ERROR"):
        log.log_text(severity, severity=severity)
    pulled = emulator.call("POST", subscription + ":pull", {"maxMessages": 10})
    assert len(pulled["receivedMessages"]) == 1


def test_a_metric_counts_what_its_filter_wants(emulator, client, project):
    client.metric("failures", filter_="severity>=ERROR").create()
    log = client.logger("app")
    for severity in ("ERROR", "INFO", "ERROR"):
        log.log_text("x", severity=severity)
    series = emulator.call(
        "GET",
        f"/v3/projects/{project}/timeSeries",
        **{
            "filter": 'metric.type="logging.googleapis.com/user/failures"',
            "interval.startTime": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
            "interval.endTime": (datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
        },
    )["timeSeries"]
    counted = [int(point["value"]["int64Value"]) for one in series for point in one["points"]]
    assert sum(counted) == 2


def test_a_metric_is_made_changed_and_removed(client):
    metric = client.metric("failures", filter_="severity>=ERROR", description="what failed")
    assert not metric.exists()
    metric.create()
    metric.description = "all that failed"
    metric.update()
    metric.reload()
    assert metric.description == "all that failed"
    assert [found.name for found in client.list_metrics()] == ["failures"]
    metric.delete()
    assert not metric.exists()


def test_log_buckets_are_there_made_and_marked_for_removal(api, project):
    buckets = api.projects().locations().buckets()
    parent = f"projects/{project}/locations/global"
    given = buckets.list(parent=parent).execute()["buckets"]
    assert {row["name"].rpartition("/")[2]: row["retentionDays"] for row in given} == {
        "_Default": 30,
        "_Required": 400,
    }
    made = buckets.create(parent=parent, bucketId="audit", body={"retentionDays": 90}).execute()
    changed = buckets.patch(name=made["name"], updateMask="description", body={"description": "d"}).execute()
    assert (changed["retentionDays"], changed["description"]) == (90, "d")
    buckets.delete(name=made["name"]).execute()
    assert buckets.get(name=made["name"]).execute()["lifecycleState"] == "DELETE_REQUESTED"
    buckets.undelete(name=made["name"], body={}).execute()
    assert buckets.get(name=made["name"]).execute()["lifecycleState"] == "ACTIVE"
    with pytest.raises(Exception, match="cannot be deleted"):
        buckets.delete(name=f"{parent}/buckets/_Default").execute()


def test_what_a_trainer_prints_is_found_by_its_job(emulator):
    name = emulator.submit(emulator.bucket(), train_steps=6)
    assert emulator.wait(name)["state"].endswith("SUCCEEDED")
    client = google_logging.Client(
        project="p1",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        _use_grpc=False,
    )
    wanted = f'resource.type="ml_job" AND resource.labels.job_id="{name.rpartition("/")[2]}"'
    steps = list(client.list_entries(filter_=f"{wanted} AND jsonPayload.step=6"))
    assert steps
    assert dict(steps[0].resource.labels)["task_name"] == "workerpool0-0"
    assert steps[0].log_name == "projects/p1/logs/workerpool0-0"
    said = client.list_entries(filter_=f'{wanted} AND resource.labels.task_name="service"')
    assert [entry.payload["message"] for entry in said] == ["Job completed successfully."]
