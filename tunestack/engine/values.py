"""Property values as the engine holds them, and their forms on the wire and in state.

Inside the engine a property value is ``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, ``dict``, a
:class:`Secret` around any of them, or :data:`UNKNOWN`. Assets, archives and resource references stay dicts
that carry Pulumi's signature key. The signatures are part of Pulumi's wire protocol; the SDK keeps them
private (``pulumi.runtime.rpc._special_*``), so they are copied here and a contract test compares them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tunestack.engine.errors import EngineError, EngineRefused

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a constant of the protocol
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

_PLAIN: Final = frozenset({str, bool, int, float, type(None)})


class Unknown:
    """The type of :data:`UNKNOWN`: a value that only exists after something has been created."""

    _instance: Unknown | None = None

    def __new__(cls) -> Unknown:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class Secret:
    """A value that is only ever written encrypted. Remembers its ciphertext, so that state stays quiet."""

    __slots__ = ("ciphertext", "value")

    def __init__(self, value: Any, ciphertext: str | None = None) -> None:
        self.value = value
        self.ciphertext = ciphertext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and equal(self.value, other.value)

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return "Secret([secret])"


Properties = dict[str, Any]


def signature_of(value: Any) -> str | None:
    """The signature of a dict that stands for an asset, archive, reference or output; else None."""
    return value.get(SIGNATURE) if isinstance(value, dict) else None


# -- protobuf -----------------------------------------------------------------------------------------------


def from_struct(struct: Any) -> Properties:
    """A ``google.protobuf.Struct`` as engine values. Output values keep their form (see `lower_outputs`)."""
    fields = struct.fields  # a map of protobuf's, whose own `items` looks up each key twice
    return {key: from_proto(fields[key]) for key in fields}


def from_proto(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text: str = value.string_value
        return UNKNOWN if text in _UNKNOWNS else text
    if kind == "struct_value":
        return _from_signed(from_struct(value.struct_value))
    if kind == "list_value":
        return [from_proto(item) for item in value.list_value.values]
    if kind == "bool_value":
        return bool(value.bool_value)
    if kind == "number_value":
        number = float(value.number_value)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return None


def _from_signed(value: dict[str, Any]) -> Any:
    signature = value.get(SIGNATURE)
    if signature == SECRET_SIGNATURE:
        return Secret(value.get("value"))
    return value


def to_struct(
    properties: Mapping[str, Any],
    *,
    keep_secrets: bool = True,
    keep_references: bool = True,
    elide: bool = False,
) -> Any:
    """Engine values as a ``Struct``.

    Without `keep_secrets` secrets are sent as their plain values; without `keep_references` a resource
    reference is sent as its id (or URN); with `elide` assets are sent as their hash alone (Diff, Read).
    """
    from google.protobuf import struct_pb2

    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value, keep_secrets, keep_references, elide)
    return struct


def to_proto(value: Any) -> Any:
    """One engine value as a ``google.protobuf.Value``, everything kept."""
    from google.protobuf import struct_pb2

    target = struct_pb2.Value()
    _fill(target, value, True, True, False)
    return target


def _fill(target: Any, value: Any, secrets: bool, references: bool, elide: bool) -> None:
    if value is None:
        target.null_value = 0
    elif value is UNKNOWN:
        target.string_value = UNKNOWN_STRING
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        if secrets:
            target.struct_value.fields[SIGNATURE].string_value = SECRET_SIGNATURE
            _fill(target.struct_value.fields["value"], value.value, secrets, references, elide)
        else:
            _fill(target, value.value, secrets, references, elide)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item, secrets, references, elide)
    elif isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == REFERENCE_SIGNATURE and not references:
            _fill(target, value.get("id", value.get("urn")), secrets, references, elide)
            return
        if elide and signature in (ASSET_SIGNATURE, ARCHIVE_SIGNATURE):
            value = {SIGNATURE: signature, "hash": value.get("hash", "")}
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[key], item, secrets, references, elide)
    else:  # pragma: no cover - nothing else is ever put into properties
        raise TypeError(f"not a property value: {type(value).__name__}")


# -- JSON: state and display --------------------------------------------------------------------------------


def to_json(value: Any, secret: Callable[[Secret], Any]) -> Any:
    """A value as plain JSON; `secret` says what stands for a secret, unknowns become Pulumi's sentinel."""
    if isinstance(value, dict):
        return {
            # Most values are plain: asked here, they cost no call. All of the state is written at every step.
            key: item if type(item := value[key]) in _PLAIN else to_json(item, secret)
            for key in sorted(value)
        }
    if isinstance(value, list):
        return [to_json(item, secret) for item in value]
    if isinstance(value, Secret):
        return secret(value)
    return UNKNOWN_STRING if value is UNKNOWN else value


def from_json(value: Any, decrypt: Callable[[str], Any]) -> Any:
    """The inverse of `to_json` for state: `decrypt` turns a ciphertext into the value it holds."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            if "ciphertext" in value:
                return Secret(from_json(decrypt(value["ciphertext"]), decrypt), value["ciphertext"])
            if "plaintext" in value:  # `pulumi stack export --show-secrets`
                import json

                return Secret(from_json(json.loads(value["plaintext"]), decrypt))
            raise EngineError("a secret in the state has neither ciphertext nor plaintext")
        return {key: from_json(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item, decrypt) for item in value]
    if isinstance(value, str) and value in _UNKNOWNS:
        return UNKNOWN
    return value


def redacted(value: Any) -> Any:
    """A value for people and for ``preview --json``: secrets are ``[secret]``."""
    return to_json(value, lambda _secret: "[secret]")


def redacted_signed(value: Any) -> Any:
    """A value for the event stream, where a secret keeps its signature and loses its content."""
    return to_json(value, lambda _secret: {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "[secret]"})


# -- looking into values ------------------------------------------------------------------------------------


def unwrap(value: Any) -> Any:
    """The value without any secret around or inside it."""
    if isinstance(value, Secret):
        return unwrap(value.value)
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    return value


def contains_unknowns(value: Any) -> bool:
    if value is UNKNOWN:
        return True
    if isinstance(value, Secret):
        return contains_unknowns(value.value)
    if isinstance(value, dict):
        return any(contains_unknowns(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknowns(item) for item in value)
    return False


def contains_secrets(value: Any) -> bool:
    if isinstance(value, Secret):
        return True
    if isinstance(value, dict):
        return any(contains_secrets(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_secrets(item) for item in value)
    return False


def equal(left: Any, right: Any) -> bool:
    """Deep equality as Pulumi means it: ``True`` is not ``1``, and assets are equal when their hashes are."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        signature = left.get(SIGNATURE)
        if signature in (ASSET_SIGNATURE, ARCHIVE_SIGNATURE) and right.get(SIGNATURE) == signature:
            return bool(left.get("hash") == right.get("hash"))
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def lower_outputs(value: Any, dependencies: set[str]) -> Any:
    """Output values as plain ones: unknown where there is no value, secret where marked; gathers their URNs."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == OUTPUT_SIGNATURE:
            dependencies.update(unwrap(value.get("dependencies") or []))
            inner = lower_outputs(value["value"], dependencies) if "value" in value else UNKNOWN
            return Secret(inner) if value.get("secret") and not isinstance(inner, Secret) else inner
        return {key: lower_outputs(item, dependencies) for key, item in value.items()}
    if isinstance(value, list):
        return [lower_outputs(item, dependencies) for item in value]
    if isinstance(value, Secret):
        return Secret(lower_outputs(value.value, dependencies), value.ciphertext)
    return value


def raise_outputs(properties: Properties, dependencies: Mapping[str, Iterable[str]]) -> Properties:
    """Top-level values as output values that know what they depend on: what a transform is shown."""
    raised: Properties = {}
    for key, value in properties.items():
        urns = sorted(dependencies.get(key, ()))
        secret, inner = isinstance(value, Secret), value.value if isinstance(value, Secret) else value
        if not urns and inner is not UNKNOWN:
            raised[key] = value
            continue
        output: dict[str, Any] = {SIGNATURE: OUTPUT_SIGNATURE, "secret": secret, "dependencies": list(urns)}
        if inner is not UNKNOWN:
            output["value"] = inner
        raised[key] = output
    return raised


def annotate_secrets(outputs: Properties, inputs: Mapping[str, Any]) -> Properties:
    """Outputs with the secretness of same-named inputs: a secret must not leak through a provider's echo."""
    return {
        key: Secret(value) if isinstance(inputs.get(key), Secret) and not isinstance(value, Secret) else value
        for key, value in outputs.items()
    }


def hash_assets(value: Any, working_directory: Path) -> Any:
    """The value with the sha256 of every asset's content filled in, as Pulumi computes it.

    Raises:
        EngineError: a file asset does not exist.
        EngineRefused: an archive, or an asset behind a URL.
    """
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == ARCHIVE_SIGNATURE:
            raise EngineRefused("archives (FileArchive, AssetArchive, RemoteArchive)", "use a FileAsset")
        if signature == ASSET_SIGNATURE:
            return {**value, "hash": value.get("hash") or _asset_hash(value, working_directory)}
        return {key: hash_assets(item, working_directory) for key, item in value.items()}
    if isinstance(value, list):
        return [hash_assets(item, working_directory) for item in value]
    if isinstance(value, Secret):
        return Secret(hash_assets(value.value, working_directory), value.ciphertext)
    return value


def _asset_hash(asset: Mapping[str, Any], working_directory: Path) -> str:
    if asset.get("uri"):
        raise EngineRefused("remote assets", "download the file and use a FileAsset")
    if asset.get("path"):
        path = working_directory / asset["path"]
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EngineError(f"failed to compute asset hash: {error.strerror or error}: {path}") from error
    return hashlib.sha256(str(asset.get("text", "")).encode()).hexdigest()
