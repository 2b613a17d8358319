"""What a program marks as secret stays secret in all that we say: outputs, messages on a row, reasons of a failure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from tunestack.provider.resource import RowLog
from tunestack.provider.values import SECRET, Properties, Secret, decode, plain

SHORTEST = 4
"""Characters from which on a secret is blotted out of text: a shorter one would blot out half the alphabet."""

SHORTEST_PART = 8
"""The same of the last part of a name, which is more often a word like any other."""

BLOT = "[secret]"


def secrets_of_request(request: Any) -> frozenset[str]:
    """The texts that a request of the engine marks as secret."""
    if SECRET.encode() not in request.SerializeToString():
        return frozenset()  # almost always, and a preview asks for each of a thousand resources
    maps = [value for field, value in request.ListFields() if isinstance(value, Struct)]
    return frozenset(text for of in maps for text in _secrets(decode(of)) if len(text) >= SHORTEST)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from _texts(plain(value.value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
        # Google spells a name with the project's number, and an object's address as a URL: the last part stays.
        last = value.rsplit("/", 1)[-1].partition("@")[0]
        if len(last) >= SHORTEST_PART:
            yield last


def redacted(text: str, secrets: Collection[str]) -> str:
    """The text with each secret blotted out."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, BLOT)
    return text


def kept_secret(outputs: Properties, secrets: Collection[str]) -> Properties:
    """The outputs, of which those that say a secret are secret themselves."""
    if not secrets:
        return outputs
    return {key: Secret(plain(value)) if _says(value, secrets) else value for key, value in outputs.items()}


def _says(value: Any, secrets: Collection[str]) -> bool:
    """Whether a text outside of all secret wrappers holds a secret."""
    if isinstance(value, Secret):
        return False
    if isinstance(value, Mapping):
        return any(_says(item, secrets) for item in value.values())
    if isinstance(value, list):
        return any(_says(item, secrets) for item in value)
    return isinstance(value, str) and any(secret in value for secret in secrets)


class DiscreetRow:
    """A row that shows no secret."""

    def __init__(self, row: RowLog, secrets: Collection[str]) -> None:
        self._row = row
        self._secrets = secrets

    async def status(self, message: str) -> None:
        """A line that the next one replaces."""
        await self._row.status(redacted(message, self._secrets))

    async def info(self, message: str) -> None:
        """A line that stays among the diagnostics."""
        await self._row.info(redacted(message, self._secrets))

    async def warning(self, message: str) -> None:
        """A warning that stays among the diagnostics."""
        await self._row.warning(redacted(message, self._secrets))
