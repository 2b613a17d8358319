"""gcp.secretmanager: https://cloud.google.com/secret-manager/docs/reference/rest."""

from __future__ import annotations

import base64
from typing import Any

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.resources.names import last_part, seconds
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType
from tunestack.emulator.gcp_provider.values import Value


class SecretLifecycle(Lifecycle):
    """A replication stays but for its keys; annotations are kept beside those of others, as labels are."""

    def diff(self, state: State, inputs: State) -> list[Change]:
        return [
            Change(each.path, each.kind, each.replaces and "customerManagedEncryption" not in each.path)
            for each in super().diff(state, inputs)
        ]

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        body = super().update_body(difference, state, inputs)
        if "annotations" in body:
            mine, all_ = state.get("annotations") or {}, state.get("effectiveAnnotations") or {}
            others = {key: value for key, value in all_.items() if key not in mine}
            body["annotations"] = {**others, **(inputs.get("annotations") or {})}
        return body

    def outputs(self, body: Any, inputs: State, state: State) -> dict[str, Value]:
        values = super().outputs(body, inputs, state)
        if (inputs or state.get("name")) and "annotations" in values:
            mine = {**(inputs.get("annotations") or {}), **(state.get("annotations") or {})}
            values["annotations"] = {
                key: value for key, value in values["annotations"].items() if key in mine
            }
        return values

    async def delete(self, identity: str, state: State, seconds: float) -> None:
        if state.get("deletionProtection"):
            raise ProviderError(
                "FAILED_PRECONDITION",
                f"cannot destroy secret {identity} without setting deletionProtection=false and running up first",
            )
        await super().delete(identity, state, seconds)


_SECRETS = "projects/{project}/secrets"
_SECRET = _SECRETS + "/{secretId}"
SECRET = ResourceType(
    name="gcp:secretmanager/secret:Secret",
    service="secretManager",
    id=_SECRET,
    imports=("{project}/{secretId}", "{secretId}"),
    autoname=Autoname(property="secretId"),
    create=Call("POST", _SECRETS + "?secretId={secretId}"),
    read=Call("GET", _SECRET),
    update=Call("PATCH", _SECRET),
    delete=Call("DELETE", _SECRET),
    lifecycle=SecretLifecycle,
    properties=declared(
        "gcp:secretmanager/secret:Secret",
        address="secretId deletionProtection",
        replaces="secretId replication secretType tags",
        server="expireTime secretType",
        kept="tags ttl",
        default={"deletionProtection": False},
        rest={"replication.auto": "automatic", "effectiveAnnotations": "annotations"},
        also={
            "ttl": {"canonical": seconds},
            "versionDestroyTtl": {"canonical": seconds},
            "rotation.rotationPeriod": {"canonical": seconds},
        },
    ),
)


class SecretVersionLifecycle(Lifecycle):
    """What a version holds is read by a call of its own, and calls of their own enable, disable and destroy it."""

    def variables_of_id(self, identity: str) -> dict[str, Value]:
        return {**super().variables_of_id(identity), "name": identity}

    def creation_body(self, inputs: State) -> Json:
        data = str(inputs.get("secretData", ""))
        if not inputs.get("isSecretDataBase64"):
            data = base64.b64encode(data.encode()).decode()
        return {"payload": {"data": data}}

    async def after_creation(self, variables: State, inputs: State) -> None:
        if inputs.get("enabled") is False:
            await self._call(variables, "disable")

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        if "enabled" in {change.property for change in difference}:
            await self._call(variables, "disable" if inputs.get("enabled") is False else "enable")

    async def fetch(self, variables: State) -> Json:
        version = await super().fetch(variables)
        if version.get("state") == "DESTROYED":
            raise GoogleError(404, f"{version['name']} is DESTROYED")
        if version.get("state") == "ENABLED":
            held = await self.rest.call("secretManager", Call("GET", "{+name}:access"), version)
            data = held["payload"]["data"]
            if not variables.get("isSecretDataBase64"):
                data = base64.b64decode(data).decode(errors="replace")
            version["payload"] = {"data": data}
        return version

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        await self._call(variables, "disable" if state.get("deletionPolicy") == "DISABLE" else "destroy")

    async def _call(self, variables: State, verb: str) -> None:
        await self.rest.call("secretManager", Call("POST", "{+name}:" + verb), variables, {})


_WRITE_ONLY = "secretDataWo secretDataWoVersion"
SECRET_VERSION = ResourceType(
    name="gcp:secretmanager/secretVersion:SecretVersion",
    service="secretManager",
    id="{+name}",
    imports=("{+secret}/versions/{version}",),
    create=Call("POST", "{+secret}:addVersion"),
    read=Call("GET", "{+name}"),
    lifecycle=SecretVersionLifecycle,
    refused=dict.fromkeys(_WRITE_ONLY.split(), "the stand-in keeps what it sent; give it as secretData"),
    properties=declared(
        "gcp:secretmanager/secretVersion:SecretVersion",
        refused=_WRITE_ONLY,
        address="secret isSecretDataBase64 deletionPolicy",
        replaces="secret secretData isSecretDataBase64",
        kept="secretData",
        default={"enabled": True, "isSecretDataBase64": False, "deletionPolicy": "DELETE"},
        rest={"enabled": "state", "secretData": "payload.data", "version": "name"},
        also={
            "secret": {"canonical": last_part},
            "enabled": {"encode": lambda _: None, "decode": lambda state: state == "ENABLED"},
            "version": {"decode": lambda name: name and last_part(name)},
            "deletionPolicy": {"allowed": ("DELETE", "DISABLE", "ABANDON", "PREVENT")},
        },
    ),
)
_NAMED = _SECRETS + "/{secret}"
TYPES = (
    SECRET,
    SECRET_VERSION,
    *policy_types(
        PolicyHolder(
            prefix="gcp:secretmanager/secretIam",
            service="secretManager",
            property="secretId",
            id=_NAMED,
            forms=("{project}/{secret}", "{secret}"),
            read=Call("GET", _NAMED + ":getIamPolicy?options.requestedPolicyVersion=3"),
            write=Call("POST", _NAMED + ":setIamPolicy"),
        )
    ),
)
