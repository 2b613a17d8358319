"""Google's clients that speak gRPC alone, or by default, unchanged: Monitoring, Logging, Secret Manager, Pub/Sub's
streaming pull."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.api import metric_pb2
from google.api_core import exceptions
from google.cloud import monitoring_v3, pubsub_v1, secretmanager_v1
from google.cloud.logging_v2.services.config_service_v2 import ConfigServiceV2Client
from google.cloud.logging_v2.services.config_service_v2.transports.grpc import ConfigServiceV2GrpcTransport
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports.grpc import LoggingServiceV2GrpcTransport
from google.cloud.logging_v2.types import LogEntry, LogSink
from google.cloud.monitoring_v3.services.alert_policy_service.transports.grpc import (
    AlertPolicyServiceGrpcTransport,
)
from google.cloud.monitoring_v3.services.metric_service.transports.grpc import MetricServiceGrpcTransport
from google.cloud.monitoring_v3.services.notification_channel_service.transports.grpc import (
    NotificationChannelServiceGrpcTransport,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.grpc import (
    SecretManagerServiceGrpcTransport,
)
from google.protobuf import field_mask_pb2

from tunestack.emulator.rpc import open_door


@pytest.fixture(scope="module")
def address(emulator):
    server, port = open_door(emulator.url)
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="module")
def channel(address):
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def project():
    return f"projects/rpc-{uuid.uuid4().hex[:8]}"


def test_time_series_are_written_and_read(channel, project):
    metrics = monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
    now = datetime.now(UTC)
    for age, value in ((120, 2.0), (60, 1.0)):
        series = monitoring_v3.TimeSeries(
            metric={"type": "custom.googleapis.com/loss", "labels": {"job": "a"}},
            resource={"type": "global", "labels": {"project_id": project.partition("/")[2]}},
            points=[
                {
                    "interval": {"end_time": now - timedelta(seconds=age)},
                    "value": {"double_value": value},
                }
            ],
        )
        metrics.create_time_series(name=project, time_series=[series])
    request = {
        "name": project,
        "filter": 'metric.type = "custom.googleapis.com/loss"',
        "interval": {"start_time": now - timedelta(hours=1), "end_time": now},
        "view": monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
    }
    (found,) = metrics.list_time_series(request=request)
    assert [point.value.double_value for point in found.points] == [1.0, 2.0]
    request["aggregation"] = {
        "alignment_period": {"seconds": 3600},
        "per_series_aligner": monitoring_v3.Aggregation.Aligner.ALIGN_MEAN,
        "cross_series_reducer": monitoring_v3.Aggregation.Reducer.REDUCE_SUM,
        "group_by_fields": ["metric.labels.job"],
    }
    (joined,) = metrics.list_time_series(request=request)
    assert [point.value.double_value for point in joined.points] == [1.5]
    name = f"{project}/metricDescriptors/custom.googleapis.com/loss"
    assert metrics.get_metric_descriptor(name=name).value_type == metric_pb2.MetricDescriptor.DOUBLE
    metrics.delete_metric_descriptor(name=name)
    with pytest.raises(exceptions.NotFound):
        metrics.get_metric_descriptor(name=name)


@pytest.mark.parametrize("place", ["", "/locations/us-east1"])
def test_a_secret_is_kept_and_read(channel, project, place):
    secrets = secretmanager_v1.SecretManagerServiceClient(
        transport=SecretManagerServiceGrpcTransport(channel=channel)
    )
    policy = {} if place else {"replication": {"automatic": {}}}
    made = secrets.create_secret(parent=project + place, secret_id="token", secret=policy)
    version = secrets.add_secret_version(parent=made.name, payload={"data": b"hf_x"})
    assert secrets.access_secret_version(name=f"{made.name}/versions/latest").payload.data == b"hf_x"
    made.labels["team"] = "tuning"
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    assert secrets.update_secret(secret=made, update_mask=mask).labels == {"team": "tuning"}
    assert list(secrets.list_secret_versions(parent=made.name)) == [version]
    policy = secrets.get_iam_policy(request={"resource": made.name})
    policy.bindings.add(role="roles/secretmanager.secretAccessor", members=["user:a@example.com"])
    kept = secrets.set_iam_policy(request={"resource": made.name, "policy": policy})
    assert secrets.get_iam_policy(request={"resource": made.name}) == kept
    with pytest.raises(exceptions.Aborted):
        secrets.set_iam_policy(request={"resource": made.name, "policy": policy})
    asked = {"resource": made.name, "permissions": ["secretmanager.versions.access"]}
    assert list(secrets.test_iam_permissions(request=asked).permissions) == asked["permissions"]
    secrets.disable_secret_version(name=version.name)
    with pytest.raises(exceptions.FailedPrecondition, match="DISABLED"):
        secrets.access_secret_version(name=version.name)
    assert secrets.destroy_secret_version(name=version.name).state.name == "DESTROYED"
    secrets.delete_secret(name=made.name)
    assert list(secrets.list_secrets(parent=project + place)) == []


def test_an_alert_policy_and_its_channel_change_under_a_mask(channel, project):
    channels = monitoring_v3.NotificationChannelServiceClient(
        transport=NotificationChannelServiceGrpcTransport(channel=channel)
    )
    policies = monitoring_v3.AlertPolicyServiceClient(
        transport=AlertPolicyServiceGrpcTransport(channel=channel)
    )
    mail = channels.create_notification_channel(
        name=project,
        notification_channel={"type_": "email", "labels": {"email_address": "me@example.com"}},
    )
    threshold = {"filter": "metric.type=x", "comparison": "COMPARISON_GT", "duration": {"seconds": 60}}
    made = policies.create_alert_policy(
        name=project,
        alert_policy={
            "display_name": "loss",
            "combiner": "OR",
            "conditions": [{"display_name": "high", "condition_threshold": threshold}],
            "notification_channels": [mail.name],
        },
    )
    made.display_name = "more"
    mask = field_mask_pb2.FieldMask(paths=["display_name"])
    changed = policies.update_alert_policy(update_mask=mask, alert_policy=made)
    assert changed.display_name == "more"
    assert [found.name for found in policies.list_alert_policies(name=project)] == [made.name]
    with pytest.raises(exceptions.FailedPrecondition, match="referenced by alerting policies"):
        channels.delete_notification_channel(name=mail.name)
    channels.delete_notification_channel(name=mail.name, force=True)
    policies.delete_alert_policy(name=made.name)
    with pytest.raises(exceptions.InvalidArgument, match="email_address"):
        channels.create_notification_channel(name=project, notification_channel={"type_": "email"})


def test_entries_and_sinks_go_through_loggings_generated_clients(channel, project):
    logs = LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel))
    entry = LogEntry(
        log_name=f"{project}/logs/app", resource={"type": "global"}, text_payload="x", severity="ERROR"
    )
    logs.write_log_entries(entries=[entry])
    found = logs.list_log_entries(resource_names=[project], filter="severity>=ERROR", order_by="")
    assert [one.text_payload for one in found] == ["x"]
    assert list(logs.list_logs(parent=project)) == [f"{project}/logs/app"]
    config = ConfigServiceV2Client(transport=ConfigServiceV2GrpcTransport(channel=channel))
    sink = config.create_sink(
        parent=project,
        sink=LogSink(name="s", destination="storage.googleapis.com/b", filter="severity>=INFO"),
    )
    assert config.get_sink(sink_name=f"{project}/sinks/s") == sink
    config.delete_sink(sink_name=f"{project}/sinks/s")
    with pytest.raises(exceptions.NotFound):
        config.get_sink(sink_name=f"{project}/sinks/s")


def test_entries_are_tailed_as_they_come(emulator, channel, project):
    logs = LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel))
    before = LogEntry(log_name=f"{project}/logs/app", resource={"type": "global"}, text_payload="before")
    logs.write_log_entries(entries=[before])
    request = {"resource_names": [project], "filter": 'textPayload:"after"'}
    ended, came = threading.Event(), []

    def requests():
        yield request
        ended.wait(30)

    def tail():  # the client waits for the first entries before it hands out the stream
        stream = logs.tail_log_entries(requests=requests(), timeout=30)
        while len(came) < 2:
            came.extend(entry.text_payload for entry in next(stream).entries)
        ended.set()
        stream.cancel()

    asked = len(emulator.requests("logging.entries.list"))
    tailing = threading.Thread(target=tail)
    tailing.start()
    while len(emulator.requests("logging.entries.list")) == asked and tailing.is_alive():
        ended.wait(0.05)
    for text in ("after 1", "other", "after 2"):
        after = LogEntry(log_name=f"{project}/logs/app", resource={"type": "global"}, text_payload=text)
        logs.write_log_entries(entries=[after])
    tailing.join(30)
    assert came == ["after 1", "after 2"]


def test_the_emulator_serves_grpc_itself_where_it_is_asked_to(emulator, start):
    local = start(rpc_port=0)
    with grpc.insecure_channel(f"127.0.0.1:{local.call('GET', '/_local/health')['rpcPort']}") as channel:
        metrics = monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
        assert list(metrics.list_metric_descriptors(name="projects/p1")) == []
    assert "rpcPort" not in emulator.call("GET", "/_local/health")


def test_a_streaming_pull_hands_messages_to_a_callback(address, monkeypatch, project):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    with pubsub_v1.SubscriberClient() as subscriber:
        publisher = pubsub_v1.PublisherClient()
        topic, name = f"{project}/topics/jobs", f"{project}/subscriptions/jobs"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=name, topic=topic)
        received, came = [], threading.Event()

        def take(message):
            received.append(message.data)
            message.ack()
            if len(received) == 2:
                came.set()

        future = subscriber.subscribe(name, callback=take)
        for text in (b"a", b"b"):
            publisher.publish(topic, text).result(timeout=60)
        assert came.wait(60)
        future.cancel()
        future.result(timeout=60)
        assert sorted(received) == [b"a", b"b"]
        with pytest.raises(exceptions.AlreadyExists):
            publisher.create_topic(name=topic)
