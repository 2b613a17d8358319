"""Cloud Storage: who is told by Pub/Sub what happens to a bucket's objects (storage.v1).

A message's attributes and data: cloud.google.com/storage/docs/pubsub-notifications. It is published in the transaction
that changes the object, so that none is told of what did not happen.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.storage import get_bucket
from tunestack.emulator.state import State

Json = dict[str, Any]

NOTIFICATIONS = "notificationConfigs"
EVENTS = ("OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE")

_TOPIC = "//pubsub.googleapis.com/"
_AT_MOST = 100  # of one bucket (cloud.google.com/storage/quotas)


def _row_name(bucket: str, notification: str) -> str:
    return f"buckets/{bucket}/{NOTIFICATIONS}/{notification}"


def _row(call: Call) -> Json:
    bucket, notification = call.path["bucket"], call.path["notification"]
    get_bucket(call.state, bucket)
    row = call.state.rows.find(_row_name(bucket, notification))
    if row is None:
        raise not_found(f"The specified notification configuration {notification} does not exist.")
    return row


def _shown(call: Call, row: Json) -> Json:
    address = f"b/{call.path['bucket']}/{NOTIFICATIONS}/{row['id']}"
    return {
        "kind": "storage#notification",
        "selfLink": f"{call.incoming.base_url}/storage/v1/{address}",
        **row,
    }


@implements("storage.notifications.insert")
def insert(call: Call) -> Json:
    state, bucket = call.state, call.path["bucket"]
    get_bucket(state, bucket)
    topic = str(call.body.get("topic", ""))
    name = topic.removeprefix(_TOPIC)
    if not topic.startswith(_TOPIC) or len(name.split("/")) != 4:
        raise invalid(f"Invalid topic '{topic}': it must be {_TOPIC}projects/PROJECT/topics/TOPIC")
    if state.rows.find(state.projects.canonical(name)) is None:
        raise not_found(f"Cloud Pub/Sub topic {name} not found.")
    if call.body.get("payload_format", "JSON_API_V1") not in ("JSON_API_V1", "NONE"):
        raise invalid(f"Invalid argument: payload_format {call.body['payload_format']}")
    for event in call.body.get("event_types", []):
        if event not in EVENTS:
            raise invalid(f"Invalid argument: event type {event}, not one of {', '.join(EVENTS)}")
    there = state.rows.list(NOTIFICATIONS, bucket)
    if len(there) >= _AT_MOST:
        raise invalid(f"A bucket has at most {_AT_MOST} notification configurations.")
    number = str(max((int(row["id"]) for row in there), default=0) + 1)
    row = {"payload_format": "JSON_API_V1", **call.body, "id": number, "etag": number}
    return _shown(call, state.rows.create(NOTIFICATIONS, bucket, _row_name(bucket, number), row))


@implements("storage.notifications.get")
def get(call: Call) -> Json:
    return _shown(call, _row(call))


@implements("storage.notifications.list")
def list_notifications(call: Call) -> Json:
    get_bucket(call.state, call.path["bucket"])
    rows = call.state.rows.list(NOTIFICATIONS, call.path["bucket"])
    found = {"items": [_shown(call, row) for row in rows]} if rows else {}
    return {"kind": "storage#notifications", **found}


@implements("storage.notifications.delete")
def delete(call: Call) -> Reply:
    row = _row(call)
    call.state.rows.delete(_row_name(call.path["bucket"], row["id"]))
    return Reply(None, 204)


def announce(state: State, event: str, body: Json, **more: str) -> None:
    """Tell whom it concerns that ``event`` happened to the object ``body``; ``more`` are further attributes.

    A topic that is no more is told nothing, as at Google.
    """
    for row in state.rows.list(NOTIFICATIONS, body["bucket"]):
        wanted = event in (row.get("event_types") or EVENTS)
        topic = state.projects.canonical(row["topic"].removeprefix(_TOPIC))
        if not wanted or not body["name"].startswith(row.get("object_name_prefix", "")):
            continue
        if state.rows.find(topic) is None:
            continue
        attributes = {
            **row.get("custom_attributes", {}),
            "notificationConfig": f"projects/_/buckets/{body['bucket']}/{NOTIFICATIONS}/{row['id']}",
            "eventType": event,
            "payloadFormat": row["payload_format"],
            "bucketId": body["bucket"],
            "objectId": body["name"],
            "objectGeneration": body["generation"],
            "eventTime": state.now(),
            **more,
        }
        whole = row["payload_format"] == "JSON_API_V1"
        data = {"data": base64.b64encode(orjson.dumps(body)).decode()} if whole else {}
        publish_to(state, topic, [{**data, "attributes": attributes}])
