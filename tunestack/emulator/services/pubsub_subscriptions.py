"""Pub/Sub: subscriptions, pulling and acknowledging, snapshots and seeking (pubsub.v1).

Push, BigQuery and Cloud Storage subscriptions would have to be delivered by the emulator itself: they are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, already_exists, failed_precondition, invalid
from tunestack.emulator.services import pubsub_state
from tunestack.emulator.services.pubsub_state import (
    DELETED_TOPIC,
    SNAPSHOTS,
    SUBSCRIPTIONS,
    acknowledge,
    check_name,
    hand_out,
    message_numbers,
    unacknowledged,
)
from tunestack.emulator.services.resources import create_row, keep_row, listed, patched_row
from tunestack.emulator.services.times import moment, seconds, written

Json = dict[str, Any]

_SUBSCRIPTIONS = "pubsub.projects.subscriptions"
_SNAPSHOTS = "pubsub.projects.snapshots"
_DAY = 86_400
# A pull without messages may be answered empty at any time; Google's waits longer.
_WAIT_SECONDS = 1.0
_DELIVERED_ELSEWHERE = ("bigqueryConfig", "bigtableConfig", "cloudStorageConfig")
_DEFAULTS: Json = {
    "messageRetentionDuration": f"{7 * _DAY}s",
    "expirationPolicy": {"ttl": f"{31 * _DAY}s"},
    "pushConfig": {},
}


@implements(f"{_SUBSCRIPTIONS}.create")
def create(call: Call) -> Json:
    state, key = call.state, call.parent("name")
    check_name(call.path["name"])
    if state.rows.find(key):
        raise already_exists(f"Resource already exists in the project (resource={key.rpartition('/')[2]}).")
    topic = pubsub_state.find(state, call.body.get("topic", ""))
    _check(call.body)
    call.body = {**_DEFAULTS, **call.body}
    deadline = call.body.get("ackDeadlineSeconds") or 10
    return create_row(
        call, SUBSCRIPTIONS, key, topic=topic["name"], ackDeadlineSeconds=deadline, state="ACTIVE"
    )


@implements(f"{_SUBSCRIPTIONS}.get")
def get(call: Call) -> Json:
    return pubsub_state.find(call.state, call.path["subscription"])


@implements(f"{_SUBSCRIPTIONS}.list")
def list_subscriptions(call: Call) -> Json:
    return listed(call, call.state.rows.list(SUBSCRIPTIONS, call.parent("project")), SUBSCRIPTIONS)


@implements(f"{_SUBSCRIPTIONS}.patch")
def patch(call: Call) -> Json:
    pubsub_state.find(call.state, call.path["name"])
    row = patched_row(
        call,
        body=call.body["subscription"],
        mask=call.body["updateMask"],
        immutable=("topic", "filter", "enableMessageOrdering"),
    )
    row = {**_DEFAULTS, **row, "ackDeadlineSeconds": row.get("ackDeadlineSeconds") or 10}
    _check(row)
    return keep_row(call, row)


@implements(f"{_SUBSCRIPTIONS}.delete")
def delete(call: Call) -> Json:
    state, key = call.state, call.parent("subscription")
    pubsub_state.find(state, key)
    state.database.execute("DELETE FROM delivery WHERE subscription = ?", key)
    state.rows.delete(key)
    state.policies.delete(key)
    return {}


@implements(f"{_SUBSCRIPTIONS}.detach")
def detach(call: Call) -> Json:
    """No message comes any more, and those that are there are gone."""
    state, key = call.state, call.parent("subscription")
    row = pubsub_state.find(state, key)
    state.database.execute("DELETE FROM delivery WHERE subscription = ?", key)
    state.rows.put(key, {**row, "detached": True})
    return {}


@implements(f"{_SUBSCRIPTIONS}.modifyPushConfig")
def modify_push_config(call: Call) -> Json:
    row = pubsub_state.find(call.state, call.path["subscription"])
    _check({**row, "pushConfig": call.body["pushConfig"]})
    call.state.rows.put(call.parent("subscription"), {**row, "pushConfig": call.body["pushConfig"]})
    return {}


@implements(f"{_SUBSCRIPTIONS}.pull")
async def pull(call: Call) -> Json:
    state = call.state
    at_most = call.body.get("maxMessages", 0)
    if at_most < 1:
        raise invalid("max_messages must be at least 1.", [("max_messages", str(at_most))])
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while True:
        with state.database.transaction():
            row = pubsub_state.find(state, call.path["subscription"])
            if row.get("detached"):
                raise failed_precondition(f"The subscription {row['name']} is detached.")
            state.published.clear()
            received = hand_out(state, row, at_most)
        left = deadline - asyncio.get_running_loop().time()
        if received or left <= 0 or call.body.get("returnImmediately"):
            return {"receivedMessages": received} if received else {}
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(state.published.wait(), left)


@implements(f"{_SUBSCRIPTIONS}.acknowledge")
def acknowledge_messages(call: Call) -> Json:
    key = call.parent("subscription")
    pubsub_state.find(call.state, key)
    acknowledge(call.state, key, message_numbers(key, call.body["ackIds"]))
    return {}


@implements(f"{_SUBSCRIPTIONS}.modifyAckDeadline")
def modify_ack_deadline(call: Call) -> Json:
    state, key = call.state, call.parent("subscription")
    pubsub_state.find(state, key)
    wait = call.body.get("ackDeadlineSeconds", 0)
    if not 0 <= wait <= 600:
        raise invalid(
            "ack_deadline_seconds must be between 0 and 600.", [("ack_deadline_seconds", str(wait))]
        )
    due = written(state.clock() + timedelta(seconds=wait))
    for number in message_numbers(key, call.body["ackIds"]):
        state.database.execute(
            "UPDATE delivery SET due = ? WHERE subscription = ? AND message = ?", *(due, key, number)
        )
    if wait == 0:
        state.database.after_commit(state.published.set)
    return {}


@implements(f"{_SUBSCRIPTIONS}.seek")
def seek(call: Call) -> Json:
    """To a time: older messages are acknowledged, newer ones not, where they are retained. Or to a snapshot."""
    state, key = call.state, call.parent("subscription")
    row = pubsub_state.find(state, key)
    if ("time" in call.body) == ("snapshot" in call.body):
        raise invalid("One of time and snapshot must be set.", [("target", "time or snapshot")])
    if "time" in call.body:
        since, kept = written(moment(call.body["time"])), []
        topic = state.rows.find(state.projects.canonical(row["topic"])) or {}
        returns = bool(row.get("retainAckedMessages") or topic.get("messageRetentionDuration"))
    else:
        snapshot = pubsub_state.find(state, call.body["snapshot"])
        if snapshot["topic"] != row["topic"]:
            raise invalid(f"The snapshot {snapshot['name']} is not of the topic {row['topic']}.")
        since, kept, returns = snapshot["_time"], snapshot["_unacknowledged"], True
    deliveries = state.database.execute(
        "SELECT message, time, acknowledged FROM delivery JOIN message ON id = message WHERE subscription = ?",
        key,
    )
    for number, time, acknowledged in deliveries:
        wanted = time >= since or number in kept
        state.database.execute(
            "UPDATE delivery SET acknowledged = ?, due = ? WHERE subscription = ? AND message = ?",
            *(int(not wanted or (bool(acknowledged) and not returns)), state.now(), key, number),
        )
    state.database.after_commit(state.published.set)
    return {}


@implements(f"{_SNAPSHOTS}.create")
def create_snapshot(call: Call) -> Json:
    state, key = call.state, call.parent("name")
    check_name(call.path["name"])
    if state.rows.find(key):
        raise already_exists(f"Resource already exists in the project (resource={key.rpartition('/')[2]}).")
    subscription = pubsub_state.find(state, call.body["subscription"])
    if subscription["topic"] == DELETED_TOPIC:
        raise failed_precondition(f"The topic of {subscription['name']} was deleted.")
    row = {
        "name": state.projects.by_id(key),
        "topic": subscription["topic"],
        "expireTime": written(state.clock() + timedelta(days=7)),
        **({"labels": call.body["labels"]} if call.body.get("labels") else {}),
        "_time": state.now(),
        "_unacknowledged": unacknowledged(state, state.projects.canonical(subscription["name"])),
    }
    state.rows.create(SNAPSHOTS, key.rsplit("/", 2)[0], key, row)
    return _shown(row)


@implements(f"{_SNAPSHOTS}.get")
def get_snapshot(call: Call) -> Json:
    return _shown(pubsub_state.find(call.state, call.path["snapshot"]))


@implements(f"{_SNAPSHOTS}.list")
def list_snapshots(call: Call) -> Json:
    rows = call.state.rows.list(SNAPSHOTS, call.parent("project"))
    return listed(call, [_shown(row) for row in rows], SNAPSHOTS)


@implements(f"{_SNAPSHOTS}.patch")
def patch_snapshot(call: Call) -> Json:
    pubsub_state.find(call.state, call.path["name"])
    row = patched_row(call, body=call.body["snapshot"], mask=call.body["updateMask"], immutable=("topic",))
    return _shown(call.state.rows.put(call.parent("name"), row))


@implements(f"{_SNAPSHOTS}.delete")
def delete_snapshot(call: Call) -> Json:
    pubsub_state.find(call.state, call.path["snapshot"])
    call.state.rows.delete(call.parent("snapshot"))
    call.state.policies.delete(call.parent("snapshot"))
    return {}


def _shown(row: Json) -> Json:
    return {key: value for key, value in row.items() if not key.startswith("_")}


def _check(subscription: Json) -> None:
    """What Google's prose forbids beyond the schema, and what the emulator does not play."""
    elsewhere = [field for field in _DELIVERED_ELSEWHERE if subscription.get(field)]
    if subscription.get("pushConfig", {}).get("pushEndpoint"):
        elsewhere.append("pushConfig")
    if elsewhere:
        text = f"{', '.join(elsewhere)}: the tunestack emulator delivers messages only to those who pull"
        raise ApiError("UNIMPLEMENTED", text)
    problems: list[tuple[str, str]] = []
    deadline = subscription.get("ackDeadlineSeconds", 0)
    if deadline and not 10 <= deadline <= 600:
        problems.append(("ack_deadline_seconds", "ack_deadline_seconds must be between 10 and 600."))
    retention = subscription.get("messageRetentionDuration")
    if retention is not None and not 600 <= seconds(retention) <= 31 * _DAY:
        problems.append(
            ("message_retention_duration", "The retention must be between 10 minutes and 31 days.")
        )
    attempts = subscription.get("deadLetterPolicy", {}).get("maxDeliveryAttempts", 5)
    if not 5 <= attempts <= 100:
        problems.append(("max_delivery_attempts", "max_delivery_attempts must be between 5 and 100."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
