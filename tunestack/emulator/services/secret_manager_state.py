"""What the Secret Manager files share: rows of secrets, versions and payloads, what time does to them, who is told.

A version's payload lies in a row of its own that only ``access`` shows. Time acts in the background, and at the latest
when a row is looked at: a secret that has expired is removed, a rotation that is due is told, a destruction that is due
removes the payload.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import orjson

from tunestack.emulator.background import in_background
from tunestack.emulator.errors import failed_precondition, not_found
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.times import later, moment, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

SECRETS = "secrets"
VERSIONS = "secretVersions"
PAYLOADS = "secretPayloads"


def everywhere(verb: str) -> tuple[str, str]:
    """The ids of a method for global secrets and for those of a location."""
    return f"secretmanager.projects.secrets.{verb}", f"secretmanager.projects.locations.secrets.{verb}"


def agent_of(key: str) -> str:
    """The service agent of a secret's project (cloud.google.com/iam/docs/service-agents)."""
    return f"service-{key.split('/')[1]}@gcp-sa-secretmanager.iam.gserviceaccount.com"


def new_etag(state: State) -> str:
    """An etag changes with each request that modifies, also one without effect, and has its quotes (AIP-154):
    cloud.google.com/secret-manager/docs/etags.
    """
    return f'"{state.new_id():x}"'


def check_etag(row: Json, sent: str | None) -> None:
    """Raises 400 FAILED_PRECONDITION, which other services answer with 409 ABORTED (same page)."""
    if sent and sent != row["etag"]:
        raise failed_precondition(
            f"The etag provided ({sent}) does not match the current etag of {row['name']}, {row['etag']}."
        )


def find_secret(state: State, key: str) -> Json | None:
    """The secret kept under a name with the project's number, after all that is due by now."""
    row = state.rows.find(key)
    if row is None:
        return None
    if "expireTime" in row and moment(row["expireTime"]) <= state.clock():
        remove_secret(state, key, row, "EXPIRATION")
        return None
    rotation = row.get("rotation", {})
    due = rotation.get("nextRotationTime")
    if due is None or moment(due) > state.clock():
        return row
    period = seconds(rotation["rotationPeriod"]) if "rotationPeriod" in rotation else None
    while period and moment(due) <= state.clock():
        due = later(due, period)
    rest = {name: value for name, value in rotation.items() if name != "nextRotationTime"}
    rotated = {**row, "rotation": {**rest, "nextRotationTime": due} if period else rest}
    state.rows.put(key, rotated)
    tell(state, rotated, "SECRET_ROTATE", rotated)
    return rotated


def get_secret(state: State, key: str) -> Json:
    """As `find_secret`. Raises 404 in Google's words."""
    row = find_secret(state, key)
    if row is None:
        raise not_found(f"Secret [{key}] not found.")
    return row


def remove_secret(state: State, key: str, row: Json, why: str) -> None:
    """Remove a secret with its versions, payloads and policy; ``why`` is ``REQUESTED`` or ``EXPIRATION``."""
    tell(state, row, "SECRET_DELETE", row, deleteType=why)
    state.rows.delete_below(key, besides="")
    state.rows.delete(key)
    state.policies.delete(key)


def settled_version(state: State, secret: Json, row: Json) -> Json:
    """The version after a destruction that is due by now."""
    due = row.get("scheduledDestroyTime")
    if due is None or moment(due) > state.clock():
        return row
    return destroy_version(state, secret, row, due)


def destroy_version(state: State, secret: Json, row: Json, time: str) -> Json:
    """Remove the payload of a version for ever."""
    state.rows.delete(f"{row['name']}/payload")
    kept = {name: value for name, value in row.items() if name != "scheduledDestroyTime"}
    return keep_version(
        state,
        secret,
        {**kept, "state": "DESTROYED", "destroyTime": time},
        "SECRET_VERSION_DESTROY",
    )


@in_background
async def let_time_act(state: State) -> datetime | None:
    """Expire, rotate and destroy what is due by now; when the next of it will be."""
    times: list[str | None] = []
    with state.database.transaction():
        for row in state.rows.list(SECRETS):
            secret = find_secret(state, row["name"])
            if secret is not None:
                rotation = secret.get("rotation", {})
                times += [secret.get("expireTime"), rotation.get("nextRotationTime")]
        for row in state.rows.list(VERSIONS):
            if "scheduledDestroyTime" in row:
                secret = state.rows.get(row["name"].partition("/versions/")[0])
                times.append(settled_version(state, secret, row).get("scheduledDestroyTime"))
    return min((moment(time) for time in times if time), default=None)


def keep_version(state: State, secret: Json, row: Json, event: str) -> Json:
    """Keep a changed version under a new etag, and tell of it."""
    kept = state.rows.put(row["name"], {**row, "etag": new_etag(state)})
    state.database.after_commit(state.background.wake)
    tell(state, secret, event, kept, versionId=kept["name"])
    return kept


def tell(
    state: State, secret: Json, event: str, resource: Json, topics: list[str] | None = None, **more: str
) -> None:
    """Publish an event to the topics of a secret (absent: all of them), with the secret or version as it is now.

    Attributes: cloud.google.com/secret-manager/docs/event-notifications. A topic that is no more is told nothing.
    """
    data = base64.b64encode(orjson.dumps(resource)).decode()
    attributes = {
        "eventType": event,
        "dataFormat": "JSON_API_V1",
        "secretId": secret["name"],
        "timestamp": state.now(),
        **more,
    }
    for name in topics if topics is not None else topics_of(secret):
        key = state.projects.canonical(name)
        if state.rows.find(key) is not None:
            publish_to(state, key, [{"data": data, "attributes": attributes}])


def topics_of(secret: Json) -> list[str]:
    return [topic.get("name", "") for topic in secret.get("topics", [])]
