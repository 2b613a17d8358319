"""Subscriptions that deliver by themselves, made by Google's client: to an endpoint here, a table, a bucket."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google.pubsub_v1
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, pubsub_v1

PROJECT = "projects/p1"
AGENT = "serviceAccount:service-{}@gcp-sa-pubsub.iam.gserviceaccount.com"


class Endpoint:
    """An HTTP server that keeps what it is sent and answers with ``codes`` in turn, then with 204."""

    def __init__(self):
        self.received, self.codes = [], []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                code = endpoint.codes.pop(0) if endpoint.codes else 204
                endpoint.received.append((dict(self.headers), body))
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/push"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def texts(self):
        bodies = [json.loads(body)["message"]["data"] for _, body in self.received]
        return [base64.b64decode(text).decode() for text in bodies]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture(scope="module")
def publisher(emulator):
    return emulator.google(google.pubsub_v1.PublisherClient)


@pytest.fixture(scope="module")
def subscriber(emulator):
    return emulator.google(pubsub_v1.SubscriberClient)


@pytest.fixture(scope="module")
def warehouse(emulator):
    return warehouse_of(emulator)


def warehouse_of(emulator):
    return bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )


@pytest.fixture
def topic(publisher):
    return publisher.create_topic(name=f"{PROJECT}/topics/t-{uuid.uuid4().hex[:8]}").name


def subscribe(subscriber, topic, **fields):
    name = f"{PROJECT}/subscriptions/s-{uuid.uuid4().hex[:8]}"
    return subscriber.create_subscription(request={"name": name, "topic": topic, **fields}).name


def publish(publisher, topic, *texts, **fields):
    messages = [{"data": text.encode(), **fields} for text in texts]
    return list(publisher.publish(topic=topic, messages=messages).message_ids)


def until(found, seconds=20):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return result


def test_a_message_is_pushed_as_google_pushes_it(publisher, subscriber, topic, endpoint):
    name = subscribe(subscriber, topic, push_config={"push_endpoint": endpoint.url})
    (identifier,) = publish(publisher, topic, "the job ended", attributes={"job": "7"})
    ((headers, body),) = until(lambda: endpoint.received)
    assert headers["user-agent"] == "CloudPubSub-Google"
    sent = json.loads(body)
    assert sent["subscription"] == name
    assert sent["message"]["messageId"] == sent["message"]["message_id"] == identifier
    assert sent["message"]["attributes"] == {"job": "7"}
    assert endpoint.texts() == ["the job ended"]
    with pytest.raises(exceptions.BadRequest, match="not supported for this subscription type"):
        subscriber.pull(subscription=name, max_messages=1)


def test_what_an_endpoint_refuses_comes_again_until_it_is_a_dead_letter(
    publisher, subscriber, topic, endpoint
):
    dead = publisher.create_topic(name=f"{topic}-dead").name
    letters = subscribe(subscriber, dead)
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    subscribe(
        subscriber, topic, push_config={"push_endpoint": endpoint.url}, dead_letter_policy=policy,
        retry_policy={"minimum_backoff": {"seconds": 0}, "maximum_backoff": {"seconds": 0}},
    )  # fmt: skip
    endpoint.codes = [500, 404, 503, 429, 400]
    publish(publisher, topic, "poison")
    (letter,) = until(lambda: subscriber.pull(subscription=letters, max_messages=1).received_messages)
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert endpoint.codes == []
    assert [json.loads(body)["deliveryAttempt"] for _, body in endpoint.received] == [1, 2, 3, 4, 5]


def test_messages_of_a_key_are_pushed_in_order_though_one_is_refused(publisher, subscriber, topic, endpoint):
    subscribe(subscriber, topic, push_config={"push_endpoint": endpoint.url}, enable_message_ordering=True)
    endpoint.codes = [204, 503]
    publish(publisher, topic, "1", "2", "3", ordering_key="k")
    until(lambda: len(endpoint.received) >= 4)
    assert endpoint.texts() == ["1", "2", "2", "3"]


def test_a_bare_message_and_a_token_are_sent_where_they_are_asked_for(
    emulator, publisher, subscriber, topic, endpoint
):
    config = {
        "push_endpoint": endpoint.url,
        "no_wrapper": {"write_metadata": True},
        "oidc_token": {"service_account_email": "pusher@p1.iam.gserviceaccount.com", "audience": "me"},
    }
    name = subscribe(subscriber, topic, push_config=config)
    publish(publisher, topic, "bare", attributes={"job": "7"})
    ((headers, body),) = until(lambda: endpoint.received)
    assert body == b"bare"
    assert (headers["x-goog-pubsub-subscription-name"], headers["job"]) == (name, "7")
    claims = headers["authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert (claims["aud"], claims["email"]) == ("me", "pusher@p1.iam.gserviceaccount.com")


def test_a_subscription_turns_to_pulling_and_back(publisher, subscriber, topic, endpoint):
    name = subscribe(subscriber, topic)
    publish(publisher, topic, "waiting")
    subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": endpoint.url})
    until(lambda: endpoint.received)
    subscriber.modify_push_config(subscription=name, push_config={})
    publish(publisher, topic, "pulled")
    (received,) = until(lambda: subscriber.pull(subscription=name, max_messages=1).received_messages)
    assert received.message.data == b"pulled"
    assert endpoint.texts() == ["waiting"]


def test_nothing_is_pushed_off_this_machine(subscriber, topic):
    for url, error, words in (
        ("https://example.com/push", exceptions.MethodNotImplemented, "pushes to this machine alone"),
        ("ftp://127.0.0.1/x", exceptions.BadRequest, "Invalid push endpoint given"),
    ):
        with pytest.raises(error, match=words):
            subscribe(subscriber, topic, push_config={"push_endpoint": url})


def test_a_message_given_back_waits_as_its_retry_policy_says(start):
    emulator = start()
    publisher, subscriber = (
        emulator.google(kind) for kind in (google.pubsub_v1.PublisherClient, pubsub_v1.SubscriberClient)
    )
    topic = publisher.create_topic(name=f"{PROJECT}/topics/retried").name
    retry = {"minimum_backoff": {"seconds": 20}, "maximum_backoff": {"seconds": 30}}
    name = subscribe(subscriber, topic, retry_policy=retry)
    publish(publisher, topic, "x")

    def pulled():
        return subscriber.pull(subscription=name, max_messages=1).received_messages

    emulator.call("POST", "/_local/clock", {"advanceSeconds": 0, "stopped": True})
    for backoff in (20, 30):
        (received,) = pulled()
        subscriber.modify_ack_deadline(subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=0)
        emulator.call("POST", "/_local/clock", {"advanceSeconds": backoff - 1})
        assert not pulled()
        emulator.call("POST", "/_local/clock", {"advanceSeconds": 1})
    assert pulled()


def test_messages_become_rows_of_a_table(publisher, subscriber, topic, warehouse):
    dataset = warehouse.create_dataset(f"d_{uuid.uuid4().hex[:12]}").dataset_id
    fields = {"data": "STRING", "subscription_name": "STRING", "message_id": "STRING"}
    fields |= {"publish_time": "TIMESTAMP", "attributes": "JSON"}
    plain, whole = f"p1.{dataset}.plain", f"p1.{dataset}.whole"
    warehouse.create_table(bigquery.Table(plain, [bigquery.SchemaField(*one) for one in fields.items()]))
    warehouse.create_table(
        bigquery.Table(
            whole, [bigquery.SchemaField("job", "STRING", "REQUIRED"), bigquery.SchemaField("loss", "FLOAT")]
        )
    )
    name = subscribe(subscriber, topic, bigquery_config={"table": plain, "write_metadata": True})
    subscribe(
        subscriber,
        topic,
        bigquery_config={"table": whole, "use_table_schema": True, "drop_unknown_fields": True},
    )
    text = json.dumps({"job": "7", "loss": 0.5, "more": 1})
    (identifier,) = publish(publisher, topic, text, attributes={"a": "b"})
    (row,) = until(lambda: [dict(row) for row in warehouse.list_rows(plain)])
    assert (row["data"], row["subscription_name"], row["message_id"]) == (text, name, identifier)
    assert row["attributes"] == {"a": "b"}
    (row,) = until(lambda: [dict(row) for row in warehouse.list_rows(whole)])
    assert row == {"job": "7", "loss": 0.5}
    for config, words in (
        ({"table": f"p1.{dataset}.none"}, "was not found"),
        ({"table": whole}, "has no column data"),
    ):
        with pytest.raises(exceptions.BadRequest, match=words):
            subscribe(subscriber, topic, bigquery_config=config)


def test_messages_become_a_file_once_they_are_old_enough(start):
    emulator = start(enforce_iam=True)
    publisher, subscriber = (
        emulator.google(kind) for kind in (google.pubsub_v1.PublisherClient, pubsub_v1.SubscriberClient)
    )
    topic = publisher.create_topic(name=f"{PROJECT}/topics/filed").name
    bucket = emulator.bucket()
    config = {"bucket": bucket.name, "filename_prefix": "logs/", "filename_suffix": ".jsonl"}
    with pytest.raises(
        exceptions.BadRequest, match="missing permissions required to write to the Cloud Storage"
    ):
        subscribe(subscriber, topic, cloud_storage_config=config)
    number = emulator.call("GET", "/v1/projects/p1")["projectNumber"]
    policy = bucket.get_iam_policy()
    for role in ("roles/storage.objectCreator", "roles/storage.legacyBucketReader"):
        policy.bindings.append({"role": role, "members": {AGENT.format(number)}})
    bucket.set_iam_policy(policy)
    name = subscribe(subscriber, topic, cloud_storage_config=config)
    made = subscriber.get_subscription(subscription=name).cloud_storage_config
    assert (made.max_duration.total_seconds(), made.state.name) == (300, "ACTIVE")
    emulator.call("POST", "/_local/clock", {"set": "2027-03-04T05:06:07Z", "stopped": True})
    publish(publisher, topic, "one", "two")
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 299})
    assert list(bucket.list_blobs()) == []
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 1})
    (blob,) = until(lambda: list(bucket.list_blobs()))
    assert blob.download_as_text() == "one\ntwo\n"
    assert blob.name.startswith("logs/2027-03-04T05_11_07+00_00_")
    assert blob.name.endswith(".jsonl")


def test_a_push_that_was_under_way_at_a_kill_comes_again(start, endpoint):
    emulator = start()
    publisher, subscriber = (
        emulator.google(kind) for kind in (google.pubsub_v1.PublisherClient, pubsub_v1.SubscriberClient)
    )
    topic = publisher.create_topic(name=f"{PROJECT}/topics/killed").name
    endpoint.codes = [503] * 100
    subscribe(subscriber, topic, push_config={"push_endpoint": endpoint.url})
    publish(publisher, topic, "x")
    until(lambda: endpoint.received)
    emulator.kill()
    endpoint.codes, before = [], len(endpoint.received)
    emulator.start_again()
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 60})
    until(lambda: len(endpoint.received) > before)
