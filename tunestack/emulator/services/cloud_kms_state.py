"""What the Cloud KMS files share: rows of keys and versions, their material, and what time does to them.

A version's key material lies in a row of its own that no method shows. Time acts when a row is looked at:
a rotation that is due adds a version, a destruction that is due removes the material.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from tunestack.emulator.errors import failed_precondition
from tunestack.emulator.services.times import later, moment, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

RINGS = "keyRings"
KEYS = "cryptoKeys"
VERSIONS = "cryptoKeyVersions"
MATERIALS = "cryptoKeyMaterials"
MOST_SECONDS_TO_DESTROY = 120 * 86_400
_KEY_BYTES = 32  # AES-256, as GOOGLE_SYMMETRIC_ENCRYPTION is


def new_version(state: State, key_name: str, key: Json, sent: Json) -> Json:
    """Add the next version to a key, enabled, with material of its own."""
    number = state.database.next_number(f"{VERSIONS}/{key_name}")
    name = f"{key_name}/{VERSIONS}/{number}"
    now = state.now()
    row = {
        **sent,
        **key["versionTemplate"],
        "name": state.projects.by_id(name),
        "state": "ENABLED",
        "createTime": now,
        "generateTime": now,
    }
    state.rows.create(VERSIONS, key_name, name, row)
    material = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    state.rows.create(MATERIALS, name, f"{name}/material", {"name": name, "material": material})
    return row


def material_of(state: State, version_name: str) -> bytes:
    return base64.b64decode(state.rows.get(f"{version_name}/material")["material"])


def settled_key(state: State, row: Json) -> Json:
    """The key after the rotations that are due by now."""
    name = state.projects.canonical(row["name"])
    due = row.get("nextRotationTime")
    period = row.get("rotationPeriod")
    if due is None or period is None or moment(due) > state.clock():
        return row
    version = new_version(state, name, row, {})
    while moment(due) <= state.clock():
        due = later(due, seconds(period))
    rotated = {**row, "_primary": state.projects.canonical(version["name"]), "nextRotationTime": due}
    return state.rows.put(name, rotated)


def settled_version(state: State, row: Json) -> Json:
    """The version after a destruction that is due by now."""
    if row["state"] != "DESTROY_SCHEDULED" or moment(row["destroyTime"]) > state.clock():
        return row
    name = state.projects.canonical(row["name"])
    state.rows.delete(f"{name}/material")
    destroyed = {key: value for key, value in row.items() if key != "destroyTime"}
    return state.rows.put(name, {**destroyed, "state": "DESTROYED", "destroyEventTime": row["destroyTime"]})


def shown_key(state: State, row: Json) -> Json:
    """The key as it is shown: with its primary version."""
    shown = {key: value for key, value in row.items() if not key.startswith("_")}
    if "_primary" in row:
        shown["primary"] = settled_version(state, state.rows.get(row["_primary"]))
    return shown


def enabled(state: State, version: Json) -> Json:
    """The version, if it may be used. Raises 400 FAILED_PRECONDITION, worded as Cloud KMS words it."""
    version = settled_version(state, version)
    if version["state"] != "ENABLED":
        raise failed_precondition(f"{version['name']} is not enabled, current state is: {version['state']}.")
    return version
