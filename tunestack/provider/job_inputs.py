"""The inputs that every kind of job has, and their rules. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tunestack.provider.inputs import Inputs
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.job_state import RetryCause

BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"
"""Set by the service on every run; a value of ours would be overridden."""

OWN_LABELS = (SPEC_HASH_LABEL, BILLING_LABEL)

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _labels(labels: dict[str, str] | None) -> dict[str, str] | None:
    if labels is None:
        return None
    if len(labels) > 62:
        raise ValueError("at most 62 labels: Google allows 64, and two are set for you")
    for key, value in labels.items():
        if key in OWN_LABELS:
            raise ValueError(f"label {key} is set for you: remove it")
        if not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"label key {key!r}: a lowercase letter, then up to 62 of a-z 0-9 _ -")
        if not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"label {key}={value!r}: a value has up to 63 of a-z 0-9 _ -")
    return labels


def _gcs_directory(uri: str) -> str:
    if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?", uri):
        raise ValueError(f"{uri!r} is no folder in Cloud Storage: gs://bucket/folder")
    return uri


def _retry_failed(value: object) -> object:
    causes = [cause.value for cause in RetryCause]
    if isinstance(value, bool) or (
        isinstance(value, list) and value and all(item in causes for item in value)
    ):
        return value
    raise ValueError(f"is true, false or a list of causes: {', '.join(causes)}")


Project = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9:.-]*$", max_length=64)]
Location = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]{1,2}$")]
DisplayName = Annotated[str, Field(min_length=1, max_length=128)]
ServiceAccount = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
Name = Annotated[str, Field(min_length=1)]
Network = Annotated[str, Field(pattern=r"^projects/[^/]+/global/networks/[^/]+$")]
GcsDirectory = Annotated[str, AfterValidator(_gcs_directory)]
DeletionPolicy = Literal["ABANDON", "DELETE"]
RetryFailed = Annotated[bool | list[str], BeforeValidator(_retry_failed)]


class EncryptionSpec(Inputs):
    """A key of your own (CMEK), in the region of the job."""

    kms_key_name: Annotated[
        str, Field(pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$")
    ]


class DnsPeeringConfig(Inputs):
    """A domain, with its dot at the end, that another network resolves."""

    domain: Annotated[str, Field(pattern=r"\.$")]
    target_project: Name
    target_network: Name


class PscInterfaceConfig(Inputs):
    """Private Service Connect."""

    network_attachment: Name | None = None
    dns_peering_configs: list[DnsPeeringConfig] | None = None


class JobInputs(Inputs):
    """What a job of any kind is asked for; all but ``project`` and ``location`` is bookkeeping of ours.

    ``identity``: everything that decides the result; absent, it is derived. ``force_new``: any text that becomes part
    of the identity, to train again on purpose. ``retry_failed``: which red ends are submitted again: none, the
    causes that it lists, or all of them.
    """

    project: Project
    location: Location
    labels: Annotated[dict[str, str] | None, AfterValidator(_labels)] = None
    identity: Annotated[dict[str, str] | None, Field(min_length=1)] = None
    force_new: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    progress: bool = True
    wait: bool = True
    on_cancel: Literal["detach", "cancel"] = "detach"
    retry_failed: RetryFailed = False
    deletion_policy: DeletionPolicy = "ABANDON"


LOCAL_INPUTS = frozenset(
    {"identity", "forceNew", "progress", "wait", "onCancel", "retryFailed", "deletionPolicy"}
)
"""Inputs that are ours alone: the job never carries them."""
