"""Secret Manager: what Google's prose asks of a secret beyond the schema, its keys and its topics.

Sources: cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets (the fields), /docs/rotation-
recommendations, /docs/delay-destruction-of-secret-versions, /docs/cmek, /docs/assign-alias-to-secret-version.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.errors import ApiError, failed_precondition, invalid, not_found
from tunestack.emulator.services.cloud_kms_encryption import primary_version
from tunestack.emulator.services.customer_keys import may_use
from tunestack.emulator.services.secret_manager_state import agent_of
from tunestack.emulator.services.times import moment, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]
Problem = tuple[str, str]

_DAY = 86_400
_CENTURY = 3_153_600_000  # seconds, "100 years" of the prose
_LABELS_AT_MOST, _TOPICS_AT_MOST, _ALIASES_AT_MOST = 64, 10, 50
_ANNOTATIONS_AT_MOST = 16 * 1024  # bytes of keys and values together
_ANNOTATION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_KEY = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+")


def problems_of(state: State, key: str, secret: Json, before: Json) -> list[Problem]:
    """Everything that is wrong with a secret; ``before``: as it was (empty when it is made)."""
    return [
        *_replication(key, secret, before),
        *_texts(secret),
        *_topics(secret),
        *_times(state, secret, before),
    ]


def _replication(key: str, secret: Json, before: Json) -> Iterator[Problem]:
    """A global secret says where it lies, one of a location lies there."""
    policy = secret.get("replication")
    if "/locations/" in key:
        if policy is not None:
            yield "secret.replication", "Secret.replication should not be provided."
        return
    if "customerManagedEncryption" in secret:
        yield (
            "secret.customer_managed_encryption",
            "Secret.customer_managed_encryption is of regional secrets; a global one has it in its replication.",
        )
    if policy is None or ("automatic" in policy) == ("userManaged" in policy):
        yield "secret.replication", "Secret.replication must be automatic or user_managed."
        return
    places = _locations(policy)
    if "userManaged" in policy and (not places or len(set(places)) < len(places)):
        yield "secret.replication.user_managed.replicas", "Replicas must be given, each of another location."
    if before and (places, "automatic" in policy) != (
        _locations(before["replication"]),
        "automatic" in before["replication"],
    ):
        yield "secret.replication", "Secret.replication is immutable but for its encryption."


def _locations(policy: Json) -> list[str]:
    return [replica.get("location", "") for replica in policy.get("userManaged", {}).get("replicas", [])]


def _texts(secret: Json) -> Iterator[Problem]:
    labels, annotations = secret.get("labels", {}), secret.get("annotations", {})
    if len(labels) > _LABELS_AT_MOST:
        yield "secret.labels", f"A secret has at most {_LABELS_AT_MOST} labels."
    for name, value in labels.items():
        if not name or unicodedata.category(name[0]) not in ("Ll", "Lo") or not _is_label(name):
            yield "secret.labels", f"Invalid label key '{name}'."
        if not _is_label(value):
            yield "secret.labels", f"Invalid value '{value}' of label '{name}'."
    for name in annotations:
        if not _ANNOTATION.fullmatch(name):
            yield "secret.annotations", f"Invalid annotation key '{name}'."
    size = sum(len(text.encode()) for pair in annotations.items() for text in pair)
    if size >= _ANNOTATIONS_AT_MOST:
        yield "secret.annotations", "Annotations have less than 16 KiB together."
    aliases = secret.get("versionAliases", {})
    if len(aliases) > _ALIASES_AT_MOST:
        yield "secret.version_aliases", f"A secret has at most {_ALIASES_AT_MOST} version aliases."
    for name in aliases:
        if not _ALIAS.fullmatch(name) or name in ("latest", "NEW"):
            yield "secret.version_aliases", f"Invalid version alias '{name}'."


def _is_label(text: str) -> bool:
    r"""``[\p{Ll}\p{Lo}\p{N}_-]{0,63}`` (Python's expressions have no classes of Unicode)."""
    return len(text) <= 63 and all(
        letter in "_-" or unicodedata.category(letter) in ("Ll", "Lo", "Nd", "Nl", "No") for letter in text
    )


def _topics(secret: Json) -> Iterator[Problem]:
    topics = secret.get("topics", [])
    if len(topics) > _TOPICS_AT_MOST:
        yield "secret.topics", f"A secret has at most {_TOPICS_AT_MOST} topics."
    for topic in topics:
        if not _TOPIC.fullmatch(topic.get("name", "")):
            yield "secret.topics", f"'{topic.get('name', '')}' is not of the form projects/*/topics/*."


def _times(state: State, secret: Json, before: Json) -> Iterator[Problem]:
    now = state.clock()
    if "ttl" in secret and "expireTime" in secret:
        yield "secret.expiration", "An expiration is either expire_time or ttl."
    if "ttl" in secret and seconds(secret["ttl"]) <= 0:
        yield "secret.ttl", "The ttl must be positive."
    expiry = secret.get("expireTime")
    if expiry and expiry != before.get("expireTime") and moment(expiry) <= now:
        yield "secret.expire_time", "The expire_time must be in the future."
    if "versionDestroyTtl" in secret and not _DAY <= seconds(secret["versionDestroyTtl"]) <= 1000 * _DAY:
        yield "secret.version_destroy_ttl", "The version_destroy_ttl must be from 1 day to 1000 days."
    rotation = secret.get("rotation", {})
    if not rotation:
        return
    if not secret.get("topics"):
        yield "secret.rotation", "Secret.topics must be set to configure rotation."
    due, period = rotation.get("nextRotationTime"), rotation.get("rotationPeriod")
    if period is not None and not 3600 <= seconds(period) <= _CENTURY:
        yield "secret.rotation.rotation_period", "The rotation_period must be from 3600s to 3153600000s."
    if period is not None and due is None:
        yield "secret.rotation", "next_rotation_time must be set if rotation_period is set."
    changed = due != before.get("rotation", {}).get("nextRotationTime")
    if due and changed and not timedelta(seconds=300) <= moment(due) - now <= timedelta(seconds=_CENTURY):
        yield "secret.rotation.next_rotation_time", "It must be from 300s to 3153600000s in the future."


def check_topics(state: State, key: str, names: list[str]) -> None:
    """Raises 404 where a topic is not there, 400 where the service agent may not publish to it."""
    for name in names:
        if state.rows.find(state.projects.canonical(name)) is None:
            raise not_found(f"Topic [{name}] not found.")
        agent, resource = agent_of(key), named_resource(state, name, "pubsub.googleapis.com")
        if state.access.enforced and not state.access.allows(agent, "pubsub.topics.publish", resource):
            raise failed_precondition(
                f"The Secret Manager service agent {agent} does not have pubsub.topics.publish on {name}."
            )


def keys_of(key: str, secret: Json) -> dict[str, str]:
    """Location of a key of Cloud KMS (``global`` for an automatic policy) -> the key, where a secret names one."""
    policy = secret.get("replication", {})
    places = {
        key.split("/")[3] if "/locations/" in key else "": secret,
        "global": policy.get("automatic", {}),
        **{
            replica.get("location", ""): replica
            for replica in policy.get("userManaged", {}).get("replicas", [])
        },
    }
    return {
        place: holder["customerManagedEncryption"].get("kmsKeyName", "")
        for place, holder in places.items()
        if "customerManagedEncryption" in holder
    }


def check_encryption(state: State, key: str, secret: Json) -> dict[str, str]:
    """Location -> the version of the key that a payload is encrypted with. Raises 400 where a key is of no use."""
    versions = {}
    for place, name in keys_of(key, secret).items():
        found = _KEY.fullmatch(name)
        if found is None:
            raise invalid(f"Invalid Cloud KMS key name: {name}")
        if found["location"] != place:
            raise invalid(f"The Cloud KMS key {name} is in {found['location']}; it must be in {place}.")
        try:
            versions[place] = primary_version(state, name)
            usable = may_use(state, agent_of(key), name)
        except ApiError as error:
            raise failed_precondition(f"Cloud KMS key {name} cannot be used: {error.message}") from None
        if not usable:
            raise failed_precondition(
                f"The Secret Manager service agent {agent_of(key)} does not have permission to use the Cloud KMS key"
                f" {name} (roles/cloudkms.cryptoKeyEncrypterDecrypter)."
            )
    return versions
