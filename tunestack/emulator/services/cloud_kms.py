"""Cloud KMS: key rings, keys and their IAM policies (cloudkms.v1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.services import iam_policy
from tunestack.emulator.services.cloud_kms_state import (
    KEYS,
    MOST_SECONDS_TO_DESTROY,
    RINGS,
    VERSIONS,
    new_version,
    settled_key,
    shown_key,
)
from tunestack.emulator.services.resources import (
    chosen_id,
    create_row,
    keep_row,
    list_rows,
    listed,
    named_row,
    patched_row,
)
from tunestack.emulator.services.times import seconds

Json = dict[str, Any]

_RING = "cloudkms.projects.locations.keyRings"
_ID = r"[a-zA-Z0-9_-]{1,63}"
# Keys of other purposes are kept and read back; their operations (sign, mac) answer 501.
_ROTATED = "ENCRYPT_DECRYPT"
_DAY = 86_400
# cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys
_PROTECTION_LEVELS = ("SOFTWARE", "HSM")


@implements(f"{_RING}.create")
def create_ring(call: Call) -> Json:
    key = f"{call.parent()}/{RINGS}/{chosen_id(call, 'keyRingId', _ID)}"
    _refuse_second(call, key, "KeyRing")
    return create_row(call, RINGS, key)


@implements(f"{_RING}.get")
def get_ring(call: Call) -> Json:
    return named_row(call, kind="KeyRing")


@implements(f"{_RING}.list")
def list_rings(call: Call) -> Json:
    return list_rows(call, RINGS, counted=True)


@implements(f"{_RING}.cryptoKeys.create")
def create_key(call: Call) -> Json:
    state = call.state
    named_row(call, "parent", "KeyRing")
    key = f"{call.parent()}/{KEYS}/{chosen_id(call, 'cryptoKeyId', _ID)}"
    _refuse_second(call, key, "CryptoKey")
    purpose = call.body.get("purpose", "CRYPTO_KEY_PURPOSE_UNSPECIFIED")
    template = {"protectionLevel": "SOFTWARE", **call.body.get("versionTemplate", {})}
    if purpose == _ROTATED:
        template.setdefault("algorithm", "GOOGLE_SYMMETRIC_ENCRYPTION")
    server: Json = {"versionTemplate": template}
    if not call.body.get("destroyScheduledDuration"):
        server["destroyScheduledDuration"] = f"{30 * _DAY}s"
    _check_key({**call.body, **server})
    row = create_row(call, KEYS, key, **server)
    if not (call.query.get("skipInitialVersionCreation") or row.get("importOnly")):
        version = new_version(state, key, row, {})
        if purpose == _ROTATED:
            row = state.rows.put(key, {**row, "_primary": state.projects.canonical(version["name"])})
    return shown_key(state, row)


@implements(f"{_RING}.cryptoKeys.get")
def get_key(call: Call) -> Json:
    return shown_key(call.state, settled_key(call.state, named_row(call, kind="CryptoKey")))


@implements(f"{_RING}.cryptoKeys.list")
def list_keys(call: Call) -> Json:
    named_row(call, "parent", "KeyRing")
    state = call.state
    rows = [shown_key(state, settled_key(state, row)) for row in state.rows.list(KEYS, call.parent())]
    return listed(call, rows, KEYS, counted=True)


@implements(f"{_RING}.cryptoKeys.patch")
def patch_key(call: Call) -> Json:
    settled_key(call.state, named_row(call, kind="CryptoKey"))
    row = patched_row(
        call, immutable=("purpose", "importOnly", "destroyScheduledDuration", "cryptoKeyBackend")
    )
    _check_key(row)
    return shown_key(call.state, keep_row(call, row))


@implements(f"{_RING}.cryptoKeys.updatePrimaryVersion")
def update_primary_version(call: Call) -> Json:
    state = call.state
    row = named_row(call, kind="CryptoKey")
    if row["purpose"] != _ROTATED:
        raise invalid(f"A CryptoKey of purpose {row['purpose']} has no primary version.")
    name = f"{call.parent('name')}/{VERSIONS}/{call.body.get('cryptoKeyVersionId', '')}"
    version = state.rows.get(name, f"CryptoKeyVersion {state.projects.by_id(name)} not found.")
    if version["state"] != "ENABLED":
        raise invalid(f"{version['name']} is not enabled, current state is: {version['state']}.")
    return shown_key(state, state.rows.put(call.parent("name"), {**row, "_primary": name}))


@implements(f"{_RING}.getIamPolicy", f"{_RING}.cryptoKeys.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return iam_policy.read_policy(call)


@implements(f"{_RING}.setIamPolicy", f"{_RING}.cryptoKeys.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    return iam_policy.write_policy(call)


@implements(f"{_RING}.testIamPermissions", f"{_RING}.cryptoKeys.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    return iam_policy.held_permissions(call)


def _refuse_second(call: Call, key: str, kind: str) -> None:
    if call.state.rows.find(key) is not None:
        raise already_exists(f"{kind} {call.state.projects.by_id(key)} already exists.")


def _check_key(key: Json) -> None:
    """What Google's prose forbids beyond the schema, all at once."""
    problems: list[tuple[str, str]] = []
    purpose = key.get("purpose", "CRYPTO_KEY_PURPOSE_UNSPECIFIED")
    template = key["versionTemplate"]
    if purpose == "CRYPTO_KEY_PURPOSE_UNSPECIFIED":
        problems.append(("crypto_key.purpose", "The purpose of a CryptoKey must be specified."))
    if not template.get("algorithm"):
        problems.append(
            ("crypto_key.version_template.algorithm", f"An algorithm is required for the purpose {purpose}.")
        )
    if (template.get("algorithm") == "GOOGLE_SYMMETRIC_ENCRYPTION") != (purpose == _ROTATED):
        problems.append(
            (
                "crypto_key.version_template.algorithm",
                f"{template.get('algorithm')} is not an algorithm of the purpose {purpose}.",
            )
        )
    if template["protectionLevel"] not in _PROTECTION_LEVELS:
        problems.append(
            (
                "crypto_key.version_template.protection_level",
                f"{template['protectionLevel']} is not played by the emulator, only {', '.join(_PROTECTION_LEVELS)}.",
            )
        )
    wait = seconds(key["destroyScheduledDuration"])
    if not _DAY <= wait <= MOST_SECONDS_TO_DESTROY and not (key.get("importOnly") and wait >= 0):
        problems.append(
            ("crypto_key.destroy_scheduled_duration", "It must be between 24 hours and 120 days.")
        )
    if "rotationPeriod" in key:
        if purpose != _ROTATED:
            problems.append(("crypto_key.rotation_period", f"Only keys of purpose {_ROTATED} rotate."))
        if not _DAY <= seconds(key["rotationPeriod"]) <= 876_000 * 3600:
            problems.append(
                ("crypto_key.rotation_period", "It must be at least 24 hours and at most 876,000 hours.")
            )
        if "nextRotationTime" not in key:
            problems.append(("crypto_key.next_rotation_time", "It must be set where rotation_period is set."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
