"""The resources that the provider offers: one line each."""

from __future__ import annotations

from tunestack.provider.configuration import Configuration
from tunestack.provider.custom_job import CustomJobResource
from tunestack.provider.deployment import DeploymentResource
from tunestack.provider.evaluation import EvaluationResource
from tunestack.provider.model_version import ModelVersionResource
from tunestack.provider.pipeline_job import PipelineJobResource
from tunestack.provider.quota_grant import GrantResource
from tunestack.provider.resource import Resource, Session
from tunestack.provider.tuning_job import TuningJobResource
from tunestack.vertex.client import VertexClient
from tunestack.vertex.credentials import token_source
from tunestack.vertex.quota import QuotaClient
from tunestack.vertex.storage import ObjectStore
from tunestack.vertex.timing import Timing
from tunestack.vertex.transport import Transport

RESOURCES: tuple[type[Resource], ...] = (
    PipelineJobResource,
    TuningJobResource,
    CustomJobResource,
    EvaluationResource,
    ModelVersionResource,
    DeploymentResource,
    GrantResource,
)


def connect(configuration: Configuration, timing: Timing | None = None) -> Session:
    """A session with Google, or with what stands in for it on loopback."""
    timing = timing or Timing()
    tokens = token_source(configuration.endpoint, configuration.access_token)
    transport = Transport(tokens, timing=timing)
    vertex = VertexClient(transport, endpoint=configuration.endpoint, timing=timing)
    storage = ObjectStore(transport, endpoint=configuration.storage)
    quotas = QuotaClient(transport, endpoint=configuration.quotas)
    return Session(configuration, vertex, storage, quotas, timing)
