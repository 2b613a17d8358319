"""Cloud Monitoring: what a policy's Pub/Sub channels are told of an incident, in the schema of version 1.2.

cloud.google.com/monitoring/support/notification-options#pubsub and …/alerts/using-channels#schema-pubsub.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.times import moment
from tunestack.emulator.state import State

Json = dict[str, Any]

_VERSION = "1.2"
_SEVERITIES = {"CRITICAL": "Critical", "ERROR": "Error", "WARNING": "Warning"}


def notify(state: State, policy: Json, alert: Json, value: float | None) -> None:
    """Tell the channels of a policy that are topics, as far as Monitoring's agent may publish to them."""
    prompts = policy.get("alertStrategy", {}).get("notificationPrompts") or ["OPENED", "CLOSED"]
    by_log = "conditionMatchedLog" in alert["_condition"]
    if (alert["state"] == "OPEN" and "OPENED" not in prompts) or (
        alert["state"] == "CLOSED" and ("CLOSED" not in prompts or by_log)
    ):
        return
    number = state.projects.canonical(policy["name"]).split("/")[1]
    agent = f"service-{number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
    data = base64.b64encode(orjson.dumps(_message(state, number, policy, alert, value))).decode()
    for name in policy.get("notificationChannels", []):
        channel = state.rows.find(state.projects.canonical(name)) or {}
        if channel.get("type") != "pubsub" or not channel.get("enabled", True):
            continue
        topic = state.projects.canonical(channel["labels"]["topic"])
        resource = named_resource(state, topic, "pubsub.googleapis.com")
        if state.rows.find(topic) is not None and state.access.may(agent, "pubsub.topics.publish", resource):
            publish_to(state, topic, [{"data": data}])


def _message(state: State, number: str, policy: Json, alert: Json, value: float | None) -> Json:
    condition = alert["_condition"]
    threshold = condition.get("conditionThreshold", {})
    identifier = alert["name"].rpartition("/")[2]
    project = state.projects.id(number)
    metric, resource = alert.get("metric", {}), alert.get("resource", {})
    closed = alert["state"] == "CLOSED"
    documentation = policy.get("documentation", {})
    limit = str(float(threshold.get("thresholdValue", 0))) if threshold else ""
    incident = {
        "condition": condition,
        "condition_name": condition.get("displayName", ""),
        "documentation": {
            "content": documentation.get("content", ""),
            "mime_type": documentation.get("mimeType", ""),
            "subject": documentation.get("subject", f"[ALERT] {policy['displayName']}"),
        },
        "ended_at": int(moment(alert["closeTime"]).timestamp()) if closed else None,
        "incident_id": identifier,
        "metadata": {"system_labels": {}, "user_labels": {}},
        "metric": {
            "displayName": metric.get("type", "").rpartition("/")[2],
            "labels": metric.get("labels", {}),
            "type": metric.get("type", ""),
        },
        "observed_value": "" if value is None else str(value),
        "policy_name": policy["displayName"],
        "policy_user_labels": policy.get("userLabels", {}),
        "resource": {"labels": resource.get("labels", {}), "type": resource.get("type", "")},
        "resource_id": "",
        "resource_name": f"{project} {resource.get('type', '')}",
        "scoping_project_id": project,
        "scoping_project_number": int(number),
        "severity": _SEVERITIES.get(policy.get("severity", ""), "No severity"),
        "started_at": int(moment(alert["openTime"]).timestamp()),
        "state": "closed" if closed else "open",
        "summary": _summary(policy, condition, metric, limit, value, closed=closed),
        "threshold_value": limit,
        "url": f"https://console.cloud.google.com/monitoring/alerting/alerts/{identifier}?project={project}",
    }
    return {"incident": incident, "version": _VERSION}


def _summary(
    policy: Json, condition: Json, metric: Json, limit: str, value: float | None, *, closed: bool
) -> str:
    name = condition.get("displayName", "")
    if not metric:
        return f"Log match condition fired for {policy['displayName']}: {name}."
    what = f"{metric['type']} for {name}"
    if value is None or not limit:
        return f"{what} {'returned to normal' if closed else 'is absent or in violation'}."
    if closed:
        return f"{what} returned to normal with a value of {value:.3f}."
    return f"{what} is in violation of the threshold of {float(limit):.3f} with a value of {value:.3f}."
