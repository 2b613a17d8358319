"""gcp.vertex.AiEndpoint: https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/projects.locations.endpoints."""

from __future__ import annotations

import json
import re
from typing import Any

from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.schema import (
    DELETION_POLICY,
    PROJECT,
    SECRET_LABELS,
    Call,
    Property,
    ResourceType,
)
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


ENDPOINT = ResourceType(
    name="gcp:vertex/aiEndpoint:AiEndpoint",
    service="vertexAi",
    id="projects/{project}/locations/{location}/endpoints/{name}",
    imports=("{project}/{location}/{name}", "{location}/{name}"),
    create=Call("POST", "projects/{project}/locations/{location}/endpoints?endpointId={name}"),
    read=Call("GET", "projects/{project}/locations/{location}/endpoints/{name}"),
    update=Call("PATCH", "projects/{project}/locations/{location}/endpoints/{name}"),
    delete=Call("DELETE", "projects/{project}/locations/{location}/endpoints/{name}"),
    operation=True,
    lifecycle=EndpointLifecycle,
    properties=(
        Property(name="name", rest=None, required=True, replaces=True),
        Property(name="location", rest=None, required=True, replaces=True),
        Property(name="displayName", required=True),
        Property(name="description"),
        PROJECT,
        Property(name="region", rest=None, server_default=True),
        DELETION_POLICY,
        *SECRET_LABELS,
        Property(
            name="trafficSplit",
            server_default=True,
            canonical=_same_json,
            encode=json.loads,
            decode=_as_json,
        ),
        Property(name="network", replaces=True),
        Property(name="dedicatedEndpointEnabled", kind="boolean", replaces=True),
        Property(
            name="encryptionSpec",
            kind="object",
            replaces=True,
            fields=(Property(name="kmsKeyName", required=True, replaces=True),),
        ),
        Property(
            name="predictRequestResponseLoggingConfig",
            kind="object",
            fields=(
                Property(name="enabled", kind="boolean"),
                Property(name="samplingRate", kind="number"),
                Property(
                    name="bigqueryDestination",
                    kind="object",
                    fields=(Property(name="outputUri", server_default=True),),
                ),
            ),
        ),
        Property(
            name="privateServiceConnectConfig",
            kind="object",
            fields=(
                Property(name="enablePrivateServiceConnect", kind="boolean", required=True),
                Property(name="enableSecurePrivateServiceConnect", kind="boolean"),
                Property(name="projectAllowlists", kind="list", rest="projectAllowlist"),
                Property(
                    name="pscAutomationConfigs",
                    kind="list",
                    fields=(
                        Property(name="network", required=True),
                        Property(name="projectId", required=True),
                        Property(name="errorMessage", output=True),
                        Property(name="forwardingRule", output=True),
                        Property(name="ipAddress", output=True),
                        Property(name="state", output=True),
                    ),
                ),
            ),
        ),
        Property(name="deployedModels", kind="list", output=True, volatile=True, decode=_deployed),
        Property(name="createTime", output=True),
        Property(name="updateTime", output=True, volatile=True),
        Property(name="etag", output=True, volatile=True),
        Property(name="dedicatedEndpointDns", output=True),
        Property(name="modelDeploymentMonitoringJob", output=True),
    ),
)
