"""Cloud KMS: versions of a key: made, switched off and on, destroyed after a while, restored (cloudkms.v1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.services.cloud_kms_state import (
    VERSIONS,
    new_version,
    settled_key,
    settled_version,
)
from tunestack.emulator.services.resources import keep_row, listed, named_row, patched_row
from tunestack.emulator.services.times import later, seconds

Json = dict[str, Any]

_VERSION = "cloudkms.projects.locations.keyRings.cryptoKeys.cryptoKeyVersions"
_KIND = "CryptoKeyVersion"


@implements(f"{_VERSION}.create")
def create(call: Call) -> Json:
    key = named_row(call, "parent", "CryptoKey")
    if key.get("importOnly"):
        raise failed_precondition(f"{key['name']} is import-only: its versions can only be imported.")
    return new_version(call.state, call.parent(), key, call.body)


@implements(f"{_VERSION}.get")
def get(call: Call) -> Json:
    return settled_version(call.state, named_row(call, kind=_KIND))


@implements(f"{_VERSION}.list")
def list_versions(call: Call) -> Json:
    state = call.state
    settled_key(state, named_row(call, "parent", "CryptoKey"))
    rows = [settled_version(state, row) for row in state.rows.list(VERSIONS, call.parent())]
    return listed(call, rows, VERSIONS, counted=True)


@implements(f"{_VERSION}.patch")
def patch(call: Call) -> Json:
    """Only ``state`` between ENABLED and DISABLED changes anything that the emulator plays."""
    current = settled_version(call.state, named_row(call, kind=_KIND))
    row = patched_row(call)
    if row["state"] != current["state"]:
        for state in (row["state"], current["state"]):
            if state not in ("ENABLED", "DISABLED"):
                raise invalid(
                    f"{current['name']} cannot go from {current['state']} to {row['state']} by an update:"
                    " that is between ENABLED and DISABLED alone."
                )
    return keep_row(call, row)


@implements(f"{_VERSION}.destroy")
def destroy(call: Call) -> Json:
    state = call.state
    row = settled_version(state, named_row(call, kind=_KIND))
    if row["state"] not in ("ENABLED", "DISABLED"):
        raise failed_precondition(f"{row['name']} cannot be destroyed, current state is: {row['state']}.")
    key = state.rows.get(call.parent("name").rsplit("/", 2)[0])
    due = later(state.now(), seconds(key["destroyScheduledDuration"]))
    return keep_row(call, {**row, "state": "DESTROY_SCHEDULED", "destroyTime": due})


@implements(f"{_VERSION}.restore")
def restore(call: Call) -> Json:
    row = settled_version(call.state, named_row(call, kind=_KIND))
    if row["state"] != "DESTROY_SCHEDULED":
        raise failed_precondition(f"{row['name']} cannot be restored, current state is: {row['state']}.")
    kept = {key: value for key, value in row.items() if key != "destroyTime"}
    return keep_row(call, {**kept, "state": "DISABLED"})
