"""Endpoints: what is deployed on them, and how requests are shared out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunestack.vertex.client import Json, VertexClient, location_of
from tunestack.vertex.model import ModelName


@dataclass(frozen=True)
class Deployed:
    """A model on an endpoint, ``endpoints.deployedModels``."""

    json: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its id, of its endpoint's own."""
        return str(self.json.get("id") or "")

    @property
    def model(self) -> ModelName:
        """The version that is served."""
        name = ModelName.parse(str(self.json.get("model") or ""))
        version = str(self.json.get("modelVersionId") or name.version)
        return ModelName(name.project, name.location, name.id, version)

    @property
    def resources(self) -> Mapping[str, Any]:
        """``dedicatedResources``, ``automaticResources`` or ``sharedResources``, whichever it has."""
        kinds = ("dedicatedResources", "automaticResources", "sharedResources")
        return {kind: self.json[kind] for kind in kinds if kind in self.json}


@dataclass(frozen=True)
class Endpoint:
    """A reading view of ``projects.locations.endpoints``."""

    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Full resource name."""
        return str(self.json.get("name") or "")

    @property
    def etag(self) -> str:
        """For a change that must not overwrite another's."""
        return str(self.json.get("etag") or "")

    @property
    def labels(self) -> dict[str, str]:
        """The endpoint's labels."""
        return dict(self.json.get("labels") or {})

    @property
    def deployed(self) -> list[Deployed]:
        """Everything on it."""
        return [Deployed(item) for item in self.json.get("deployedModels") or []]

    def find(self, id_: str) -> Deployed | None:
        """The deployed model with an id."""
        return next((item for item in self.deployed if item.id == id_), None)

    def serves(self, id_: str) -> bool:
        """Whether a deployed model is there, with a replica that answers where Vertex AI counts them."""
        found = self.find(id_)
        if found is None:
            return False
        replicas = (found.json.get("status") or {}).get("availableReplicaCount")
        return replicas is None or int(replicas) > 0

    @property
    def traffic(self) -> dict[str, int]:
        """Deployed model's id → percent of the requests, those above 0."""
        split = self.json.get("trafficSplit") or {}
        return {str(id_): int(share) for id_, share in split.items() if int(share)}


def shared_out(traffic: Mapping[str, int], id_: str, share: int) -> dict[str, int]:
    """The split after ``id_`` gets ``share`` percent and the others the rest, in the proportion that they have now.

    What is alone gets all of it, since Vertex AI takes a sum of 100 or nothing. Where nobody else has any, a share
    of 0 leaves the split empty: no requests are answered.
    """
    others = {other: part for other, part in traffic.items() if other != id_ and part > 0}
    if not others:
        return {id_: 100} if share else {}
    rest = 100 - share
    total = sum(others.values())
    exact = {other: rest * part / total for other, part in others.items()}
    whole = {other: int(part) for other, part in exact.items()}
    # The largest remainders get what rounding left over.
    by_remainder = sorted(others, key=lambda other: (whole[other] - exact[other], other))
    for other in by_remainder[: rest - sum(whole.values())]:
        whole[other] += 1
    return {other: part for other, part in {**whole, id_: share}.items() if part}


class Endpoints:
    """Makes, changes and deletes endpoints. All methods raise ``GoogleError``; operations are to be waited for."""

    def __init__(self, vertex: VertexClient) -> None:
        self._vertex = vertex

    async def get(self, name: str) -> Endpoint:
        """The endpoint as it is."""
        return Endpoint(await self._vertex.get_endpoint(name))

    async def create(self, project: str, location: str, endpoint_id: str, body: Mapping[str, Any]) -> Json:
        """Starts the making of an endpoint under an id of ours, which makes a repetition harmless (``Conflict``)."""
        path = f"projects/{project}/locations/{location}/endpoints"
        return await self._vertex.call(
            "POST", location, path, repeatable=True, params={"endpointId": endpoint_id}, body=dict(body)
        )

    async def patch(self, name: str, fields: Mapping[str, Any], *, etag: str = "") -> None:
        """Changes fields; with an ``etag`` only if nothing else changed meanwhile."""
        await self._vertex.call(
            "PATCH",
            location_of(name),
            name,
            repeatable=not etag,
            params={"updateMask": ",".join(sorted(fields))},
            body={**fields, **({"etag": etag} if etag else {})},
        )

    async def deploy(self, name: str, deployed: Mapping[str, Any]) -> Json:
        """Starts a deployment, which gets no requests yet. Its ``id`` is of our choice: there is never a second one."""
        path = f"{name}:deployModel"
        body = {"deployedModel": dict(deployed)}
        return await self._vertex.call("POST", location_of(name), path, repeatable=True, body=body)

    async def resize(self, name: str, deployed: Mapping[str, Any], mask: str) -> Json:
        """Starts a change of the number of replicas."""
        path = f"{name}:mutateDeployedModel"
        body = {"deployedModel": dict(deployed), "updateMask": mask}
        return await self._vertex.call("POST", location_of(name), path, repeatable=True, body=body)

    async def undeploy(self, name: str, id_: str) -> Json:
        """Starts the end of a deployment; it must get no requests any more."""
        path = f"{name}:undeployModel"
        body = {"deployedModelId": id_}
        return await self._vertex.call("POST", location_of(name), path, repeatable=True, body=body)

    async def delete(self, name: str) -> None:
        """Deletes an endpoint that serves nothing, and waits for it."""
        await self._vertex.delete_endpoint(name)
