"""Quotas: gcp.cloudquota.SQuotaPreference and gcp.serviceusage.ConsumerQuotaOverride."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.resources.names import last_part
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType

_PREFERENCES = "{+parent}/locations/global/quotaPreferences"
#: There is no call to delete a preference: what was granted stays.
QUOTA_PREFERENCE = ResourceType(
    name="gcp:cloudquota/sQuotaPreference:SQuotaPreference",
    service="cloudQuotas",
    id=_PREFERENCES + "/{name}",
    autoname=Autoname(),
    create=Call("POST", _PREFERENCES + "?quotaPreferenceId={name}&ignoreSafetyChecks={ignoreSafetyChecks}"),
    read=Call("GET", _PREFERENCES + "/{name}"),
    update=Call("PATCH", _PREFERENCES + "/{name}?ignoreSafetyChecks={ignoreSafetyChecks}"),
    properties=declared(
        "gcp:cloudquota/sQuotaPreference:SQuotaPreference",
        address="parent name ignoreSafetyChecks",
        replaces="parent",
        server="parent quotaId service dimensions name",
        output=" ".join(
            f"quotaConfig.{key}" for key in ("grantedValue", "requestOrigin", "stateDetail", "traceId")
        ),
        volatile="reconciling",
        kept="contactEmail justification",
        default={"ignoreSafetyChecks": "QUOTA_SAFETY_CHECK_UNSPECIFIED"},
        also={"name": {"canonical": last_part}},
    ),
)


class OverrideLifecycle(Lifecycle):
    """An override has no read of its own: it is looked for in the list."""

    async def fetch(self, variables: State) -> Json:
        found = await self.rest.call(self.type.service, self.type.read, variables)
        wanted = last_part(variables["name"]) if variables.get("name") else None
        for override in found.get("overrides", []):
            if wanted in (None, last_part(override["name"])):
                return dict(override)
        raise GoogleError(404, f"no override of {variables['metric']} {variables['limit']}")


#: Metric and limit hold slashes, which programs give as %2F already.
_LIMIT = "projects/{project}/services/{service}/consumerQuotaMetrics/{+metric}/limits/{+limit}"
_OVERRIDES = _LIMIT + "/consumerOverrides"
QUOTA_OVERRIDE = ResourceType(
    name="gcp:serviceusage/consumerQuotaOverride:ConsumerQuotaOverride",
    service="serviceUsageBeta",
    id=f"{_OVERRIDES}/{{name}}".replace("{+", "{"),
    create=Call("POST", _OVERRIDES + "?force={force}"),
    read=Call("GET", _OVERRIDES),
    update=Call("PATCH", _OVERRIDES + "/{name}?force={force}"),
    delete=Call("DELETE", _OVERRIDES + "/{name}?force={force}"),
    patch="whole",
    lifecycle=OverrideLifecycle,
    properties=declared(
        "gcp:serviceusage/consumerQuotaOverride:ConsumerQuotaOverride",
        address="service metric limit force",
        replaces="service metric limit dimensions",
        default={"force": False},
        also={
            "name": {"decode": lambda name: name and last_part(name)},
            "overrideValue": {"decode": lambda value: value or "0"},
        },
    ),
)
TYPES = (QUOTA_PREFERENCE, QUOTA_OVERRIDE)
