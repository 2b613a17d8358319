"""What happens to a bucket's objects is told by Pub/Sub, set up by google-cloud-storage."""

from __future__ import annotations

import base64
import json
import secrets

import pytest
from google.api_core.exceptions import BadRequest, NotFound


@pytest.fixture
def project(emulator):
    name = f"told-{secrets.token_hex(4)}"
    emulator.call("PUT", f"/v1/projects/{name}/topics/events", {})
    body = {"topic": f"projects/{name}/topics/events"}
    emulator.call("PUT", f"/v1/projects/{name}/subscriptions/all", body)
    return name


def told(emulator, project):
    path = f"/v1/projects/{project}/subscriptions/all:pull"
    received = emulator.call("POST", path, {"maxMessages": 100, "returnImmediately": True})
    messages = [each["message"] for each in received.get("receivedMessages", [])]
    return [(message["attributes"], message.get("data")) for message in messages]


def test_each_change_of_an_object_is_told_with_its_resource(emulator, project):
    bucket = emulator.storage(project).create_bucket(f"{project}-data")
    made = bucket.notification(
        "events", topic_project=project, payload_format="JSON_API_V1", custom_attributes={"team": "ml"}
    )
    made.create()
    assert [each.notification_id for each in bucket.list_notifications()] == [made.notification_id]
    blob = bucket.blob("rows.jsonl")
    blob.upload_from_string("one")
    first = blob.generation
    blob.upload_from_string("two")
    blob.metadata = {"a": "b"}
    blob.patch()
    blob.delete()
    events = told(emulator, project)
    assert [attributes["eventType"] for attributes, _ in events] == [
        "OBJECT_FINALIZE",
        "OBJECT_DELETE",
        "OBJECT_FINALIZE",
        "OBJECT_METADATA_UPDATE",
        "OBJECT_DELETE",
    ]
    attributes, data = events[2]
    assert attributes["overwroteGeneration"] == str(first)
    assert events[1][0]["overwrittenByGeneration"] == attributes["objectGeneration"]
    assert (attributes["bucketId"], attributes["objectId"], attributes["team"]) == (
        bucket.name,
        "rows.jsonl",
        "ml",
    )
    assert json.loads(base64.b64decode(data))["size"] == "3"


def test_only_what_was_asked_for_is_told(emulator, project):
    bucket = emulator.storage(project).create_bucket(f"{project}-data")
    wanted = {"topic_project": project, "payload_format": "NONE", "event_types": ["OBJECT_FINALIZE"]}
    bucket.notification("events", blob_name_prefix="sets/", **wanted).create()
    bucket.blob("other.txt").upload_from_string("no")
    bucket.blob("sets/rows.txt").upload_from_string("yes")
    bucket.blob("sets/rows.txt").delete()
    ((attributes, data),) = told(emulator, project)
    assert (attributes["objectId"], attributes["payloadFormat"], data) == ("sets/rows.txt", "NONE", None)


def test_a_topic_must_be_there_and_an_event_known(emulator, project):
    bucket = emulator.storage(project).create_bucket(f"{project}-data")
    with pytest.raises(NotFound, match="not found"):
        bucket.notification("none", topic_project=project).create()
    with pytest.raises(BadRequest, match="event type"):
        bucket.notification("events", topic_project=project, event_types=["OBJECT_READ"]).create()
    made = bucket.notification("events", topic_project=project)
    made.create()
    bucket.delete()
    again = emulator.storage(project).create_bucket(bucket.name)
    assert list(again.list_notifications()) == []
