"""Pub/Sub: topics and what is published to them (pubsub.v1)."""

from __future__ import annotations

import base64
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.services import iam_policy, pubsub_state
from tunestack.emulator.services.cloud_kms_encryption import primary_version
from tunestack.emulator.services.pubsub_state import (
    DELETED_TOPIC,
    SNAPSHOTS,
    SUBSCRIPTIONS,
    TOPICS,
    check_name,
    publish_to,
    subscriptions_of,
)
from tunestack.emulator.services.resources import create_row, keep_row, listed, patched_row
from tunestack.emulator.services.times import seconds

Json = dict[str, Any]

_TOPICS = "pubsub.projects.topics"
_BYTES_AT_MOST = 10_000_000  # of a publish request (cloud.google.com/pubsub/quotas#resource_limits)
_MESSAGES_AT_MOST = 1000


@implements(f"{_TOPICS}.create")
def create(call: Call) -> Json:
    key = call.parent("name")
    check_name(call.path["name"])
    if call.state.rows.find(key):
        raise already_exists(f"Resource already exists in the project (resource={key.rpartition('/')[2]}).")
    if call.body.get("kmsKeyName"):
        primary_version(call.state, call.body["kmsKeyName"])
    _check(call.body)
    return create_row(call, TOPICS, key)


@implements(f"{_TOPICS}.get")
def get(call: Call) -> Json:
    return pubsub_state.find(call.state, call.path["topic"])


@implements(f"{_TOPICS}.list")
def list_topics(call: Call) -> Json:
    return listed(call, call.state.rows.list(TOPICS, call.parent("project")), TOPICS)


@implements(f"{_TOPICS}.patch")
def patch(call: Call) -> Json:
    row = patched_row(call, body=call.body["topic"], mask=call.body["updateMask"], immutable=("kmsKeyName",))
    _check(row)
    return keep_row(call, row)


@implements(f"{_TOPICS}.delete")
def delete(call: Call) -> Json:
    """Its subscriptions stay, of a topic that is no more."""
    state, key = call.state, call.parent("topic")
    name = pubsub_state.find(call.state, call.path["topic"])["name"]
    for collection in (SUBSCRIPTIONS, SNAPSHOTS):
        for row in state.rows.list(collection):
            if row["topic"] == name:
                state.rows.put(state.projects.canonical(row["name"]), {**row, "topic": DELETED_TOPIC})
    state.rows.delete(key)
    state.policies.delete(key)
    return {}


@implements(f"{_TOPICS}.publish")
def publish(call: Call) -> Json:
    messages = call.body["messages"]
    pubsub_state.find(call.state, call.path["topic"])
    problems: list[tuple[str, str]] = []
    if len(messages) > _MESSAGES_AT_MOST:
        problems.append(
            ("messages", f"The value for message_count is too large: at most {_MESSAGES_AT_MOST}.")
        )
    size = 0
    for index, message in enumerate(messages):
        if not message.get("data") and not message.get("attributes"):
            problems.append(
                (f"messages[{index}]", "A message must have non-empty data or at least one attribute.")
            )
        size += len(base64.b64decode(message.get("data", "").replace("-", "+").replace("_", "/") + "=="))
    if size > _BYTES_AT_MOST:
        problems.append(("messages", f"The request is too large: at most {_BYTES_AT_MOST} bytes."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    return {"messageIds": publish_to(call.state, call.parent("topic"), messages)}


@implements(f"{_TOPICS}.subscriptions.list")
def list_subscriptions(call: Call) -> Json:
    name = pubsub_state.find(call.state, call.path["topic"])["name"]
    return _names(call, subscriptions_of(call.state, name), SUBSCRIPTIONS)


@implements(f"{_TOPICS}.snapshots.list")
def list_snapshots(call: Call) -> Json:
    name = pubsub_state.find(call.state, call.path["topic"])["name"]
    rows = [row for row in call.state.rows.list(SNAPSHOTS) if row["topic"] == name]
    return _names(call, rows, SNAPSHOTS)


@implements(*(f"pubsub.projects.{kind}.getIamPolicy" for kind in (TOPICS, SUBSCRIPTIONS, SNAPSHOTS)))
def get_iam_policy(call: Call) -> Json:
    return iam_policy.read_policy(call)


@implements(*(f"pubsub.projects.{kind}.setIamPolicy" for kind in (TOPICS, SUBSCRIPTIONS, SNAPSHOTS)))
def set_iam_policy(call: Call) -> Json:
    return iam_policy.write_policy(call)


@implements(*(f"pubsub.projects.{kind}.testIamPermissions" for kind in (TOPICS, SUBSCRIPTIONS, SNAPSHOTS)))
def test_iam_permissions(call: Call) -> Json:
    return iam_policy.held_permissions(call)


def _names(call: Call, rows: list[Json], field: str) -> Json:
    body = listed(call, rows, field)
    return {**body, field: [row["name"] for row in body.get(field, [])]}


def _check(topic: Json) -> None:
    retention = topic.get("messageRetentionDuration")
    if retention is not None and not 600 <= seconds(retention) <= 31 * 86_400:
        raise invalid(
            "message_retention_duration must be between 10 minutes and 31 days.",
            [("topic.message_retention_duration", retention)],
        )
