"""The model registry: models, their versions, aliases and copies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunestack.vertex.client import Json, VertexClient, location_of
from tunestack.vertex.errors import InvalidArgument, NotFound

DEFAULT_ALIAS = "default"
"""The alias that every model has on exactly one version: what is meant where no version is named."""

_NAME = re.compile(
    r"projects/(?P<project>[^/@]+)/locations/(?P<location>[^/@]+)/models/(?P<id>[^/@]+)(?:@(?P<version>.+))?"
)


@dataclass(frozen=True)
class ModelName:
    """``projects/P/locations/L/models/M@V``; ``version`` is empty where none is named, or an alias."""

    project: str
    location: str
    id: str
    version: str = ""

    @classmethod
    def parse(cls, name: str) -> ModelName:
        """Raises ValueError for what is no full name of a model."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is no full name of a model: projects/P/locations/L/models/M@VERSION")
        return cls(found["project"], found["location"], found["id"], found["version"] or "")

    @property
    def model(self) -> str:
        """The name without a version."""
        return f"projects/{self.project}/locations/{self.location}/models/{self.id}"

    def __str__(self) -> str:
        return f"{self.model}@{self.version}" if self.version else self.model

    def means(self, other: ModelName) -> bool:
        """Whether two names are of one version. Google writes a project's number where we may write its id."""
        numbers = self.project.isdigit() != other.project.isdigit()
        return (numbers or self.project == other.project) and (
            (self.location, self.id, self.version) == (other.location, other.id, other.version)
        )


@dataclass(frozen=True)
class ModelVersion:
    """A reading view of one version's JSON, ``projects.locations.models``."""

    json: Mapping[str, Any]

    @property
    def name(self) -> ModelName:
        """The full name, with the number of the version."""
        given = ModelName.parse(str(self.json.get("name") or ""))
        return ModelName(given.project, given.location, given.id, str(self.json.get("versionId") or "1"))

    @property
    def aliases(self) -> tuple[str, ...]:
        """All aliases on this version, in the order of the alphabet."""
        return tuple(sorted(self.json.get("versionAliases") or ()))

    @property
    def is_default(self) -> bool:
        """Whether it is what a name without a version means."""
        return DEFAULT_ALIAS in self.aliases

    @property
    def labels(self) -> dict[str, str]:
        """The version's labels and the model's, which Vertex AI gives together."""
        return dict(self.json.get("labels") or {})

    @property
    def description(self) -> str:
        """The version's own description."""
        return str(self.json.get("versionDescription") or "")

    @property
    def display_name(self) -> str:
        """The name that the console shows."""
        return str(self.json.get("displayName") or "")

    @property
    def original(self) -> ModelName | None:
        """The version that this one is a copy of; None where it is none."""
        name = (self.json.get("originalModelInfo") or {}).get("model")
        return ModelName.parse(str(name)) if name else None

    @property
    def created(self) -> str:
        """RFC 3339 moment at which the version came to be."""
        return str(self.json.get("versionCreateTime") or self.json.get("createTime") or "")

    @property
    def endpoints(self) -> list[tuple[str, str]]:
        """Where it is served: full name of the endpoint, id of the deployed model."""
        found = self.json.get("deployedModels") or []
        return [(str(item.get("endpoint")), str(item.get("deployedModelId"))) for item in found]


class DefaultVersion(InvalidArgument):
    """A version that is not deleted because it is what everyone gets who names none."""


class ModelRegistry:
    """Asks for versions and changes what can be changed of them. All methods raise ``GoogleError``."""

    def __init__(self, vertex: VertexClient) -> None:
        self._vertex = vertex

    async def get(self, name: str) -> ModelVersion:
        """A version by number or alias; the default one where the name has neither."""
        return ModelVersion(await self._vertex.get_model(name))

    async def default(self, model: str) -> ModelVersion | None:
        """The default version of a model, which is named without one; None where there is no such model."""
        try:
            return await self.get(model)
        except NotFound:
            return None

    async def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, which is named without one."""
        path = f"{model}:listVersions"
        return [ModelVersion(item) async for item in self._pages(location_of(model), path)]

    async def models(self, project: str, location: str) -> AsyncIterator[ModelVersion]:
        """The default version of every model of a location."""
        async for item in self._pages(location, f"projects/{project}/locations/{location}/models"):
            yield ModelVersion(item)

    async def _pages(self, location: str, path: str) -> AsyncIterator[Json]:
        params = {"pageSize": "100"}
        while True:
            page = await self._vertex.call("GET", location, path, repeatable=True, params=params)
            for item in page.get("models") or []:
                yield item
            token = page.get("nextPageToken")
            if not token:
                return
            params["pageToken"] = str(token)

    async def merge_aliases(self, name: ModelName, add: Sequence[str], remove: Sequence[str] = ()) -> None:
        """Puts aliases on a version, taking them off whichever has them now, and takes others off it."""
        body = {"versionAliases": [*add, *(f"-{alias}" for alias in remove)]}
        path = f"{name}:mergeVersionAliases"
        await self._vertex.call("POST", name.location, path, repeatable=True, body=body)

    async def patch(self, name: ModelName, fields: Mapping[str, Any]) -> None:
        """Changes ``labels`` or ``versionDescription`` of one version and of no other."""
        await self._vertex.call(
            "PATCH",
            name.location,
            str(name),
            repeatable=True,
            params={"updateMask": ",".join(sorted(fields))},
            body={"name": str(name), **fields},
        )

    async def copy(
        self, project: str, location: str, request: Mapping[str, Any], *, repeatable: bool
    ) -> Json:
        """Starts ``models:copy`` into a location and gives its operation; see ``VertexClient.wait``."""
        path = f"projects/{project}/locations/{location}/models:copy"
        return await self._vertex.call("POST", location, path, repeatable=repeatable, body=dict(request))

    async def delete_version(self, name: ModelName) -> None:
        """Deletes one version, or the model where it is the only one; it must not be deployed.

        Raises ``DefaultVersion`` where it is the default one of several, which Vertex AI does not delete.
        """
        versions = await self.versions(name.model)
        if len(versions) <= 1:
            await self._vertex.delete_model(name.model)
            return
        if any(version.is_default and version.name.version == name.version for version in versions):
            raise DefaultVersion(
                400, "FAILED_PRECONDITION", f"{name} is the default version of a model with {len(versions)}"
            )
        await self._vertex.delete_model_version(str(name))
