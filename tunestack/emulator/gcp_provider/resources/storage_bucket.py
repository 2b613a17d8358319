"""gcp.storage.Bucket: https://cloud.google.com/storage/docs/json_api/v1/buckets."""

from __future__ import annotations

import asyncio

from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import (
    DELETION_POLICY,
    LABELS,
    PROJECT,
    Autoname,
    Call,
    Property,
    ResourceType,
)

_CONDITION = (
    Property(name="age", kind="integer"),
    Property(name="createdBefore"),
    Property(name="customTimeBefore"),
    Property(name="daysSinceCustomTime", kind="integer"),
    Property(name="daysSinceNoncurrentTime", kind="integer"),
    Property(name="matchesPrefixes", kind="list", rest="matchesPrefix"),
    Property(name="matchesStorageClasses", kind="list", rest="matchesStorageClass"),
    Property(name="matchesSuffixes", kind="list", rest="matchesSuffix"),
    Property(name="noncurrentTimeBefore"),
    Property(name="numNewerVersions", kind="integer"),
    Property(name="sizeAboveBytes", kind="integer", int64=True),
    Property(name="sizeBelowBytes", kind="integer", int64=True),
    Property(
        name="withState",
        rest="isLive",
        server_default=True,
        allowed=("LIVE", "ARCHIVED", "ANY"),
        encode=lambda state: {"LIVE": True, "ARCHIVED": False}.get(state),
        decode=lambda live: "ANY" if live is None else "LIVE" if live else "ARCHIVED",
    ),
    # They only say whether a zero is sent; zeros that the program states are sent here anyway.
    *(
        Property(name=name, kind="boolean", rest=None, server_default=True)
        for name in (
            "sendAgeIfZero",
            "sendDaysSinceCustomTimeIfZero",
            "sendDaysSinceNoncurrentTimeIfZero",
            "sendNumNewerVersionsIfZero",
        )
    ),
)
_ENFORCEMENT = (
    Property(name="restrictionMode", required=True),
    Property(name="effectiveTime", output=True),
)


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


BUCKET = ResourceType(
    name="gcp:storage/bucket:Bucket",
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
    properties=(
        Property(name="name", required=True, replaces=True),
        Property(name="location", required=True, replaces=True, canonical=lambda place: str(place).upper()),
        PROJECT,
        DELETION_POLICY,
        *LABELS,
        Property(name="forceDestroy", kind="boolean", rest=None, default=False),
        Property(name="storageClass", default="STANDARD"),
        Property(
            name="uniformBucketLevelAccess",
            kind="boolean",
            rest="iamConfiguration.uniformBucketLevelAccess.enabled",
            server_default=True,
        ),
        Property(
            name="publicAccessPrevention",
            rest="iamConfiguration.publicAccessPrevention",
            server_default=True,
            allowed=("inherited", "enforced"),
        ),
        Property(
            name="versioning",
            kind="object",
            server_default=True,
            fields=(Property(name="enabled", kind="boolean", required=True),),
        ),
        Property(
            name="lifecycleRules",
            kind="list",
            rest="lifecycle.rule",
            fields=(
                Property(
                    name="action",
                    kind="object",
                    required=True,
                    fields=(Property(name="type", required=True), Property(name="storageClass")),
                ),
                Property(name="condition", kind="object", required=True, fields=_CONDITION),
            ),
        ),
        Property(
            name="softDeletePolicy",
            kind="object",
            server_default=True,
            fields=(
                Property(name="retentionDurationSeconds", kind="integer", int64=True, default=604800),
                Property(name="effectiveTime", output=True),
            ),
        ),
        Property(
            name="retentionPolicy",
            kind="object",
            fields=(
                Property(name="retentionPeriod", required=True),
                Property(name="isLocked", kind="boolean", default=False),
            ),
        ),
        Property(
            name="encryption",
            kind="object",
            fields=(
                Property(name="defaultKmsKeyName"),
                *(
                    Property(
                        name=f"{whose}EncryptionEnforcementConfig",
                        kind="object",
                        server_default=True,
                        fields=_ENFORCEMENT,
                    )
                    for whose in ("customerManaged", "customerSupplied", "googleManaged")
                ),
            ),
        ),
        Property(
            name="cors",
            kind="list",
            fields=(
                Property(name="origins", kind="list", rest="origin"),
                Property(name="methods", kind="list", rest="method"),
                Property(name="responseHeaders", kind="list", rest="responseHeader"),
                Property(name="maxAgeSeconds", kind="integer"),
            ),
        ),
        Property(
            name="logging",
            kind="object",
            fields=(
                Property(name="logBucket", required=True),
                Property(name="logObjectPrefix", server_default=True),
            ),
        ),
        Property(
            name="website",
            kind="object",
            server_default=True,
            fields=(Property(name="mainPageSuffix"), Property(name="notFoundPage")),
        ),
        Property(
            name="autoclass",
            kind="object",
            fields=(
                Property(name="enabled", kind="boolean", required=True),
                Property(name="terminalStorageClass", server_default=True),
            ),
        ),
        Property(
            name="customPlacementConfig",
            kind="object",
            replaces=True,
            fields=(Property(name="dataLocations", kind="list", required=True, unordered=True),),
        ),
        Property(
            name="hierarchicalNamespace",
            kind="object",
            replaces=True,
            fields=(Property(name="enabled", kind="boolean", required=True),),
        ),
        Property(
            name="ipFilter",
            kind="object",
            fields=(
                Property(name="mode", required=True),
                Property(name="allowAllServiceAgentAccess", kind="boolean"),
                Property(name="allowCrossOrgVpcs", kind="boolean"),
                Property(
                    name="publicNetworkSource",
                    kind="object",
                    fields=(Property(name="allowedIpCidrRanges", kind="list", required=True),),
                ),
                Property(
                    name="vpcNetworkSources",
                    kind="list",
                    fields=(
                        Property(name="network", required=True),
                        Property(name="allowedIpCidrRanges", kind="list", required=True),
                    ),
                ),
            ),
        ),
        Property(name="defaultEventBasedHold", kind="boolean"),
        Property(name="requesterPays", kind="boolean", rest="billing.requesterPays"),
        Property(name="rpo", server_default=True),
        # Not a field of the body: a parameter of the request that creates the bucket.
        Property(
            name="enableObjectRetention",
            kind="boolean",
            rest="objectRetention.mode",
            default=False,
            replaces=True,
            encode=lambda _: None,
            decode=lambda mode: mode == "Enabled",
        ),
        Property(name="projectNumber", kind="integer", output=True),
        Property(name="selfLink", output=True),
        Property(name="timeCreated", output=True),
        Property(name="updated", output=True, volatile=True),
        Property(name="url", rest=None, output=True, derived="gs://{name}"),
    ),
)
