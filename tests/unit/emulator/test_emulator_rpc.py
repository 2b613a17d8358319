"""How a call over gRPC becomes a REST call."""

from __future__ import annotations

import pytest

from tunestack.emulator.rpc import table, transcoded


@pytest.mark.parametrize(
    ("method", "request_body", "expected"),
    [
        (
            {"template": "v3/{+name}/alertPolicies", "request": "AlertPolicy"},
            {"name": "projects/p", "alertPolicy": {"displayName": "x"}},
            ("v3/projects/p/alertPolicies", [], {"displayName": "x"}),
        ),
        (
            {"template": "v3/{+name}", "request": "AlertPolicy"},
            {"alertPolicy": {"name": "projects/p/alertPolicies/1"}, "updateMask": "displayName"},
            (
                "v3/projects/p/alertPolicies/1",
                [("updateMask", "displayName")],
                {"name": "projects/p/alertPolicies/1"},
            ),
        ),
        (
            {"template": "v1/{+name}", "request": "UpdateTopicRequest"},
            {"topic": {"name": "projects/p/topics/t"}, "updateMask": "labels"},
            (
                "v1/projects/p/topics/t",
                [],
                {"topic": {"name": "projects/p/topics/t"}, "updateMask": "labels"},
            ),
        ),
        (
            {"template": "v1/{+name}", "request": "Topic"},
            {"name": "projects/p/topics/t", "labels": {"a": "b"}},
            ("v1/projects/p/topics/t", [], {"name": "projects/p/topics/t", "labels": {"a": "b"}}),
        ),
        (
            {"template": "v3/{+name}/timeSeries"},
            {"name": "projects/p", "interval": {"endTime": "t"}, "view": "FULL", "a": ["b", "c"], "f": True},
            (
                "v3/projects/p/timeSeries",
                [("interval.endTime", "t"), ("view", "FULL"), ("a", "b"), ("a", "c"), ("f", "true")],
                None,
            ),
        ),
        (
            {"template": "v2/{+logName}"},
            {"logName": "projects/p/logs/a%2Fb c"},
            ("v2/projects/p/logs/a%2Fb%20c", [], None),
        ),
    ],
)
def test_a_request_goes_where_the_methods_template_says(method, request_body, expected):
    assert transcoded(method, request_body) == expected


def test_every_call_of_the_clients_that_is_implemented_has_a_method():
    served = {rpc.method["id"] for rpc in table().values()}
    for method in (
        "monitoring.projects.timeSeries.list",
        "monitoring.projects.notificationChannels.patch",
        "logging.entries.write",
        "logging.projects.metrics.update",
        "pubsub.projects.subscriptions.seek",
        "pubsub.projects.snapshots.create",
    ):
        assert method in served
