"""Models in the registry, as a Pulumi program declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pulumi import Input, ResourceOptions

from tunestack.provider.declaring import Declared, OutputOf


class ModelVersion(Declared):
    """A version of a tuned model under its aliases, copied to where it is needed: promoted, never trained again.

    ``source_model``: ``projects/P/locations/L/models/M@V``; where ``project`` and ``location`` are others, it is copied
    there. An alias is taken off the version that had it; the default version stays unless ``default`` is true.
    ``spec_hash`` refuses a model of another run. Values inside ``encryption_spec`` have Google's own names.
    """

    project = OutputOf[str]("project")
    location = OutputOf[str]("location")
    name = OutputOf[str]("name")
    model = OutputOf[str]("model")
    version_id = OutputOf[str]("versionId")
    source = OutputOf[str]("source")
    copied = OutputOf[bool]("copied")
    adopted = OutputOf[bool]("adopted")
    create_time = OutputOf[str]("createTime")
    version_aliases = OutputOf[Sequence[str]]("versionAliases")
    default_version = OutputOf[str]("defaultVersion")
    state = OutputOf[str]("state")
    operation = OutputOf[str]("operation")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        source_model: Input[str],
        aliases: Input[Sequence[Input[str]]] | None = None,
        default: Input[bool] | None = None,
        labels: Input[Mapping[str, Input[str]]] | None = None,
        description: Input[str] | None = None,
        spec_hash: Input[str] | None = None,
        model_id: Input[str] | None = None,
        encryption_spec: Input[Mapping[str, Any]] | None = None,
        service_account: Input[str] | None = None,
        deletion_policy: Input[Literal["ABANDON", "DELETE"]] | None = None,
        project: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "location": location,
            "source_model": source_model,
            "aliases": aliases,
            "default": default,
            "labels": labels,
            "description": description,
            "spec_hash": spec_hash,
            "model_id": model_id,
            "encryption_spec": encryption_spec,
            "service_account": service_account,
            "deletion_policy": deletion_policy,
            "project": project,
        }
        super().__init__("tunestack:vertex:ModelVersion", resource_name, inputs, opts)


class Deployment(Declared):
    """A version of a tuned model on an endpoint; the next version serves before this one is taken off.

    Exactly one of ``dedicated_resources``, ``automatic_resources`` (values inside have Google's own names) and
    ``shared_resources`` (full name of a DeploymentResourcePool). None of them: a shared adapter, which its tuning job
    has deployed; nothing is done, and ``endpoint_name`` says where it is. ``traffic``: percent, 100 if absent; the
    other deployments of the endpoint share the rest. Without ``endpoint`` one is made, and deleted with this.
    """

    project = OutputOf[str]("project")
    location = OutputOf[str]("location")
    model = OutputOf[str]("model")
    endpoint_name = OutputOf[str]("endpointName")
    deployed_model_id = OutputOf[str]("deployedModelId")
    retiring = OutputOf[Sequence[str]]("retiring")
    endpoint_created = OutputOf[bool]("endpointCreated")
    traffic_split = OutputOf[Mapping[str, int]]("trafficSplit")
    state = OutputOf[str]("state")
    operation = OutputOf[str]("operation")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        model: Input[str],
        endpoint: Input[str] | None = None,
        display_name: Input[str] | None = None,
        labels: Input[Mapping[str, Input[str]]] | None = None,
        traffic: Input[int] | None = None,
        dedicated_resources: Input[Mapping[str, Any]] | None = None,
        automatic_resources: Input[Mapping[str, Any]] | None = None,
        shared_resources: Input[str] | None = None,
        service_account: Input[str] | None = None,
        checkpoint_id: Input[str] | None = None,
        encryption_spec: Input[Mapping[str, Any]] | None = None,
        project: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "location": location,
            "model": model,
            "endpoint": endpoint,
            "display_name": display_name,
            "labels": labels,
            "traffic": traffic,
            "dedicated_resources": dedicated_resources,
            "automatic_resources": automatic_resources,
            "shared_resources": shared_resources,
            "service_account": service_account,
            "checkpoint_id": checkpoint_id,
            "encryption_spec": encryption_spec,
            "project": project,
        }
        super().__init__("tunestack:vertex:Deployment", resource_name, inputs, opts)
