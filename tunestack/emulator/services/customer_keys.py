"""Customer-managed keys: what names a key of Cloud KMS that its service cannot use is refused.

The service's agent uses the key: it must be there, in the same place, with an enabled primary version, and where
IAM is enforced the agent needs a role on it. Words: googleapis/nodejs-storage#1254 (Cloud Storage, which tells a
key that is not there from one that is forbidden as little as Google does), hashicorp/terraform-provider-google#11819
(Vertex AI). It is checked before all else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, failed_precondition, invalid
from tunestack.emulator.services.cloud_kms_encryption import primary_version, version_in_use
from tunestack.emulator.state import State

Json = dict[str, Any]

_KEY = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+")
_MAKING = ("create", "upload", "copy", "patch")
_STORAGE_AGENT = "service-{}@gs-project-accounts.iam.gserviceaccount.com"
_VERTEX_AGENT = "service-{}@gcp-sa-aiplatform.iam.gserviceaccount.com"
_STORAGE_WORDS = (
    "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been"
    " authorized to use this key."
)


def check(call: Call) -> None:
    """Raises 400 where a body of Vertex AI's names a key that Vertex AI cannot use."""
    service, *_, verb = call.method.id.split(".")
    if service != "aiplatform" or verb not in _MAKING:
        return
    for name in _named(call.body):
        project, location = _place(call)
        found = _KEY.fullmatch(name)
        if found is None:
            raise invalid(f"Invalid CryptoKey name: {name}", [("encryption_spec.kms_key_name", name)])
        if location and found["location"] != location:
            text = f"The CryptoKey {name} is not in the region of the resource, {location}."
            raise invalid(text, [("encryption_spec.kms_key_name", text)])
        agent = _VERTEX_AGENT.format(project)
        try:
            usable = bool(primary_version(call.state, name)) and may_use(call.state, agent, name)
        except ApiError:
            usable = False
        if not usable:
            raise failed_precondition(
                f"Provided CryptoKey {name} cannot be used in Vertex AI service. Please make sure the CryptoKey is"
                f" enabled and Vertex AI service account `{agent}` has Encryption and Decryption access to the"
                " CryptoKey."
            )


def storage_key_version(state: State, project: str, location: str, name: str) -> str:
    """The version of a key that Cloud Storage encrypts an object with. Raises 400, 403.

    ``project`` is the bucket's number, ``location`` its location.
    """
    found = _KEY.fullmatch(name.partition("/cryptoKeyVersions/")[0])
    if found is None:
        raise invalid(f"Invalid Cloud KMS key name: {name}")
    if found["location"] != location.lower():
        raise invalid(
            f"The Cloud KMS key {name} is in {found['location']}; it must be in the bucket's location,"
            f" {location.lower()}."
        )
    agent = _STORAGE_AGENT.format(project)
    try:
        version = primary_version(state, name)
    except ApiError as error:
        if error.status == "NOT_FOUND":
            raise ApiError("PERMISSION_DENIED", _STORAGE_WORDS) from None
        raise
    if not may_use(state, agent, name):
        raise ApiError("PERMISSION_DENIED", _STORAGE_WORDS)
    return version


def check_readable(state: State, row: Json) -> None:
    """Raises 400 in Cloud KMS's words where an object was encrypted with a version that is of no use now."""
    if row.get("kmsKeyName"):
        version_in_use(state, row["kmsKeyName"])


def _named(body: Any) -> Iterator[str]:
    """The keys that a body names, at any depth: a job's, a model's that is uploaded, a deployed model's."""
    if isinstance(body, dict):
        spec = body.get("encryptionSpec")
        if isinstance(spec, dict) and spec.get("kmsKeyName"):
            yield spec["kmsKeyName"]
        for child in body.values():
            yield from _named(child)
    elif isinstance(body, list):
        for child in body:
            yield from _named(child)


def _place(call: Call) -> tuple[str, str]:
    """The number of the project and the location that a call is about."""
    name = call.state.projects.canonical(next(iter(call.path.values()), ""))
    parts = [*name.split("/"), "", "", "", ""]
    return parts[1], parts[3]


def may_use(state: State, agent: str, name: str) -> bool:
    resource = named_resource(state, name, "cloudkms.googleapis.com")
    return not state.access.enforced or all(
        state.access.allows(agent, f"cloudkms.cryptoKeyVersions.{use}", resource)
        for use in ("useToEncrypt", "useToDecrypt")
    )
