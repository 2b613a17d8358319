"""The tuned model that a job leaves: whether it is there, and how it is taken away."""

from __future__ import annotations

from collections.abc import Sequence

from tunestack.provider.resource import RowLog
from tunestack.vertex.client import VertexClient
from tunestack.vertex.errors import NotFound


async def model_exists(vertex: VertexClient, model: str) -> bool:
    """Whether a model (or the version ``…@V`` of it) is in the registry."""
    try:
        await vertex.get_model(model)
    except NotFound:
        return False
    return True


async def delete_tuned_model(vertex: VertexClient, model: str, endpoints: Sequence[str], log: RowLog) -> None:
    """Undeploys the model, deletes the endpoints where nothing else is served by them, then the model.

    In this order because Vertex AI deletes no endpoint in use and no deployed model. What is gone is fine. Of a
    model with other versions, which other runs made, only ours is deleted.
    """
    for endpoint in endpoints:
        await log.status("undeploying")
        await _leave_endpoint(vertex, endpoint, model)
    if not model:
        return
    await log.status("deleting the model")
    version = model.partition("@")[2]
    try:
        versions = await vertex.list_model_versions(model) if version else []
    except NotFound:
        return
    if any(str(other.get("versionId")) != version for other in versions):
        await vertex.delete_model_version(model)
    else:
        await vertex.delete_model(model)


async def _leave_endpoint(vertex: VertexClient, endpoint: str, model: str) -> None:
    try:
        deployed = (await vertex.get_endpoint(endpoint)).get("deployedModels") or []
    except NotFound:
        return
    ours = [item for item in deployed if not model or _same_model(str(item.get("model")), model)]
    for item in ours:
        await vertex.undeploy_model(endpoint, str(item.get("id")))
    if len(ours) == len(deployed):
        await vertex.delete_endpoint(endpoint)


def _same_model(one: str, other: str) -> bool:
    """Equal but for the version, and for the project, which Google writes as a number."""
    return one.partition("@")[0].split("/")[2:] == other.partition("@")[0].split("/")[2:]
