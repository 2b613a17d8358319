"""Pulumi's passphrase secrets provider: the same format, so that either engine reads the other's state.

Format (Pulumi's ``pkg/secrets/passphrase``): key = PBKDF2-HMAC-SHA256(passphrase, 8 byte salt, 1,000,000
rounds, 32 bytes); a ciphertext is ``v1:base64(nonce):base64(AES-256-GCM)``; the provider's state is
``v1:base64(salt):`` followed by the ciphertext of the word ``pulumi``, which tells a wrong passphrase.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tunestack.engine.errors import StateError
from tunestack.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, to_json

ROUNDS = 1_000_000
_PROBE = "pulumi"


@lru_cache(maxsize=8)
def _key(passphrase: str, salt: bytes, rounds: int) -> bytes:
    """Derived once a process: it takes a good part of a second by design."""
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, rounds, 32)


class PassphraseSecrets:
    """Encrypts and decrypts the secrets of one stack.

    Args:
        passphrase: the stack's passphrase (``PULUMI_CONFIG_PASSPHRASE``).
        state: what an existing state says about its provider; None makes a new salt.
        random: source of salts and nonces.

    Raises:
        StateError: the passphrase is not the one that the state was written with.
    """

    def __init__(
        self, passphrase: str, state: str | None = None, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._random = random
        if state is None:
            salt = random(8)
            self._cipher = AESGCM(_key(passphrase, salt, ROUNDS))
            self.state = f"v1:{_encode(salt)}:{self.encrypt_text(_PROBE)}"
            return
        try:
            version, salt_text, probe = state.split(":", 2)
            if version != "v1":
                raise ValueError(version)
            salt = base64.b64decode(salt_text)
        except ValueError as error:
            raise StateError(f"malformed secrets provider state: {error}") from error
        self._cipher = AESGCM(_key(passphrase, salt, ROUNDS))
        self.state = state
        try:
            right = self.decrypt_text(probe) == _PROBE
        except InvalidTag:
            right = False
        if not right:
            raise StateError("incorrect passphrase")

    def encrypt_text(self, plaintext: str) -> str:
        nonce = self._random(12)
        return f"v1:{_encode(nonce)}:{_encode(self._cipher.encrypt(nonce, plaintext.encode(), None))}"

    def decrypt_text(self, ciphertext: str) -> str:
        try:
            _version, nonce, body = ciphertext.split(":", 2)
            return self._cipher.decrypt(base64.b64decode(nonce), base64.b64decode(body), None).decode()
        except ValueError as error:
            raise StateError("a secret in the state is malformed") from error

    def encrypt(self, secret: Secret) -> dict[str, str]:
        """A secret as it is written to state; the ciphertext is kept on the secret and used again."""
        if secret.ciphertext is None:
            plain = json.dumps(to_json(secret.value, self.encrypt), separators=(",", ":"))
            secret.ciphertext = self.encrypt_text(plain)
        return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": secret.ciphertext}

    def decrypt(self, ciphertext: str) -> Any:
        from cryptography.exceptions import InvalidTag

        try:
            return json.loads(self.decrypt_text(ciphertext))
        except InvalidTag as error:
            raise StateError("a secret in the state was not written with this passphrase") from error


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
