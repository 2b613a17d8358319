"""gcp.kms: https://cloud.google.com/kms/docs/reference/rest/v1. Nothing of KMS can be deleted for good at once."""

from __future__ import annotations

from datetime import timedelta

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.resources.names import seconds as seconds_of
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType


class KeptForEver(Lifecycle):
    """What Google never deletes: a stack that is taken down leaves it, and one that is made again finds its name taken.

    The real provider drops it from its state and then fails with Google's 409, whoever made it
    (hashicorp/terraform-provider-google#1214, #7067).
    """

    taken = (
        "It exists already: Cloud KMS deletes neither key rings nor keys, so what a stack had before it was taken down"
        " is still there."
    )

    async def adopt(self, name: str, inputs: State, seconds: float) -> None:
        return None


_RINGS = "projects/{project}/locations/{location}/keyRings"
_RING = _RINGS + "/{name}"
KEY_RING = ResourceType(
    name="gcp:kms/keyRing:KeyRing",
    service="kms",
    id=_RING,
    imports=("{project}/{location}/{name}", "{location}/{name}"),
    autoname=Autoname(),
    create=Call("POST", _RINGS + "?keyRingId={name}"),
    read=Call("GET", _RING),
    lifecycle=KeptForEver,
    properties=declared("gcp:kms/keyRing:KeyRing", address="name location", replaces="name location"),
)


class CryptoKeyLifecycle(KeptForEver):
    """Deleting a key destroys its versions and stops its rotation; the key itself stays for ever."""

    taken = (
        f"{KeptForEver.taken} Of a key that was taken down all versions are destroyed (or will be within a month): it"
        " needs a new one, `gcloud kms keys versions create --primary`."
    )

    def creation_body(self, inputs: State) -> Json:
        return {**super().creation_body(inputs), **self._rotation(inputs)}

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        body = super().update_body(difference, state, inputs)
        return {**body, **(self._rotation(inputs) if "rotationPeriod" in body else {})}

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        versions = await self.rest.call("kms", Call("GET", _KEY + "/cryptoKeyVersions"), variables)
        for version in versions.get("cryptoKeyVersions", []):
            if version["state"] not in ("DESTROYED", "DESTROY_SCHEDULED"):
                await self.rest.call("kms", Call("POST", "{+name}:destroy"), version, {})
        if state.get("rotationPeriod"):
            stop = Call("PATCH", _KEY + "?updateMask=rotationPeriod,nextRotationTime")
            await self.rest.call("kms", stop, variables, {"rotationPeriod": None, "nextRotationTime": None})

    def _rotation(self, inputs: State) -> Json:
        """Google asks for the time of the next rotation with the period."""
        period = seconds_of(inputs.get("rotationPeriod"))
        if not isinstance(period, float):
            return {}
        return {"nextRotationTime": f"{self.rest.now() + timedelta(seconds=period):%Y-%m-%dT%H:%M:%S}Z"}


_KEY = "{+keyRing}/cryptoKeys/{name}"
CRYPTO_KEY = ResourceType(
    name="gcp:kms/cryptoKey:CryptoKey",
    service="kms",
    id=_KEY,
    autoname=Autoname(),
    create=Call(
        "POST",
        "{+keyRing}/cryptoKeys?cryptoKeyId={name}&skipInitialVersionCreation={skipInitialVersionCreation}",
    ),
    read=Call("GET", _KEY),
    update=Call("PATCH", _KEY),
    masks={"versionTemplate": "versionTemplate.algorithm"},
    lifecycle=CryptoKeyLifecycle,
    properties=declared(
        "gcp:kms/cryptoKey:CryptoKey",
        address="keyRing name skipInitialVersionCreation",
        replaces="""keyRing name cryptoKeyBackend destroyScheduledDuration importOnly purpose
            versionTemplate.protectionLevel""",
        server="cryptoKeyBackend destroyScheduledDuration importOnly keyAccessJustificationsPolicy versionTemplate",
        volatile="primaries",
        default={
            "purpose": "ENCRYPT_DECRYPT",
            "skipInitialVersionCreation": False,
            "versionTemplate.protectionLevel": "SOFTWARE",
        },
        rest={"primaries": "primary"},
        also={
            "rotationPeriod": {"canonical": seconds_of},
            "destroyScheduledDuration": {"canonical": seconds_of},
            "primaries": {
                "decode": lambda primary: (
                    None if primary is None else [{key: primary[key] for key in ("name", "state")}]
                )
            },
        },
    ),
)


class CryptoKeyVersionLifecycle(Lifecycle):
    """A version is destroyed, not deleted; one that is going is as good as gone."""

    async def fetch(self, variables: State) -> Json:
        version = await super().fetch(variables)
        if version.get("state") in ("DESTROYED", "DESTROY_SCHEDULED"):
            raise GoogleError(404, f"{version['name']} is {version['state']}")
        return version

    async def after_creation(self, variables: State, inputs: State) -> None:
        if inputs.get("state") not in (None, "ENABLED"):
            call = Call("PATCH", "{+name}?updateMask=state")
            await self.rest.call("kms", call, variables, {"state": inputs["state"]})


CRYPTO_KEY_VERSION = ResourceType(
    name="gcp:kms/cryptoKeyVersion:CryptoKeyVersion",
    service="kms",
    id="{+name}",
    create=Call("POST", "{+cryptoKey}/cryptoKeyVersions"),
    read=Call("GET", "{+name}"),
    update=Call("PATCH", "{+name}"),
    delete=Call("POST", "{+name}:destroy"),
    lifecycle=CryptoKeyVersionLifecycle,
    properties=declared(
        "gcp:kms/cryptoKeyVersion:CryptoKeyVersion",
        replaces="cryptoKey",
        server="state",
        rest={"cryptoKey": "name", "attestations": "attestation"},
        also={
            "cryptoKey": {
                "encode": lambda _: None,
                "decode": lambda name: name and name.partition("/cryptoKeyVersions/")[0],
            },
            "attestations": {"decode": lambda one: None if one is None else [one]},
        },
    ),
)


def _holder(noun: str, named: str, template: str, *forms: str) -> PolicyHolder:
    return PolicyHolder(
        prefix=f"gcp:kms/{noun}IAM",
        service="kms",
        property=named,
        id=template,
        forms=forms,
        read=Call("GET", template + ":getIamPolicy?options.requestedPolicyVersion=3"),
        write=Call("POST", template + ":setIamPolicy"),
    )


_RING_NAME = "projects/{project}/locations/{location}/keyRings/{ring}"
TYPES = (
    KEY_RING,
    CRYPTO_KEY,
    CRYPTO_KEY_VERSION,
    *policy_types(
        _holder("keyRing", "keyRingId", _RING_NAME, "{project}/{location}/{ring}", "{location}/{ring}")
    ),
    *policy_types(
        _holder(
            "cryptoKey",
            "cryptoKeyId",
            _RING_NAME + "/cryptoKeys/{key}",
            "{project}/{location}/{ring}/{key}",
            "{location}/{ring}/{key}",
        )
    ),
)
