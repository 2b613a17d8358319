"""google-cloud-pubsub, unchanged, over REST against the emulator.

Its streaming pull is gRPC alone; over REST messages are pulled.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import google.pubsub_v1
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.protobuf import field_mask_pb2

PROJECT = "projects/p1"


@pytest.fixture(scope="module")
def publisher(emulator):
    return emulator.google(pubsub_v1.PublisherClient)


@pytest.fixture(scope="module")
def subscriber(emulator):
    return emulator.google(pubsub_v1.SubscriberClient)


@pytest.fixture
def topic(publisher):
    return new_topic(publisher)


def new_topic(publisher):
    return publisher.create_topic(name=f"{PROJECT}/topics/t-{uuid.uuid4().hex[:8]}").name


def subscribe(subscriber, topic, **fields):
    name = f"{PROJECT}/subscriptions/s-{uuid.uuid4().hex[:8]}"
    return subscriber.create_subscription(request={"name": name, "topic": topic, **fields}).name


def pull(subscriber, subscription, count=10):
    request = {"subscription": subscription, "max_messages": count, "return_immediately": True}
    return list(subscriber.pull(request=request).received_messages)


def texts(received):
    return [message.message.data.decode() for message in received]


def test_a_message_reaches_every_subscription_until_it_is_acknowledged(publisher, subscriber, topic):
    first, second = subscribe(subscriber, topic), subscribe(subscriber, topic)
    identifier = publisher.publish(topic, b"the job ended", job="7").result(timeout=30)
    (received,) = pull(subscriber, first)
    assert received.message.message_id == identifier
    assert dict(received.message.attributes) == {"job": "7"}
    assert pull(subscriber, first) == []
    subscriber.acknowledge(subscription=first, ack_ids=[received.ack_id])
    assert texts(pull(subscriber, second)) == ["the job ended"]


def test_a_message_given_back_comes_again_and_an_acknowledged_one_does_not(publisher, subscriber, topic):
    name = subscribe(subscriber, topic)
    for text in (b"a", b"b"):
        publisher.publish(topic, text).result(timeout=30)
    received = pull(subscriber, name)
    assert sorted(texts(received)) == ["a", "b"]
    kept, given_back = received
    subscriber.acknowledge(subscription=name, ack_ids=[kept.ack_id])
    subscriber.modify_ack_deadline(subscription=name, ack_ids=[given_back.ack_id], ack_deadline_seconds=0)
    assert texts(pull(subscriber, name)) == texts([given_back])
    with pytest.raises(exceptions.BadRequest, match="invalid ack ID"):
        subscriber.acknowledge(subscription=name, ack_ids=["x"])


def test_a_pull_that_waits_is_answered_as_soon_as_a_message_comes(emulator, publisher, subscriber, topic):
    name = subscribe(subscriber, topic)
    waiting = len(emulator.requests("pubsub.projects.subscriptions.pull"))
    future = publisher.publish(topic, b"now")
    (received,) = subscriber.pull(subscription=name, max_messages=1).received_messages
    assert received.message.data == b"now"
    assert future.result(timeout=30)
    assert len(emulator.requests("pubsub.projects.subscriptions.pull")) == waiting + 1


def test_only_messages_that_the_filter_wants_come(publisher, subscriber, topic):
    name = subscribe(subscriber, topic, filter='attributes.state = "FAILED" AND attributes:job')
    for state, more in (("FAILED", {"job": "1"}), ("SUCCEEDED", {"job": "2"}), ("FAILED", {})):
        publisher.publish(topic, state.encode(), state=state, **more).result(timeout=30)
    assert texts(pull(subscriber, name)) == ["FAILED"]


def test_messages_of_one_ordering_key_come_one_after_another(emulator, subscriber, topic):
    # The batching publisher asks for a timeout of 2**32 s with ordering keys, which requests cannot take.
    publisher = emulator.google(google.pubsub_v1.PublisherClient)
    name = subscribe(subscriber, topic, enable_message_ordering=True)
    messages = [{"data": text, "ordering_key": "k"} for text in (b"1", b"2")]
    publisher.publish(topic=topic, messages=messages)
    (first,) = pull(subscriber, name, 1)
    assert texts([first]) == ["1"]
    assert pull(subscriber, name) == []
    subscriber.acknowledge(subscription=name, ack_ids=[first.ack_id])
    assert texts(pull(subscriber, name)) == ["2"]


def test_a_message_that_nobody_can_handle_becomes_a_dead_letter(publisher, subscriber, topic):
    dead = new_topic(publisher)
    letters = subscribe(subscriber, dead)
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    name = subscribe(subscriber, topic, dead_letter_policy=policy)
    publisher.publish(topic, b"poison").result(timeout=30)
    for attempt in range(1, 6):
        (received,) = pull(subscriber, name)
        assert received.delivery_attempt == attempt
        subscriber.modify_ack_deadline(subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=0)
    assert pull(subscriber, name) == []
    (letter,) = pull(subscriber, letters)
    assert letter.message.data == b"poison"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert letter.message.attributes["CloudPubSubDeadLetterSourceSubscription"] == name.rpartition("/")[2]


def test_seeking_a_snapshot_brings_back_what_was_acknowledged_since(publisher, subscriber, topic):
    name = subscribe(subscriber, topic)
    publisher.publish(topic, b"before").result(timeout=30)
    (before,) = pull(subscriber, name)
    subscriber.acknowledge(subscription=name, ack_ids=[before.ack_id])
    publisher.publish(topic, b"kept").result(timeout=30)
    snapshot = f"{PROJECT}/snapshots/x-{uuid.uuid4().hex[:8]}"
    subscriber.create_snapshot(name=snapshot, subscription=name)
    (kept,) = pull(subscriber, name)
    subscriber.acknowledge(subscription=name, ack_ids=[kept.ack_id])
    subscriber.seek(request={"subscription": name, "snapshot": snapshot})
    assert texts(pull(subscriber, name)) == ["kept"]
    assert list(publisher.list_topic_snapshots(topic=topic)) == [snapshot]
    subscriber.delete_snapshot(snapshot=snapshot)


def test_seeking_a_time_acknowledges_what_is_older(publisher, subscriber, topic):
    name = subscribe(subscriber, topic)
    publisher.publish(topic, b"old").result(timeout=30)
    subscriber.seek(request={"subscription": name, "time": datetime.now(UTC) + timedelta(seconds=5)})
    assert pull(subscriber, name) == []


def test_a_topic_and_a_subscription_change_under_a_mask(publisher, subscriber, topic):
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    changed = publisher.update_topic(topic={"name": topic, "labels": {"a": "b"}}, update_mask=mask)
    assert publisher.get_topic(topic=topic) == changed
    name = subscribe(subscriber, topic)
    change = {"name": name, "topic": topic, "ack_deadline_seconds": 60}
    mask = field_mask_pb2.FieldMask(paths=["ack_deadline_seconds"])
    subscriber.update_subscription(subscription=change, update_mask=mask)
    seen = subscriber.get_subscription(subscription=name)
    assert (seen.ack_deadline_seconds, seen.topic) == (60, topic)
    assert list(publisher.list_topic_subscriptions(topic=topic)) == [name]
    publisher.delete_topic(topic=topic)
    assert subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"


def test_what_google_forbids_is_refused(publisher, subscriber, topic):
    with pytest.raises(exceptions.Conflict, match="already exists"):
        publisher.create_topic(name=topic)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=absent\)"):
        publisher.get_topic(topic=f"{PROJECT}/topics/absent")
    with pytest.raises(exceptions.BadRequest, match=r"Invalid \[topics\] name"):
        publisher.create_topic(name=f"{PROJECT}/topics/1")
    with pytest.raises(exceptions.NotFound):
        subscribe(subscriber, f"{PROJECT}/topics/absent")
    with pytest.raises(exceptions.BadRequest, match="between 10 and 600"):
        subscribe(subscriber, topic, ack_deadline_seconds=5)
    with pytest.raises(exceptions.MethodNotImplemented, match="pushes to this machine alone"):
        subscribe(subscriber, topic, push_config={"push_endpoint": "https://example.com"})


def test_a_policy_of_a_topic_reads_back(publisher, topic):
    policy = publisher.get_iam_policy(request={"resource": topic})
    policy.bindings.add(role="roles/pubsub.publisher", members=["allUsers"])
    written = publisher.set_iam_policy(request={"resource": topic, "policy": policy})
    assert publisher.get_iam_policy(request={"resource": topic}) == written


def test_what_was_published_outlives_a_kill(start):
    local = start()
    publisher, subscriber = (
        local.google(kind) for kind in (pubsub_v1.PublisherClient, pubsub_v1.SubscriberClient)
    )
    name = subscribe(subscriber, new_topic(publisher))
    topic = subscriber.get_subscription(subscription=name).topic
    for text in (b"done", b"left"):
        publisher.publish(topic, text).result(timeout=60)
    (done,) = [one for one in pull(subscriber, name) if one.message.data == b"done"]
    subscriber.acknowledge(subscription=name, ack_ids=[done.ack_id])
    local.kill()
    local.start_again()
    local.call("POST", "/_local/clock", {"advanceSeconds": 11})
    again = pull(local.google(pubsub_v1.SubscriberClient), name)
    assert texts(again) == ["left"]
