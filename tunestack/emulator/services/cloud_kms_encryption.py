"""Cloud KMS: encryption and decryption with AES-256-GCM, and other services' use of a key (cloudkms.v1).

A ciphertext begins with the number of the version that made it, as Google's tells its version too:
``version (4 bytes, big endian) | nonce (12 bytes) | AES-GCM ciphertext and tag``.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, failed_precondition, invalid
from tunestack.emulator.services.cloud_kms_state import (
    VERSIONS,
    enabled,
    material_of,
    settled_key,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

_KEY = "cloudkms.projects.locations.keyRings.cryptoKeys"
_AT_MOST = 64 * 1024  # bytes of plaintext, and of additional authenticated data
_NONCE = 12


@implements(f"{_KEY}.encrypt")
def encrypt(call: Call) -> Json:
    state = call.state
    key, version = _key_and_version(state, call.parent("name"))
    if version is None:
        version = _primary(state, key)
    version = enabled(state, version)
    name = state.projects.canonical(version["name"])
    plaintext, authenticated = _bytes(call, "plaintext"), _bytes(call, "additionalAuthenticatedData")
    nonce = secrets.token_bytes(_NONCE)
    number = int(name.rpartition("/")[2]).to_bytes(4, "big")
    sealed = AESGCM(material_of(state, name)).encrypt(nonce, plaintext, authenticated)
    ciphertext = number + nonce + sealed
    answer: Json = {
        "name": version["name"],
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "ciphertextCrc32c": _checksum(ciphertext),
        "protectionLevel": version["protectionLevel"],
    }
    for field in ("plaintext", "additionalAuthenticatedData"):
        if f"{field}Crc32c" in call.body:
            answer[f"verified{field[0].upper()}{field[1:]}Crc32c"] = True
    return answer


@implements(f"{_KEY}.decrypt")
def decrypt(call: Call) -> Json:
    state = call.state
    key, _ = _key_and_version(state, call.parent("name"))
    ciphertext, authenticated = _bytes(call, "ciphertext"), _bytes(call, "additionalAuthenticatedData")
    name = f"{call.parent('name')}/{VERSIONS}/{int.from_bytes(ciphertext[:4], 'big')}"
    version = state.rows.find(name)
    wrong = invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    if version is None or len(ciphertext) < 4 + _NONCE:
        raise wrong
    version = enabled(state, version)
    try:
        plaintext = AESGCM(material_of(state, name)).decrypt(
            ciphertext[4 : 4 + _NONCE], ciphertext[4 + _NONCE :], authenticated
        )
    except InvalidTag:
        raise wrong from None
    return {
        "plaintext": base64.b64encode(plaintext).decode(),
        "plaintextCrc32c": _checksum(plaintext),
        "usedPrimary": key.get("_primary") == name,
        "protectionLevel": version["protectionLevel"],
    }


@implements("cloudkms.projects.locations.generateRandomBytes")
def generate_random_bytes(call: Call) -> Json:
    length = call.body.get("lengthBytes", 0)
    if not 8 <= length <= 1024:
        raise invalid("length_bytes must be between 8 and 1024.", [("length_bytes", "8 to 1024")])
    data = secrets.token_bytes(length)
    return {"data": base64.b64encode(data).decode(), "dataCrc32c": _checksum(data)}


def primary_version(state: State, name: str) -> str:
    """The version that a service encrypts with. Raises 404, or 400 FAILED_PRECONDITION, in Cloud KMS's words."""
    key, version = _key_and_version(state, state.projects.canonical(name))
    return str(enabled(state, version or _primary(state, key))["name"])


def version_in_use(state: State, name: str) -> None:
    """Raises 404 or 400 FAILED_PRECONDITION where what a version encrypted cannot be decrypted."""
    version = state.projects.canonical(name)
    enabled(state, state.rows.get(version, f"CryptoKeyVersion {name} not found."))


def _key_and_version(state: State, name: str) -> tuple[Json, Json | None]:
    """The key (rotated as far as is due), and the version where ``name`` names one. Raises 404, 400."""
    key_name, _, number = name.partition(f"/{VERSIONS}/")
    shown = state.projects.by_id(key_name)
    key = settled_key(state, state.rows.get(key_name, f"CryptoKey {shown} not found."))
    if key.get("purpose") != "ENCRYPT_DECRYPT":
        raise failed_precondition(
            f"{shown} has the purpose {key.get('purpose')}; it must be ENCRYPT_DECRYPT."
        )
    version_name = state.projects.by_id(name)
    version = state.rows.get(name, f"CryptoKeyVersion {version_name} not found.") if number else None
    return key, version


def _primary(state: State, key: Json) -> Json:
    if "_primary" not in key:
        raise failed_precondition(f"CryptoKey {key['name']} has no primary version.")
    return state.rows.get(key["_primary"])


def _bytes(call: Call, field: str) -> bytes:
    """A bytes field of the body, of lawful length and as its checksum says. Raises 400."""
    text = call.body.get(field, "").replace("-", "+").replace("_", "/")
    data = base64.b64decode(text + "=" * (-len(text) % 4))
    snake = {"additionalAuthenticatedData": "additional_authenticated_data"}.get(field, field)
    if len(data) > _AT_MOST + (0 if field != "ciphertext" else 1024):
        raise invalid(f"{snake} has {len(data)} bytes; at most 64 KiB are allowed.", [(snake, "too long")])
    announced = call.body.get(f"{field}Crc32c")
    if announced is not None and announced != _checksum(data):
        text = f"The checksum in field {snake}_crc32c did not match the data in field {snake}."
        raise ApiError("INVALID_ARGUMENT", text)
    return data


def _checksum(data: bytes) -> str:
    return str(google_crc32c.value(data))
