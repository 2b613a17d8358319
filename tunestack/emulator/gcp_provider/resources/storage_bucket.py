"""gcp.storage.Bucket: https://cloud.google.com/storage/docs/json_api/v1/buckets."""

from __future__ import annotations

import asyncio

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType


class BucketLifecycle(Lifecycle):
    """A bucket must be empty to be deleted, and a retention policy is locked by a call of its own."""

    def creation_body(self, inputs: State) -> Json:
        body = super().creation_body(inputs)
        body.get("retentionPolicy", {}).pop("isLocked", None)
        return body

    def creation_call(self, inputs: State) -> Call:
        call = super().creation_call(inputs)
        retention = "&enableObjectRetention=true" if inputs.get("enableObjectRetention") else ""
        return Call(call.method, call.url + retention)

    async def after_creation(self, variables: State, inputs: State) -> None:
        await self._lock_retention(variables, inputs)

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        if any(change.path.startswith("retentionPolicy.isLocked") for change in difference):
            await self._lock_retention(variables, inputs)

    async def _lock_retention(self, variables: State, inputs: State) -> None:
        if (inputs.get("retentionPolicy") or {}).get("isLocked"):
            bucket = await self.fetch(variables)
            if not bucket.get("retentionPolicy", {}).get("isLocked"):
                call = Call("POST", "b/{name}/lockRetentionPolicy?ifMetagenerationMatch={metageneration}")
                await self.rest.call("storage", call, {**variables, **bucket})

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        """Delete the versions of all objects first, if the program allows it (``forceDestroy``)."""
        versions = Call("GET", "b/{name}/o?versions=true")
        one = Call("DELETE", "b/{name}/o/{object}?generation={generation}")
        while items := (await self.rest.call("storage", versions, variables)).get("items"):
            if not state.get("forceDestroy"):
                raise ProviderError(
                    "FAILED_PRECONDITION",
                    f"bucket {variables['name']} still holds objects (first: {items[0]['name']}). Delete them, or "
                    "set force_destroy=True on the bucket and run up before destroying it: that deletes them all",
                )
            results = await asyncio.gather(
                *(
                    self.rest.call(
                        "storage",
                        one,
                        {**variables, "object": item["name"], "generation": item["generation"]},
                    )
                    for item in items
                ),
                return_exceptions=True,
            )
            for result in results:
                gone = isinstance(result, GoogleError) and result.http_status == 404
                if isinstance(result, BaseException) and not gone:
                    raise result
        await super().remove(variables, state, seconds)


_TYPE = "gcp:storage/bucket:Bucket"
#: They only say whether a zero is sent; zeros that the program states are sent here anyway.
_ZEROS = " ".join(
    f"lifecycleRules.condition.send{name}IfZero"
    for name in ("Age", "DaysSinceCustomTime", "DaysSinceNoncurrentTime", "NumNewerVersions")
)
_ENFORCEMENT = " ".join(
    f"encryption.{whose}EncryptionEnforcementConfig"
    for whose in ("customerManaged", "customerSupplied", "googleManaged")
)

BUCKET = ResourceType(
    name=_TYPE,
    service="storage",
    id="{name}",
    imports=("{project}/{name}",),
    autoname=Autoname(maximum=63),
    patch="merge",
    create=Call("POST", "b?project={project}"),
    read=Call("GET", "b/{name}"),
    update=Call("PATCH", "b/{name}"),
    delete=Call("DELETE", "b/{name}"),
    lifecycle=BucketLifecycle,
    properties=declared(
        _TYPE,
        address=f"forceDestroy {_ZEROS}",
        replaces="name location customPlacementConfig hierarchicalNamespace enableObjectRetention",
        server=f"""uniformBucketLevelAccess publicAccessPrevention versioning softDeletePolicy website rpo
            logging.logObjectPrefix autoclass.terminalStorageClass lifecycleRules.condition.withState
            {_ZEROS} {_ENFORCEMENT}""",
        output=" ".join(f"{each}.effectiveTime" for each in ("softDeletePolicy", *_ENFORCEMENT.split())),
        int64="""softDeletePolicy.retentionDurationSeconds lifecycleRules.condition.sizeAboveBytes
            lifecycleRules.condition.sizeBelowBytes""",
        unordered="customPlacementConfig.dataLocations",
        default={
            "forceDestroy": False,
            "storageClass": "STANDARD",
            "softDeletePolicy.retentionDurationSeconds": 604800,
            "retentionPolicy.isLocked": False,
            "enableObjectRetention": False,
        },
        rest={
            "uniformBucketLevelAccess": "iamConfiguration.uniformBucketLevelAccess.enabled",
            "publicAccessPrevention": "iamConfiguration.publicAccessPrevention",
            "lifecycleRules": "lifecycle.rule",
            "lifecycleRules.condition.matchesPrefixes": "matchesPrefix",
            "lifecycleRules.condition.matchesStorageClasses": "matchesStorageClass",
            "lifecycleRules.condition.matchesSuffixes": "matchesSuffix",
            "lifecycleRules.condition.withState": "isLive",
            "cors.origins": "origin",
            "cors.methods": "method",
            "cors.responseHeaders": "responseHeader",
            "requesterPays": "billing.requesterPays",
            "enableObjectRetention": "objectRetention.mode",
            "url": None,
        },
        also={
            "location": {"canonical": lambda place: str(place).upper()},
            "publicAccessPrevention": {"allowed": ("inherited", "enforced")},
            "lifecycleRules.condition.withState": {
                "allowed": ("LIVE", "ARCHIVED", "ANY"),
                "encode": lambda state: {"LIVE": True, "ARCHIVED": False}.get(state),
                "decode": lambda live: "ANY" if live is None else "LIVE" if live else "ARCHIVED",
            },
            # Not a field of the body: a parameter of the request that creates the bucket.
            "enableObjectRetention": {
                "encode": lambda _: None,
                "decode": lambda mode: mode == "Enabled",
            },
            "url": {"derived": "gs://{name}"},
        },
    ),
)
