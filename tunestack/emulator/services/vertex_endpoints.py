"""Vertex AI: endpoints and deployment (aiplatform.v1, v1beta1). What they answer: vertex_prediction."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.schema import apply_mask
from tunestack.emulator.services import accelerators
from tunestack.emulator.services.model_registry import check_checkpoint, version_row
from tunestack.emulator.services.vertex import (
    check_labels,
    finished_operation,
    list_rows,
    location_of,
    named_row,
    patched_row,
    with_etag,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

ENDPOINTS = "endpoints"

_RESOURCES = ("automaticResources", "dedicatedResources", "fullFineTunedResources", "sharedResources")


def create_endpoint(state: State, name: str, endpoint: Json) -> Json:
    """Register ``endpoint`` under ``name``, with nothing deployed."""
    now = state.now()
    row = with_etag({**endpoint, "name": name, "createTime": now, "updateTime": now})
    return state.rows.create(ENDPOINTS, name.rpartition("/endpoints/")[0], name, row)


def deploy(state: State, endpoint_name: str, deployed: Json, traffic: Json | None) -> Json:
    """Put a model on an endpoint; the deployed model as it is then. Both rows know of each other.

    ``traffic`` is the whole new split, ``0`` standing for the model; without it the split stays as it is, and the
    model gets no requests (DeployModelRequest.traffic_split).
    """
    endpoint = state.rows.get(endpoint_name)
    model = version_row(state, deployed["model"])
    if location_of(model["name"]) != location_of(endpoint_name):
        raise invalid(f"{model['name']} and {endpoint_name} are not in the same location.")
    check_checkpoint(model, deployed.get("checkpointId"))
    identifier = deployed.get("id") or str(state.new_id())
    present = endpoint.get("deployedModels", [])
    if any(other["id"] == identifier for other in present):
        raise already_exists(f"{endpoint_name} has a deployed model {identifier} already.")
    deployed = {
        **deployed,
        "id": identifier,
        "model": model["name"].partition("@")[0],
        "modelVersionId": model["versionId"],
        "displayName": deployed.get("displayName") or model["displayName"],
        "createTime": state.now(),
    }
    if len([key for key in _RESOURCES if key in deployed]) > 1:
        raise invalid(f"Only one of {', '.join(_RESOURCES)} may be set.", [("deployed_model", "")])
    endpoint["deployedModels"] = [*present, deployed]
    if traffic:
        split = {identifier if key == "0" else key: share for key, share in traffic.items()}
        endpoint["trafficSplit"] = _checked_split(split, endpoint["deployedModels"])
    state.rows.put(endpoint_name, with_etag({**endpoint, "updateTime": state.now()}))
    places = [*model.get("deployedModels", []), {"endpoint": endpoint_name, "deployedModelId": identifier}]
    state.rows.put(model["name"], {**model, "deployedModels": places})
    return deployed


@implements("aiplatform.projects.locations.endpoints.create")
def create(call: Call) -> Json:
    state = call.state
    check_labels(call.body.get("labels", {}))
    identifier = call.query.get("endpointId") or str(state.new_id())
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", identifier):
        raise invalid(f"Invalid endpoint ID: {identifier}")
    name = f"{call.parent()}/{ENDPOINTS}/{identifier}"
    row = create_endpoint(state, name, call.body)
    return finished_operation(call, name, "CreateEndpoint", row, "Endpoint")


@implements("aiplatform.projects.locations.endpoints.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements("aiplatform.projects.locations.endpoints.list")
def list_endpoints(call: Call) -> Json:
    return list_rows(call, ENDPOINTS)


@implements("aiplatform.projects.locations.endpoints.patch")
def patch(call: Call) -> Json:
    row = patched_row(call, immutable=("encryptionSpec", "network"))
    _checked_split(row.get("trafficSplit", {}), row.get("deployedModels", []))
    return row


@implements("aiplatform.projects.locations.endpoints.delete")
def delete(call: Call) -> Json:
    row = named_row(call)
    if row.get("deployedModels"):
        raise failed_precondition(
            f"Endpoint {row['name']} has deployed or being-deployed DeployedModel(s): "
            f"{', '.join(deployed['id'] for deployed in row['deployedModels'])}."
        )
    call.state.rows.delete(row["name"])
    return finished_operation(call, row["name"], "Delete", None)


@implements("aiplatform.projects.locations.endpoints.deployModel")
def deploy_model(call: Call) -> Json:
    endpoint = named_row(call, "endpoint")
    identifier = call.body["deployedModel"].get("id", "0")
    if not re.fullmatch(r"[0-9]{1,10}", identifier):
        raise invalid(f'Invalid deployed model ID "{identifier}": 1-10 digits.', [("deployed_model.id", "")])
    _check_quotas(call, endpoint["name"])
    deployed = deploy(call.state, endpoint["name"], call.body["deployedModel"], call.body.get("trafficSplit"))
    return finished_operation(
        call, endpoint["name"], "DeployModel", {"deployedModel": deployed}, "DeployModelResponse"
    )


@implements("aiplatform.projects.locations.endpoints.undeployModel")
def undeploy_model(call: Call) -> Json:
    state = call.state
    endpoint = named_row(call, "endpoint")
    identifier = call.body["deployedModelId"]
    gone = next((item for item in endpoint.get("deployedModels", []) if item["id"] == identifier), None)
    if gone is None:
        raise invalid(f"{endpoint['name']} has no deployed model {identifier}.")
    left = [item for item in endpoint["deployedModels"] if item["id"] != identifier]
    split = call.body.get("trafficSplit") or {
        key: share for key, share in endpoint.get("trafficSplit", {}).items() if key != identifier
    }
    if left and sum(split.values()) != 100:
        raise failed_precondition(
            f"Traffic to {identifier} must be moved to the models that stay: have {split}."
        )
    changed = {key: value for key, value in endpoint.items() if key not in ("deployedModels", "trafficSplit")}
    if left:
        changed |= {"deployedModels": left, "trafficSplit": _checked_split(split, left)}
    state.rows.put(endpoint["name"], with_etag({**changed, "updateTime": state.now()}))
    model = state.rows.find(f"{gone['model']}@{gone['modelVersionId']}")
    if model:
        model["deployedModels"] = [
            place for place in model.get("deployedModels", []) if place["deployedModelId"] != identifier
        ]
        state.rows.put(model["name"], model)
    return finished_operation(call, endpoint["name"], "UndeployModel", {}, "UndeployModelResponse")


@implements("aiplatform.projects.locations.endpoints.mutateDeployedModel")
def mutate_deployed_model(call: Call) -> Json:
    endpoint = named_row(call, "endpoint")
    sent = call.body["deployedModel"]
    for index, item in enumerate(endpoint.get("deployedModels", [])):
        if item["id"] == sent.get("id"):
            changed = apply_mask(item, sent, call.body["updateMask"])
            endpoint["deployedModels"][index] = changed
            call.state.rows.put(endpoint["name"], with_etag({**endpoint, "updateTime": call.state.now()}))
            response = {"deployedModel": changed}
            return finished_operation(
                call, endpoint["name"], "MutateDeployedModel", response, "MutateDeployedModelResponse"
            )
    raise invalid(f"{endpoint['name']} has no deployed model {sent.get('id')}.")


def _check_quotas(call: Call, name: str) -> None:
    """Raises 429 where the machines of this deployment and of those there are would be more than is granted."""
    parent = name.partition(f"/{ENDPOINTS}/")[0]
    used: Counter[str] = Counter()
    for row in call.state.rows.list(ENDPOINTS, parent):
        for deployed in row.get("deployedModels", []):
            used += _accelerators(deployed)
    accelerators.require(call.state, parent, _accelerators(call.body["deployedModel"]), used)


def _accelerators(deployed: Json) -> Counter[str]:
    """Quota id -> accelerators of the fewest replicas."""
    own = deployed.get("dedicatedResources")
    pools = [{**own, "replicaCount": own.get("minReplicaCount", 1)}] if own else []
    return accelerators.of_pools("CustomModelServing", pools)


def _checked_split(split: dict[str, int], deployed: list[Json]) -> dict[str, int]:
    known = {item["id"] for item in deployed}
    if split and (set(split) - known or sum(split.values()) != 100):
        raise invalid(f"Traffic split {split} must sum to 100 over the deployed models {sorted(known)}.")
    return split
