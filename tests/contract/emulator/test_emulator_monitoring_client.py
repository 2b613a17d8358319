"""Cloud Monitoring by google-api-python-client, unchanged, over REST.

google-cloud-monitoring speaks gRPC alone: test_emulator_rpc_clients.py.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, errors

NOW = datetime.now(UTC).replace(microsecond=0)


def service(emulator, version):
    return discovery.build(
        "monitoring",
        version,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        static_discovery=True,
    ).projects()


@pytest.fixture(scope="module")
def monitoring(emulator):
    return service(emulator, "v3")


@pytest.fixture
def project():
    return f"projects/m-{uuid.uuid4().hex[:8]}"


def time(seconds):
    return (NOW + timedelta(seconds=seconds)).isoformat()


def write(monitoring, project, name, value, seconds, labels=None, **fields):
    series = {
        "metric": {"type": f"custom.googleapis.com/{name}", "labels": labels or {}},
        "resource": {"type": "global", "labels": {"project_id": project.partition("/")[2]}},
        "points": [{"interval": {"endTime": time(seconds)}, "value": value}],
        **fields,
    }
    monitoring.timeSeries().create(name=project, body={"timeSeries": [series]}).execute()


def read(monitoring, project, text, start=-3600, end=0, **aggregation):
    found = monitoring.timeSeries().list(
        name=project,
        filter=text,
        interval_startTime=time(start),
        interval_endTime=time(end),
        **{f"aggregation_{key}": value for key, value in aggregation.items()},
    )
    return found.execute().get("timeSeries", [])


def values(series):
    return [next(iter(point["value"].values())) for point in series["points"]]


def test_points_are_read_newest_first_by_metric_and_label(monitoring, project):
    for job, seconds, loss in (("a", -300, 2.0), ("a", -240, 1.5), ("b", -240, 9.0)):
        write(monitoring, project, "tuning/loss", {"doubleValue": loss}, seconds, {"job": job})
    write(monitoring, project, "tuning/steps", {"int64Value": "7"}, -240)
    metric = 'metric.type = "custom.googleapis.com/tuning/loss"'
    (found,) = read(monitoring, project, f'{metric} AND metric.labels.job = "a"')
    assert values(found) == [1.5, 2.0]
    assert (found["metricKind"], found["valueType"]) == ("GAUGE", "DOUBLE")
    for text, count in (
        (metric, 2),
        (f'{metric} metric.label.job = one_of("b", "c")', 1),
        ('metric.type = starts_with("custom.googleapis.com/tuning/")', 3),
        ('metric.type = ends_with("steps")', 1),
        (f'{metric} AND metric.labels.job != "a"', 1),
        (f'{metric} AND resource.type = "gce_instance"', 0),
        ('metric.type = monitoring.regex.full_match(".*/(loss|steps)")', 3),
    ):
        assert len(read(monitoring, project, text)) == count, text
    assert read(monitoring, project, metric, start=-200) == []
    described = monitoring.metricDescriptors().list(name=project).execute()["metricDescriptors"]
    assert {row["type"]: row["valueType"] for row in described} == {
        "custom.googleapis.com/tuning/loss": "DOUBLE",
        "custom.googleapis.com/tuning/steps": "INT64",
    }


def test_series_are_aligned_and_joined(monitoring, project):
    for job, shift in (("a", 0), ("b", 10)):
        for seconds, value in ((-170, 1), (-130, 3), (-50, 5)):
            write(monitoring, project, "n", {"int64Value": str(value + shift)}, seconds, {"job": job})
    text = 'metric.type = "custom.googleapis.com/n"'
    first, second = read(monitoring, project, text, alignmentPeriod="60s", perSeriesAligner="ALIGN_MEAN")
    assert (values(first), values(second)) == ([5.0, 2.0], [15.0, 12.0])
    joined = {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MAX"}
    for reducer, expected in (
        ("REDUCE_SUM", ["20", "16"]),
        ("REDUCE_MEAN", [10.0, 8.0]),
        ("REDUCE_COUNT", ["2", "2"]),
        ("REDUCE_PERCENTILE_50", [10.0, 8.0]),
    ):
        (series,) = read(monitoring, project, text, crossSeriesReducer=reducer, **joined)
        assert values(series) == expected, reducer
        assert "labels" not in series["metric"]
    by_job = read(
        monitoring,
        project,
        text,
        crossSeriesReducer="REDUCE_MAX",
        groupByFields=["metric.labels.job"],
        **joined,
    )
    assert [series["metric"]["labels"] for series in by_job] == [{"job": "a"}, {"job": "b"}]
    with pytest.raises(errors.HttpError, match="at least 60 seconds"):
        read(monitoring, project, text, alignmentPeriod="1s", perSeriesAligner="ALIGN_MEAN")


def test_a_running_total_gives_what_came_in_each_window(monitoring, project):
    for seconds, total in ((-170, 100), (-110, 130), (-50, 190)):
        series = {
            "metric": {"type": "custom.googleapis.com/total"},
            "metricKind": "CUMULATIVE",
            "points": [
                {
                    "interval": {"startTime": time(-1000), "endTime": time(seconds)},
                    "value": {"int64Value": str(total)},
                }
            ],
        }
        monitoring.timeSeries().create(name=project, body={"timeSeries": [series]}).execute()
    text = 'metric.type = "custom.googleapis.com/total"'
    (found,) = read(monitoring, project, text, alignmentPeriod="60s", perSeriesAligner="ALIGN_DELTA")
    assert values(found) == ["60", "30", "0"]
    (found,) = read(monitoring, project, text, alignmentPeriod="60s", perSeriesAligner="ALIGN_RATE")
    assert values(found)[:2] == [1.0, 0.5]


def test_a_point_that_google_refuses_is_refused_and_the_others_are_kept(monitoring, project):
    write(monitoring, project, "x", {"int64Value": "1"}, -60)
    for value, seconds, words in (
        ({"int64Value": "2"}, -120, "in order"),
        ({"int64Value": "2"}, -58, "more frequently"),
        ({"doubleValue": 2.0}, -10, "value type"),
        ({"int64Value": "2"}, -26 * 3600, "25 hours"),
    ):
        with pytest.raises(errors.HttpError, match=words):
            write(monitoring, project, "x", value, seconds)
    good = {
        "metric": {"type": "custom.googleapis.com/y"},
        "points": [{"interval": {"endTime": time(-5)}, "value": {"boolValue": True}}],
    }
    body = {"timeSeries": [{**good, "metric": {"type": "nowhere"}}, good]}
    with pytest.raises(errors.HttpError, match=r"timeSeries\[0\]"):
        monitoring.timeSeries().create(name=project, body=body).execute()
    assert len(read(monitoring, project, 'metric.type = starts_with("custom")')) == 2


def test_an_alert_policy_is_made_changed_and_needs_channels_that_are_there(monitoring, project):
    body = {"type": "email", "labels": {"email_address": "me@example.com"}}
    channel = monitoring.notificationChannels().create(name=project, body=body).execute()
    condition = {
        "displayName": "too high",
        "conditionThreshold": {
            "filter": 'metric.type="custom.googleapis.com/x"',
            "comparison": "COMPARISON_GT",
            "thresholdValue": 3,
            "duration": "60s",
        },
    }
    policy = {
        "displayName": "loss",
        "combiner": "OR",
        "conditions": [condition],
        "notificationChannels": [channel["name"]],
    }
    policies = monitoring.alertPolicies()
    made = policies.create(name=project, body=policy).execute()
    assert made["enabled"] is True
    assert made["conditions"][0]["name"].startswith(made["name"] + "/conditions/")
    change = {"name": made["name"], "displayName": "more"}
    changed = policies.patch(name=made["name"], updateMask="displayName", body=change).execute()
    assert policies.get(name=made["name"]).execute() == changed
    assert changed["conditions"] == made["conditions"]
    with pytest.raises(errors.HttpError) as refused:
        policies.create(
            name=project, body={"notificationChannels": [project + "/notificationChannels/9"]}
        ).execute()
    for words in ("display_name is required", "between one and six", "combiner", "does not exist"):
        assert words in str(refused.value)
    channels = monitoring.notificationChannels()
    with pytest.raises(errors.HttpError, match="referenced by alerting policies"):
        channels.delete(name=channel["name"]).execute()
    channels.delete(name=channel["name"], force=True).execute()
    assert policies.get(name=made["name"]).execute()["notificationChannels"] == []
    policies.delete(name=made["name"]).execute()
    with pytest.raises(errors.HttpError, match="email_address"):
        channels.create(name=project, body={"type": "email"}).execute()


def test_dashboards_and_uptime_checks_read_back_as_sent(emulator, monitoring, project):
    boards = service(emulator, "v1").dashboards()
    sent = {"displayName": "tuning", "gridLayout": {"columns": "2", "widgets": [{"title": "a"}]}}
    made = boards.create(parent=project, body=sent).execute()
    assert {**made, **sent} == made
    changed = boards.patch(name=made["name"], body={**made, "displayName": "x"}).execute()
    assert boards.get(name=made["name"]).execute() == changed
    with pytest.raises(errors.HttpError) as refused:
        boards.patch(name=made["name"], body=made).execute()
    assert refused.value.status_code == 409
    boards.delete(name=made["name"]).execute()
    assert boards.list(parent=project).execute() == {}
    checks = monitoring.uptimeCheckConfigs()
    check = {
        "displayName": "up",
        "httpCheck": {"path": "/health", "port": 443},
        "monitoredResource": {"type": "uptime_url", "labels": {"host": "example.com"}},
        "period": "300s",
    }
    made = checks.create(parent=project, body=check).execute()
    assert {**made, **check} == made
    checks.delete(name=made["name"]).execute()
    assert checks.list(parent=project).execute() == {"totalSize": 0}
