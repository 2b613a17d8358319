"""Pub/Sub: subscriptions, pulling and acknowledging, seeking (pubsub.v1)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.services import pubsub_state
from tunestack.emulator.services.pubsub_state import (
    SUBSCRIPTIONS,
    acknowledge,
    check_name,
    hand_out,
    message_numbers,
    postpone,
    woken,
)
from tunestack.emulator.services.pubsub_targets import delivered_to, targeted
from tunestack.emulator.services.resources import create_row, keep_row, listed, patched_row
from tunestack.emulator.services.times import moment, seconds, written

Json = dict[str, Any]

_SUBSCRIPTIONS = "pubsub.projects.subscriptions"
_DAY = 86_400
# A pull without messages may be answered empty at any time; Google's waits longer.
_WAIT_SECONDS = 1.0
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
    call.body = targeted(call, {**_DEFAULTS, **call.body})
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
    row = {**_DEFAULTS, **row, "ackDeadlineSeconds": row.get("ackDeadlineSeconds") or 10, "state": "ACTIVE"}
    _check(row)
    woken(call.state)
    return keep_row(call, targeted(call, row))


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
    row = targeted(call, {**row, "pushConfig": call.body["pushConfig"]})
    call.state.rows.put(call.parent("subscription"), row)
    woken(call.state)
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
            if delivered_to(row) is not None:
                raise failed_precondition("This method is not supported for this subscription type.")
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
    row = pubsub_state.find(state, key)
    wait = call.body.get("ackDeadlineSeconds", 0)
    if not 0 <= wait <= 600:
        raise invalid(
            "ack_deadline_seconds must be between 0 and 600.", [("ack_deadline_seconds", str(wait))]
        )
    for number in message_numbers(key, call.body["ackIds"]):
        postpone(state, row, key, number, wait)
    if wait == 0:
        woken(state)
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
    woken(state)
    return {}


def _check(subscription: Json) -> None:
    """What Google's prose forbids beyond the schema; of targets `targeted` says it."""
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
    retry = subscription.get("retryPolicy", {})
    backoffs = [
        seconds(retry.get(f"{name}imumBackoff", default))
        for name, default in (("min", "10s"), ("max", "600s"))
    ]
    if not 0 <= backoffs[0] <= backoffs[1] <= 600:
        problems.append(
            (
                "retry_policy",
                "The backoffs must be between 0 and 600 seconds, the minimum at most the maximum.",
            )
        )
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
