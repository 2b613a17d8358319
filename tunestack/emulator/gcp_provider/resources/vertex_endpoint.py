"""gcp.vertex.AiEndpoint: https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/projects.locations.endpoints."""

from __future__ import annotations

import json
import re
from typing import Any

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.schema import Call, ResourceType
from tunestack.emulator.gcp_provider.values import UNKNOWN, Value

#: Objects of Google's that pulumi-gcp shows as lists of one, with the plural for a name.
_SINGLE = {
    "automaticResources": "automaticResources",
    "dedicatedResources": "dedicatedResources",
    "privateEndpoints": "privateEndpoints",
    "machineSpec": "machineSpecs",
}


class EndpointLifecycle(Lifecycle):
    """The id is the program's to choose, and Google takes digits only."""

    def check(
        self, name: str, seed: bytes, olds: State, news: State
    ) -> tuple[dict[str, Value], list[tuple[str, str]]]:
        inputs, failures = super().check(name, seed, olds, news)
        given = inputs.get("name")
        if given is not None and given != UNKNOWN and not re.fullmatch(r"[1-9]\d{0,9}", str(given)):
            failures.append(("name", f"must be a number of 1 to 10 digits as text, not {given!r}"))
        return inputs, failures


def _deployed(raw: Any) -> Value:
    if isinstance(raw, list):
        return [_deployed(entry) for entry in raw]
    if not isinstance(raw, dict):
        return raw
    return {
        _SINGLE.get(key, key): [_deployed(value)] if key in _SINGLE else _deployed(value)
        for key, value in raw.items()
    }


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True)


def _same_json(text: Value) -> Value:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


_TYPE = "gcp:vertex/aiEndpoint:AiEndpoint"
_NAME = "projects/{project}/locations/{location}/endpoints/{name}"

ENDPOINT = ResourceType(
    name=_TYPE,
    service="vertexAi",
    id=_NAME,
    imports=("{project}/{location}/{name}", "{location}/{name}"),
    create=Call("POST", "projects/{project}/locations/{location}/endpoints?endpointId={name}"),
    read=Call("GET", _NAME),
    update=Call("PATCH", _NAME),
    delete=Call("DELETE", _NAME),
    lifecycle=EndpointLifecycle,
    properties=declared(
        _TYPE,
        address="name location region",
        replaces="""name location region network encryptionSpec
            privateServiceConnectConfig.enablePrivateServiceConnect""",
        server="region trafficSplit predictRequestResponseLoggingConfig.bigqueryDestination.outputUri",
        output=" ".join(
            f"privateServiceConnectConfig.pscAutomationConfigs.{each}"
            for each in ("errorMessage", "forwardingRule", "ipAddress", "state")
        ),
        volatile="deployedModels",
        rest={"privateServiceConnectConfig.projectAllowlists": "projectAllowlist"},
        also={
            # Google takes digits only, so that a name made from the resource's own would be refused.
            "name": {"required": True},
            "trafficSplit": {"canonical": _same_json, "encode": json.loads, "decode": _as_json},
            "deployedModels": {"decode": _deployed},
        },
    ),
)
ENDPOINT_POLICIES = policy_types(
    PolicyHolder(
        prefix="gcp:vertex/aiEndpointIam",
        service="vertexAi",
        property="endpoint",
        id="projects/{project}/locations/{location}/endpoints/{endpoint}",
        forms=("{project}/{location}/{endpoint}", "{location}/{endpoint}", "{endpoint}"),
        beside="location",
        read=Call("POST", "projects/{project}/locations/{location}/endpoints/{endpoint}:getIamPolicy"),
        write=Call("POST", "projects/{project}/locations/{location}/endpoints/{endpoint}:setIamPolicy"),
    )
)
