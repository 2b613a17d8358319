"""What the Pub/Sub files share: messages, and what each subscription has yet to be told.

A published message is kept once, with a ``delivery`` for each subscription that its topic had then. A delivery
says when the message may be handed out (again), how often it was, and when it was acknowledged.
"""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from typing import Any

import orjson

from tunestack.emulator import list_filter
from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.times import seconds, written
from tunestack.emulator.state import State

Json = dict[str, Any]

TOPICS = "topics"
SUBSCRIPTIONS = "subscriptions"
SNAPSHOTS = "snapshots"
DELETED_TOPIC = "_deleted-topic_"

# cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_DAYS_KEPT = 31  # the longest that Pub/Sub retains a message
_DEAD_LETTER = "CloudPubSubDeadLetterSource"


def check_name(name: str) -> None:
    """Raises 400 on the name of a topic, subscription or snapshot that Google does not allow."""
    _, collection, identifier = name.rsplit("/", 2)
    if not _ID.fullmatch(identifier) or identifier.startswith("goog"):
        raise invalid(f"Invalid [{collection}] name: (name={name})")


def find(state: State, name: str) -> Json:
    """A topic, subscription or snapshot, by name with the project's id or number. Raises 404 in Google's words."""
    key = state.projects.canonical(name)
    return state.rows.get(key, f"Resource not found (resource={key.rpartition('/')[2]}).")


def subscriptions_of(state: State, topic: str) -> list[Json]:
    return [row for row in state.rows.list(SUBSCRIPTIONS) if row["topic"] == topic]


def publish_to(state: State, topic_key: str, messages: list[Json]) -> list[str]:
    """Keep messages and what is to be delivered of them; their ids. The topic is there."""
    database, now = state.database, state.now()
    old = written(state.clock() - timedelta(days=_DAYS_KEPT))
    database.execute("DELETE FROM delivery WHERE message IN (SELECT id FROM message WHERE time < ?)", old)
    database.execute("DELETE FROM message WHERE time < ?", old)
    subscriptions = subscriptions_of(state, state.projects.by_id(topic_key))
    ids = []
    for message in messages:
        number = database.next_number("message")
        body = {**message, "messageId": str(number), "publishTime": now}
        database.execute(
            "INSERT INTO message (id, topic, time, body) VALUES (?, ?, ?, ?)",
            *(number, topic_key, now, orjson.dumps(body)),
        )
        for subscription in subscriptions:
            if subscription.get("detached") or not _wanted(subscription, body):
                continue
            database.execute(
                "INSERT INTO delivery (subscription, message, due, attempts, acknowledged)"
                " VALUES (?, ?, ?, 0, 0)",
                *(state.projects.canonical(subscription["name"]), number, now),
            )
        ids.append(str(number))
    woken(state)
    return ids


def woken(state: State) -> None:
    """Tell who waits for messages that there may be some, once the change is on disk."""
    state.database.after_commit(state.published.set)
    state.database.after_commit(state.background.wake)


def hand_out(state: State, subscription: Json, at_most: int) -> list[Json]:
    """The next messages of a subscription, each for its deadline; those given up go to the dead letters."""
    database, key, now = state.database, state.projects.canonical(subscription["name"]), state.now()
    least = written(state.clock() - timedelta(seconds=seconds(subscription["messageRetentionDuration"])))
    due = database.execute(
        "SELECT message, attempts, body FROM delivery JOIN message ON id = message"
        " WHERE subscription = ? AND acknowledged = 0 AND due <= ? AND time >= ? ORDER BY message",
        *(key, now, least),
    )
    held = _keys_held(state, subscription, now)
    policy = subscription.get("deadLetterPolicy")
    received: list[Json] = []
    for number, attempts, content in due:
        if len(received) == at_most:
            break
        message = orjson.loads(content)
        ordering = message.get("orderingKey")
        if ordering in held:
            continue
        if policy and attempts >= policy.get("maxDeliveryAttempts", 5) and _may_bury(state, key, policy):
            _bury(state, subscription, policy["deadLetterTopic"], message, attempts)
            acknowledge(state, key, [number])
            continue
        wait = subscription["ackDeadlineSeconds"] + backoff(subscription, attempts + 1)
        deadline = state.clock() + timedelta(seconds=wait)
        database.execute(
            "UPDATE delivery SET due = ?, attempts = ? WHERE subscription = ? AND message = ?",
            *(written(deadline), attempts + 1, key, number),
        )
        received.append(
            {
                "ackId": ack_id(key, number, attempts + 1),
                "message": message,
                **({"deliveryAttempt": attempts + 1} if policy else {}),
            }
        )
    return received


def backoff(subscription: Json, attempts: int) -> float:
    """Seconds until a message that was handed out ``attempts`` times in vain may be handed out again.

    Its retry policy doubles the least until the most (RetryPolicy); without one it is at once.
    """
    policy = subscription.get("retryPolicy")
    if policy is None:
        return 0.0
    least, most = (
        seconds(policy.get(f"{name}imumBackoff", default))
        for name, default in (("min", "10s"), ("max", "600s"))
    )
    return min(most, least * 2.0 ** min(attempts - 1, 30))


def postpone(state: State, subscription: Json, key: str, number: int, wait: float) -> None:
    """A message may be handed out again in ``wait`` seconds; given back (0), after what its retry policy says."""
    row = state.database.one(
        "SELECT attempts FROM delivery WHERE subscription = ? AND message = ?", *(key, number)
    )
    wait += backoff(subscription, row[0]) if row else 0
    due = written(state.clock() + timedelta(seconds=wait))
    state.database.execute(
        "UPDATE delivery SET due = ? WHERE subscription = ? AND message = ?", *(due, key, number)
    )


def agent_of(project: str) -> str:
    """Who Pub/Sub is in a project (by number): it writes dead letters, and what subscriptions export."""
    return f"service-{project.removeprefix('projects/')}@gcp-sa-pubsub.iam.gserviceaccount.com"


def acknowledge(state: State, subscription_key: str, numbers: list[int]) -> None:
    for number in numbers:
        state.database.execute(
            "UPDATE delivery SET acknowledged = 1 WHERE subscription = ? AND message = ?",
            *(subscription_key, number),
        )


def ack_id(subscription_key: str, number: int, attempt: int) -> str:
    text = f"{number}/{attempt}/{subscription_key}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def message_numbers(subscription_key: str, ack_ids: list[str]) -> list[int]:
    """The messages that ack ids stand for. Raises 400 on what the subscription never gave out."""
    numbers = []
    for text in ack_ids:
        try:
            number, _, key = base64.urlsafe_b64decode(text).decode().split("/", 2)
            numbers.append(int(number))
        except ValueError:
            key = ""
        if key != subscription_key:
            raise invalid(f"You have passed an invalid ack ID to the server (ack_id={text}).")
    return numbers


def unacknowledged(state: State, subscription_key: str) -> list[int]:
    rows = state.database.execute(
        "SELECT message FROM delivery WHERE subscription = ? AND acknowledged = 0", subscription_key
    )
    return [row[0] for row in rows]


def _wanted(subscription: Json, message: Json) -> bool:
    keep = list_filter.parse(subscription.get("filter", ""))
    return keep({"attributes": message.get("attributes", {})})


def _keys_held(state: State, subscription: Json, now: str) -> set[str]:
    """Ordering keys of which a message is out: the next one waits for it."""
    if not subscription.get("enableMessageOrdering"):
        return set()
    rows = state.database.execute(
        "SELECT body FROM delivery JOIN message ON id = message"
        " WHERE subscription = ? AND acknowledged = 0 AND due > ?",
        *(state.projects.canonical(subscription["name"]), now),
    )
    return {key for (body,) in rows if (key := orjson.loads(body).get("orderingKey"))}


def _may_bury(state: State, subscription_key: str, policy: Json) -> bool:
    """Whether Pub/Sub may forward: without the roles that it needs it delivers on, as Google's does
    (cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions).
    """
    agent = agent_of(subscription_key.split("/")[1])
    topic = state.projects.canonical(policy["deadLetterTopic"])
    return all(
        state.access.may(agent, permission, named_resource(state, name, "pubsub.googleapis.com"))
        for permission, name in (
            ("pubsub.topics.publish", topic),
            ("pubsub.subscriptions.consume", subscription_key),
        )
    )


def _bury(state: State, subscription: Json, topic: str, message: Json, attempts: int) -> None:
    """Publish a message that nobody acknowledged to the dead letter topic; to none where that is gone."""
    key = state.projects.canonical(topic)
    if state.rows.find(key) is None:
        return
    _, project, _, name = subscription["name"].split("/")
    attributes = {
        **message.get("attributes", {}),
        f"{_DEAD_LETTER}Subscription": name,
        f"{_DEAD_LETTER}SubscriptionProject": project,
        f"{_DEAD_LETTER}TopicPublishTime": message["publishTime"],
        f"{_DEAD_LETTER}DeliveryCount": str(attempts),
    }
    sent: Json = {field: message[field] for field in ("data", "orderingKey") if field in message}
    publish_to(state, key, [{**sent, "attributes": attributes}])
