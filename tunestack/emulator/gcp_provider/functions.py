"""The functions (data sources) that programs call: ``gcp.organizations.get_project`` and its like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.rest import Rest
from tunestack.emulator.gcp_provider.schema import Call
from tunestack.emulator.gcp_provider.values import Value

Function = Callable[[Rest, Mapping[str, Value]], Awaitable[dict[str, Value]]]


async def _get_project(rest: Rest, arguments: Mapping[str, Value]) -> dict[str, Value]:
    project = arguments.get("projectId") or rest.configuration.project
    if not project:
        raise ProviderError("INVALID_ARGUMENT", "projectId is set neither here nor on the provider")
    body = await rest.call("resourceManager", Call("GET", "projects/{project}"), {"project": project})
    return {
        "id": f"projects/{body['projectId']}",
        "projectId": body["projectId"],
        "name": body.get("name", body["projectId"]),
        "number": str(body.get("projectNumber", "")),
        "labels": body.get("labels", {}),
        "effectiveLabels": body.get("labels", {}),
        "pulumiLabels": {},
        "tags": {},
        "orgId": "",
        "folderId": "",
        "billingAccount": "",
        "autoCreateNetwork": True,
        "deletionPolicy": "PREVENT",
    }


async def _get_client_config(rest: Rest, arguments: Mapping[str, Value]) -> dict[str, Value]:
    configuration = rest.configuration
    return {
        "id": f"projects/{configuration.project}/regions/{configuration.region or ''}",
        "project": configuration.project or "",
        "region": configuration.region or "",
        "zone": "",
        "accessToken": configuration.access_token or "",
        "defaultLabels": dict(configuration.default_labels),
    }


FUNCTIONS: dict[str, Function] = {
    "gcp:organizations/getProject:getProject": _get_project,
    "gcp:organizations/getClientConfig:getClientConfig": _get_client_config,
}
