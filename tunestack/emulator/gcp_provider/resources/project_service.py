"""gcp.projects.Service: an API that a project has switched on (https://cloud.google.com/service-usage/docs)."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Call, ResourceType

_ENABLED = "projects/{project}/services?filter=state:ENABLED&pageSize=200&fields=services/name,nextPageToken"


class ServiceLifecycle(Lifecycle):
    """Read as the real provider reads: by listing what is enabled."""

    def creation_body(self, inputs: State) -> Json:
        return {}

    async def fetch(self, variables: State) -> Json:
        token = ""
        while True:
            page = await self.rest.call(self.type.service, Call("GET", _ENABLED + token), variables)
            for service in page.get("services", []):
                if service["name"].rpartition("/")[2] == variables["service"]:
                    return dict(service)
            if not page.get("nextPageToken"):
                raise GoogleError(404, f"{variables['service']} is not enabled in {variables['project']}")
            token = "&pageToken=" + page["nextPageToken"]

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        if state.get("disableOnDestroy"):
            usage = "CHECK" if state.get("checkIfServiceHasUsageOnDestroy") else "SKIP"
            body = {
                "disableDependentServices": bool(state.get("disableDependentServices")),
                "checkIfServiceHasUsage": usage,
            }
            disable = Call("POST", "projects/{project}/services/{service}:disable")
            answer = await self.rest.call(self.type.service, disable, variables, body)
            await self.rest.wait(self.type.service, answer, seconds)


PROJECT_SERVICE = ResourceType(
    name="gcp:projects/service:Service",
    service="serviceUsage",
    id="{project}/{service}",
    create=Call("POST", "projects/{project}/services/{service}:enable"),
    read=Call("GET", _ENABLED),
    lifecycle=ServiceLifecycle,
    properties=declared(
        "gcp:projects/service:Service",
        address="service disableOnDestroy disableDependentServices checkIfServiceHasUsageOnDestroy",
        replaces="service",
        default={"disableOnDestroy": False},
    ),
)
