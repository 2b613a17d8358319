"""Secret Manager: versions of secrets and what they hold (secretmanager.v1).

The words of errors are quoted in google-github-actions/get-secretmanager-secrets#268 and in issues of
terraform-provider-google.
"""

from __future__ import annotations

import base64
from typing import Any

import google_crc32c

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import failed_precondition, invalid, not_found
from tunestack.emulator.services.cloud_kms_encryption import version_in_use
from tunestack.emulator.services.resources import listed
from tunestack.emulator.services.secret_manager_checks import check_encryption
from tunestack.emulator.services.secret_manager_state import (
    PAYLOADS,
    VERSIONS,
    check_etag,
    destroy_version,
    everywhere,
    get_secret,
    keep_version,
    new_etag,
    settled_version,
    tell,
)
from tunestack.emulator.services.times import later, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

_AT_MOST = 64 * 1024  # bytes of payload


@implements(*everywhere("addVersion"))
def add(call: Call) -> Json:
    state, key = call.state, call.parent()
    secret = get_secret(state, key)
    payload = call.body["payload"]
    data = base64.b64decode(payload.get("data", ""))
    if not data:
        raise invalid("Secret Payload cannot be empty.", [("payload.data", "empty")])
    if len(data) > _AT_MOST:
        text = f"The payload has {len(data)} bytes; at most {_AT_MOST} are allowed."
        raise invalid(text, [("payload.data", text)])
    checksum = str(google_crc32c.value(data))
    if payload.get("dataCrc32c", checksum) != checksum:
        text = "The checksum in field payload.data_crc32c did not match the data in field payload.data."
        raise invalid(text, [("payload.data_crc32c", text)])
    # Versions are only removed with their secret, and begin at 1 again in one of the same name.
    name = f"{key}/versions/{len(state.rows.list(VERSIONS, key)) + 1}"
    version = {
        "name": name,
        "createTime": state.now(),
        "state": "ENABLED",
        **_replicated(secret, check_encryption(state, key, secret)),
        "etag": new_etag(state),
        **({"clientSpecifiedPayloadChecksum": True} if "dataCrc32c" in payload else {}),
    }
    state.rows.create(VERSIONS, key, name, version)
    held = {"data": base64.b64encode(data).decode(), "dataCrc32c": checksum}
    state.rows.create(PAYLOADS, name, f"{name}/payload", held)
    tell(state, secret, "SECRET_VERSION_ADD", version, versionId=name)
    return version


def _replicated(secret: Json, keys: dict[str, str]) -> Json:
    """Where a new version lies and what it is encrypted with; ``keys``: location -> version of a key of Cloud KMS."""

    def encrypted(place: str) -> Json:
        return {"customerManagedEncryption": {"kmsKeyVersionName": keys[place]}} if place in keys else {}

    policy = secret.get("replication")
    if policy is None:
        return encrypted(secret["name"].split("/")[3])
    if "automatic" in policy:
        return {"replicationStatus": {"automatic": encrypted("global")}}
    places = [replica["location"] for replica in policy["userManaged"]["replicas"]]
    replicas = [{"location": place, **encrypted(place)} for place in places]
    return {"replicationStatus": {"userManaged": {"replicas": replicas}}}


@implements(*everywhere("versions.get"))
def get(call: Call) -> Json:
    return _named(call, aliases=True)[1]


@implements(*everywhere("versions.access"))
def access(call: Call) -> Json:
    state = call.state
    _, version = _named(call, aliases=True)
    if version["state"] != "ENABLED":
        raise _in_state(version)
    status = version.get("replicationStatus", version)
    for holder in (status, status.get("automatic", {}), *status.get("userManaged", {}).get("replicas", [])):
        if "customerManagedEncryption" in holder:
            version_in_use(state, holder["customerManagedEncryption"]["kmsKeyVersionName"])
    return {"name": version["name"], "payload": state.rows.get(f"{version['name']}/payload")}


@implements(*everywhere("versions.list"))
def list_versions(call: Call) -> Json:
    state, key = call.state, call.parent()
    secret = get_secret(state, key)
    rows = [settled_version(state, secret, row) for row in state.rows.list(VERSIONS, key, newest_first=True)]
    return listed(call, rows, "versions", counted=not call.query.get("filter"))


@implements(*everywhere("versions.enable"))
def enable(call: Call) -> Json:
    return _set_state(call, "ENABLED", "SECRET_VERSION_ENABLE")


@implements(*everywhere("versions.disable"))
def disable(call: Call) -> Json:
    return _set_state(call, "DISABLED", "SECRET_VERSION_DISABLE")


@implements(*everywhere("versions.destroy"))
def destroy(call: Call) -> Json:
    """At once, or where the secret delays it, disabled until its time has come
    (cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions).
    """
    state = call.state
    secret, version = _changeable(call)
    delay = seconds(secret.get("versionDestroyTtl", "0s"))
    if not delay:
        return destroy_version(state, secret, version, state.now())
    time = version.get("scheduledDestroyTime", later(state.now(), delay))
    scheduled = {**version, "state": "DISABLED", "scheduledDestroyTime": time}
    return keep_version(state, secret, scheduled, "SECRET_VERSION_DESTROY_SCHEDULED")


def _set_state(call: Call, value: str, event: str) -> Json:
    """Enable or disable: either takes back a destruction that is to come."""
    secret, version = _changeable(call)
    kept = {name: field for name, field in version.items() if name != "scheduledDestroyTime"}
    return keep_version(call.state, secret, {**kept, "state": value}, event)


def _changeable(call: Call) -> tuple[Json, Json]:
    """The secret and the version that a path names. Raises 404, 400 where it is destroyed or of another etag."""
    secret, version = _named(call, aliases=False)
    check_etag(version, call.body.get("etag"))
    if version["state"] == "DESTROYED":
        raise _in_state(version)
    return secret, version


def _named(call: Call, *, aliases: bool) -> tuple[Json, Json]:
    """The secret and the version that a path names: by number, and with ``aliases`` by alias or as ``latest``."""
    state = call.state
    key, _, word = call.parent("name").partition("/versions/")
    secret = get_secret(state, key)
    number: str | None = word
    if not word.isdigit():
        if not aliases:
            raise invalid(f"Secret Version [{key}/versions/{word}] must be named by its number.")
        number = _latest(state, key) if word == "latest" else secret.get("versionAliases", {}).get(word)
        if word == "latest" and number is None:
            raise not_found(f"Secret [{key}] not found or has no versions.")
    name = f"{key}/versions/{number or word}"
    row = state.rows.get(name, f"Secret Version [{name}] not found.")
    return secret, settled_version(state, secret, row)


def _latest(state: State, key: str) -> str | None:
    """The number of the version that was added last, whatever its state."""
    rows = state.rows.list(VERSIONS, key, newest_first=True)
    return rows[0]["name"].rpartition("/")[2] if rows else None


def _in_state(version: Json) -> Exception:
    return failed_precondition(f"Secret Version [{version['name']}] is in {version['state']} state.")
