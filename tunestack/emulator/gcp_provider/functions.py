"""The functions (data sources) that programs call: ``gcp.organizations.get_project`` and its like."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tunestack.emulator.gcp_provider import mapping
from tunestack.emulator.gcp_provider.declared import declarations
from tunestack.emulator.gcp_provider.errors import ProviderError, status_of
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle
from tunestack.emulator.gcp_provider.resources import TYPES
from tunestack.emulator.gcp_provider.rest import GoogleError, Rest
from tunestack.emulator.gcp_provider.schema import Call, expand
from tunestack.emulator.gcp_provider.values import Value

Arguments = Mapping[str, Value]
Function = Callable[[Rest, Arguments], Awaitable[dict[str, Value]]]


async def _get_project(rest: Rest, arguments: Arguments) -> dict[str, Value]:
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


async def _get_client_config(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    configuration = rest.configuration
    return {
        "id": f"projects/{configuration.project}/regions/{configuration.region or ''}",
        "project": configuration.project or "",
        "region": configuration.region or "",
        "zone": "",
        "accessToken": configuration.access_token or "",
        "defaultLabels": dict(configuration.default_labels),
    }


async def _get_iam_policy(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    """A policy as text, for the types that set a whole one; no request is made."""
    bindings = [
        {key: value for key, value in binding.items() if value}
        | {"members": sorted(binding.get("members", []))}
        for binding in arguments.get("bindings") or []
    ]
    audited = arguments.get("auditConfigs") or []
    policy = {**({"auditConfigs": audited} if audited else {}), "bindings": bindings}
    text = json.dumps(policy, separators=(",", ":"))
    identity = str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]))
    return {"id": identity, "bindings": bindings, "auditConfigs": audited, "policyData": text}


async def _get_content(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    found = await _of("gcp:storage/bucketObject:BucketObject")(rest, arguments)
    address = rest.address("storage", "b/{bucket}/o/{name}?alt=media", arguments)
    answer = await rest.send("GET", address)
    if answer.is_error:
        raise GoogleError(answer.status_code, answer.text[:500])
    # As the real provider: a text that is none is told in base64 only.
    content = answer.content.decode("utf-8", errors="replace")
    sha512 = hashlib.sha512(answer.content)
    digests = {
        "contentBase64": base64.b64encode(answer.content).decode(),
        "contentBase64sha512": base64.b64encode(sha512.digest()).decode(),
        "contentHexsha512": sha512.hexdigest(),
    }
    return {**found, **digests, "content": content}


async def _get_storage_account(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    project = arguments.get("project") or rest.configuration.project
    call = Call("GET", "projects/{project}/serviceAccount")
    email = (await rest.call("storage", call, {"project": project}))["email_address"]
    return {"id": email, "emailAddress": email, "member": f"serviceAccount:{email}", "project": project}


_INFOS = "{+parent}/locations/global/services/{service}/quotaInfos"


async def _get_quota_info(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    body = await rest.call("cloudQuotas", Call("GET", _INFOS + "/{quotaId}"), arguments)
    return {**arguments, **body, "id": body["name"]}


async def _get_quota_infos(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    found: list[Value] = []
    token = ""
    while True:
        page = await rest.call("cloudQuotas", Call("GET", _INFOS + token), arguments)
        found += page.get("quotaInfos", [])
        if not page.get("nextPageToken"):
            return {**arguments, "id": expand(_INFOS, arguments), "quotaInfos": found}
        token = "?pageToken=" + page["nextPageToken"]


async def _get_secret_version(rest: Rest, arguments: Arguments) -> dict[str, Value]:
    """A version by its number, alias or as the latest, with what it holds unless the program asks not to."""
    project = arguments.get("project") or rest.configuration.project
    secret, version = str(arguments["secret"]), arguments.get("version") or "latest"
    parent = secret if "/" in secret else f"projects/{project}/secrets/{secret}"
    call = Call("GET", "{+parent}/versions/{version}")
    body = await rest.call("secretManager", call, {"parent": parent, "version": version})
    found: dict[str, Value] = {
        **{key: value for key, value in body.items() if key in ("name", "createTime", "destroyTime")},
        "id": body["name"],
        "project": project,
        "secret": parent.rpartition("/")[2],
        "version": body["name"].rpartition("/")[2],
        "enabled": body["state"] == "ENABLED",
        "isSecretDataBase64": bool(arguments.get("isSecretDataBase64")),
        "fetchSecretData": arguments.get("fetchSecretData") is not False,
    }
    if found["fetchSecretData"]:
        held = await rest.call("secretManager", Call("GET", "{+name}:access"), body)
        data = held["payload"]["data"]
        found["secretData"] = (
            data if found["isSecretDataBase64"] else base64.b64decode(data).decode(errors="replace")
        )
    return found


def _of(type_: str) -> Function:
    """A function that reads what a resource type describes, by the inputs that name it."""
    resource = TYPES[type_]

    async def read(rest: Rest, arguments: Arguments) -> dict[str, Value]:
        lifecycle = (resource.lifecycle or Lifecycle)(resource, rest)
        named = mapping.derive(resource.properties, lifecycle.variables(arguments))
        variables = lifecycle.variables({**named, **arguments})
        outputs = lifecycle.outputs(await lifecycle.fetch(variables), arguments, {})
        return {**outputs, "id": expand(resource.id, {**variables, **outputs})}

    return read


_FUNCTIONS: dict[str, Function] = {
    "gcp:artifactregistry/getRepository:getRepository": _of("gcp:artifactregistry/repository:Repository"),
    "gcp:bigquery/getDataset:getDataset": _of("gcp:bigquery/dataset:Dataset"),
    "gcp:bigquery/getTable:getTable": _of("gcp:bigquery/table:Table"),
    "gcp:cloudquota/getSQuotaInfo:getSQuotaInfo": _get_quota_info,
    "gcp:cloudquota/getSQuotaInfos:getSQuotaInfos": _get_quota_infos,
    "gcp:kms/getKMSCryptoKey:getKMSCryptoKey": _of("gcp:kms/cryptoKey:CryptoKey"),
    "gcp:kms/getKMSKeyRing:getKMSKeyRing": _of("gcp:kms/keyRing:KeyRing"),
    "gcp:organizations/getClientConfig:getClientConfig": _get_client_config,
    "gcp:organizations/getIAMPolicy:getIAMPolicy": _get_iam_policy,
    "gcp:organizations/getProject:getProject": _get_project,
    "gcp:pubsub/getSubscription:getSubscription": _of("gcp:pubsub/subscription:Subscription"),
    "gcp:pubsub/getTopic:getTopic": _of("gcp:pubsub/topic:Topic"),
    "gcp:secretmanager/getSecret:getSecret": _of("gcp:secretmanager/secret:Secret"),
    "gcp:secretmanager/getSecretVersion:getSecretVersion": _get_secret_version,
    "gcp:secretmanager/getSecretVersionAccess:getSecretVersionAccess": _get_secret_version,
    "gcp:serviceaccount/getAccount:getAccount": _of("gcp:serviceaccount/account:Account"),
    "gcp:storage/getBucket:getBucket": _of("gcp:storage/bucket:Bucket"),
    "gcp:storage/getBucketObject:getBucketObject": _of("gcp:storage/bucketObject:BucketObject"),
    "gcp:storage/getBucketObjectContent:getBucketObjectContent": _get_content,
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": _get_storage_account,
}


def _answering(token: str, function: Function) -> Function:
    """``function`` with its answer in the declared shape, and Google's errors as the engine's."""

    async def answer(rest: Rest, arguments: Arguments) -> dict[str, Value]:
        try:
            found = await function(rest, arguments)
        except GoogleError as error:
            name = token.rpartition(":")[2]
            raise ProviderError(status_of(error.http_status), f"error in {name}: {error}") from error
        return _shaped(declarations()["functions"][token], found)

    return answer


def _shaped(shape: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Value]:
    """``found`` with the names of ``shape``: what is one object in a resource is a list of one in an answer."""
    answer: dict[str, Value] = {}
    for name, inner in shape.items():
        names = (name, name.removesuffix("s"), name.removesuffix("ies") + "y", name.removesuffix("es"))
        value = next((found[each] for each in names if found.get(each) is not None), None)
        if isinstance(inner, list):
            items = value if isinstance(value, list) else [] if value is None else [value]
            nested = isinstance(inner[0], dict)
            value = [_shaped(inner[0], item) if nested else item for item in items]
        elif isinstance(inner, dict) and value is not None:
            value = _shaped(inner, value)
        if value is not None:
            answer[name] = value
    return answer


FUNCTIONS: dict[str, Function] = {
    token: _answering(token, function) for token, function in _FUNCTIONS.items()
}
