"""Alert policies by google-api-python-client: incidents open and close as points and log entries come in."""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery

TYPE = "custom.googleapis.com/loss"
ANY = f'metric.type="{TYPE}" AND resource.type="global"'


def until(found, seconds=20):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return result


class Watched:
    """A project of an emulator with a topic that its policies tell."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.project = f"projects/a-{uuid.uuid4().hex[:8]}"
        self.api = discovery.build(
            "monitoring",
            "v3",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": emulator.url},
            static_discovery=True,
        ).projects()
        topic = f"{self.project}/topics/incidents"
        self.subscription = f"{self.project}/subscriptions/incidents"
        emulator.call("PUT", f"/v1/{topic}", {})
        emulator.call("PUT", f"/v1/{self.subscription}", {"topic": topic})
        channel = {"type": "pubsub", "labels": {"topic": topic}}
        self.channel = self.api.notificationChannels().create(name=self.project, body=channel).execute()
        self.topic = topic

    def policy(self, *conditions, **fields):
        body = {
            "displayName": "loss",
            "combiner": "OR",
            "conditions": list(conditions),
            "notificationChannels": [self.channel["name"]],
            **fields,
        }
        return self.api.alertPolicies().create(name=self.project, body=body).execute()

    def now(self):
        return datetime.fromisoformat(self.emulator.call("GET", "/_local/clock")["now"])

    def write(self, value, ago=0, kind=TYPE, **labels):
        end = (self.now() - timedelta(seconds=ago)).isoformat()
        series = {
            "metric": {"type": kind, "labels": labels},
            "resource": {"type": "global", "labels": {"project_id": self.project.partition("/")[2]}},
            "points": [{"interval": {"endTime": end}, "value": {"doubleValue": value}}],
        }
        self.api.timeSeries().create(name=self.project, body={"timeSeries": [series]}).execute()

    def alerts(self, state="OPEN"):
        rows = self.api.alerts().list(parent=self.project).execute().get("alerts", [])
        return [row for row in rows if row["state"] == state]

    def told(self):
        pulled = self.emulator.call(
            "POST", f"/v1/{self.subscription}:pull", {"maxMessages": 10, "returnImmediately": True}
        )
        received = pulled.get("receivedMessages", [])
        return [json.loads(base64.b64decode(one["message"]["data"]))["incident"] for one in received]

    def advance(self, seconds):
        self.emulator.call("POST", "/_local/clock", {"advanceSeconds": seconds, "stopped": True})


def threshold(above, duration="0s", **fields):
    body = {"filter": ANY, "comparison": "COMPARISON_GT", "thresholdValue": above, "duration": duration}
    return {"displayName": "too high", "conditionThreshold": {**body, **fields}}


@pytest.fixture
def watched(emulator):
    return Watched(emulator)


def test_an_incident_opens_beyond_the_threshold_and_closes_within(watched):
    policy = watched.policy(threshold(1), severity="ERROR", userLabels={"team": "ml"})
    watched.write(0.5, 60, job="7")
    watched.write(2.0, 40, job="7")
    (alert,) = until(watched.alerts)
    assert alert["policy"] == {
        "name": policy["name"], "displayName": "loss", "severity": "ERROR", "userLabels": {"team": "ml"},
    }  # fmt: skip
    assert alert["metric"] == {"type": TYPE, "labels": {"job": "7"}}
    (told,) = until(watched.told)
    assert (told["state"], told["severity"], told["ended_at"]) == ("open", "Error", None)
    assert (told["observed_value"], told["threshold_value"]) == ("2.0", "1.0")
    assert told["condition"]["name"] == policy["conditions"][0]["name"]
    assert told["incident_id"] == alert["name"].rpartition("/")[2]
    watched.write(3.0, 30, job="7")
    watched.write(0.4, 10, job="7")
    (closed,) = until(lambda: watched.alerts("CLOSED"))
    assert closed["name"] == alert["name"]
    assert closed["closeTime"] >= closed["openTime"]
    (told,) = until(watched.told)
    assert (told["state"], told["observed_value"]) == ("closed", "0.4")
    assert watched.alerts() == []


def test_every_series_has_an_incident_of_its_own(watched):
    watched.policy(threshold(1))
    for job in ("1", "2"):
        watched.write(2.0, 10, job=job)
    until(lambda: len(watched.alerts()) == 2)
    assert {alert["metric"]["labels"]["job"] for alert in watched.alerts()} == {"1", "2"}


def test_a_threshold_must_be_exceeded_as_long_as_its_duration(watched):
    watched.policy(threshold(1, "60s"))
    watched.policy(threshold(1), displayName="at once")
    watched.write(2.0, 90)
    watched.write(0.5, 80)
    watched.write(2.0, 70)
    watched.write(2.0, 20)
    (first,) = until(watched.alerts)
    assert first["policy"]["displayName"] == "at once", "the duration begins anew with each point below"
    watched.write(2.0, 5)
    until(lambda: len(watched.alerts()) == 2)


def test_series_are_aligned_and_joined_before_they_are_compared(watched):
    aggregation = {
        "alignmentPeriod": "300s",
        "perSeriesAligner": "ALIGN_MAX",
        "crossSeriesReducer": "REDUCE_SUM",
    }
    watched.policy(threshold(3, aggregations=[aggregation]))
    watched.write(2.0, 20, job="1")
    watched.write(1.5, 10, job="2")
    (alert,) = until(watched.alerts)
    assert "labels" not in alert["metric"]


def test_conditions_that_are_joined_open_one_incident(watched):
    other = threshold(5, filter=f'metric.type="{TYPE}_b" AND resource.type="global"')
    watched.policy(threshold(1), other, combiner="AND")
    watched.write(2.0, 30)
    watched.write(6.0, 20, kind=f"{TYPE}_b")
    (alert,) = until(watched.alerts)
    assert alert["metric"]["type"] == TYPE


def test_a_series_that_ends_is_absent_and_comes_back(start):
    watched = Watched(start())
    absent = {"filter": ANY, "duration": "120s"}
    watched.policy({"displayName": "silent", "conditionAbsent": absent})
    watched.advance(1)
    watched.write(1.0)
    watched.advance(119)
    assert watched.alerts() == []
    watched.advance(60)
    until(watched.alerts)
    watched.write(1.0)
    until(lambda: watched.alerts("CLOSED"))


def test_an_incident_without_data_closes_by_itself(start):
    watched = Watched(start())
    watched.policy(threshold(1), alertStrategy={"autoClose": "1800s"})
    watched.advance(0)
    watched.write(2.0)
    until(watched.alerts)
    watched.advance(1799)
    assert watched.alerts()
    watched.advance(61)
    until(lambda: watched.alerts("CLOSED"))


def test_a_log_entry_opens_an_incident_once_in_its_period(watched):
    condition = {
        "displayName": "it broke",
        "conditionMatchedLog": {
            "filter": 'severity>=ERROR AND textPayload:"memory"',
            "labelExtractors": {"job": "EXTRACT(labels.job)"},
        },
    }
    answer = watched.emulator.http.post(
        f"/v3/{watched.project}/alertPolicies",
        json={"displayName": "x", "combiner": "OR", "conditions": [condition]},
    )
    assert answer.status_code == 400
    assert "notification_rate_limit is required" in answer.text
    watched.policy(condition, alertStrategy={"notificationRateLimit": {"period": "300s"}})
    for text in ("out of memory", "out of memory", "fine"):
        entry = {"textPayload": text, "severity": "ERROR", "labels": {"job": "7"}}
        body = {"logName": f"{watched.project}/logs/app", "resource": {"type": "global"}, "entries": [entry]}
        watched.emulator.call("POST", "/v2/entries:write", body)
    (alert,) = watched.alerts()
    assert alert["log"] == {"extractedLabels": {"job": "7"}}
    (told,) = until(watched.told)
    assert told["state"] == "open"
    assert told["condition_name"] == "it broke"


def test_a_log_based_metric_raises_an_alert(watched):
    metric = {"name": "failures", "filter": "severity>=ERROR"}
    watched.emulator.call("POST", f"/v2/{watched.project}/metrics", metric)
    kind = "logging.googleapis.com/user/failures"
    watched.policy(threshold(1, filter=f'metric.type="{kind}" AND resource.type="global"'))
    when = (watched.now() - timedelta(minutes=2)).isoformat()  # both are of one minute
    for _ in range(2):
        body = {
            "logName": f"{watched.project}/logs/app",
            "resource": {"type": "global"},
            "entries": [
                {
                    "textPayload": "x",
                    "severity": "ERROR",
                    "timestamp": when,
                }
            ],
        }
        watched.emulator.call("POST", "/v2/entries:write", body)
    (alert,) = until(watched.alerts)
    assert alert["metric"]["type"] == kind


def test_a_policy_that_is_not_evaluated_says_so_and_one_that_is_removed_closes_its_incidents(watched):
    promql = {"conditionPrometheusQueryLanguage": {"query": "up == 0", "duration": "0s"}}
    made = watched.policy(promql)
    assert made["validity"]["code"] == 12
    assert "conditionPrometheusQueryLanguage is not evaluated" in made["validity"]["message"]
    policy = watched.policy(threshold(1))
    assert "validity" not in policy
    watched.write(2.0, 10)
    until(watched.alerts)
    watched.api.alertPolicies().delete(name=policy["name"]).execute()
    assert watched.alerts() == []


def test_a_topic_is_told_only_by_an_agent_that_may(start):
    watched = Watched(start(enforce_iam=True))
    watched.policy(threshold(1))
    watched.write(2.0, 60)
    until(watched.alerts)
    assert watched.told() == []
    number = watched.emulator.call("GET", f"/v1/{watched.project}")["projectNumber"]
    agent = f"serviceAccount:service-{number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
    policy = {"bindings": [{"role": "roles/pubsub.publisher", "members": [agent]}]}
    watched.emulator.call("POST", f"/v1/{watched.topic}:setIamPolicy", {"policy": policy})
    watched.write(0.5, 30)
    (told,) = until(watched.told)
    assert told["state"] == "closed"
