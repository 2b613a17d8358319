"""gcp.vertex beside endpoints: https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType


def _region_of(name: Any) -> str | None:
    return str(name).split("/")[3] if name else None


#: Part of the address when it is created, and of the name that the server gives it ever after.
_REGION = {"encode": lambda _: None, "decode": _region_of}


def _named_by_server(token: str, collection: str, replaces: str = "", volatile: str = "") -> ResourceType:
    return ResourceType(
        name=token,
        service="vertexAi",
        id="{+name}",
        create=Call("POST", "projects/{project}/locations/{region}/" + collection),
        read=Call("GET", "{+name}"),
        update=Call("PATCH", "{+name}"),
        delete=Call("DELETE", "{+name}"),
        properties=declared(
            token,
            replaces=f"region encryptionSpec {replaces}",
            server="region",
            volatile=volatile,
            rest={"region": "name"},
            also={"region": _REGION},
        ),
    )


TENSORBOARD = _named_by_server("gcp:vertex/aiTensorboard:AiTensorboard", "tensorboards", volatile="runCount")
DATASET = _named_by_server("gcp:vertex/aiDataset:AiDataset", "datasets", replaces="metadataSchemaUri")


_STORE = "projects/{project}/locations/{region}/metadataStores/{name}"
METADATA_STORE = ResourceType(
    name="gcp:vertex/aiMetadataStore:AiMetadataStore",
    service="vertexAi",
    id=_STORE,
    imports=("{project}/{region}/{name}", "{region}/{name}", "{name}"),
    autoname=Autoname(),
    create=Call("POST", "projects/{project}/locations/{region}/metadataStores?metadataStoreId={name}"),
    read=Call("GET", _STORE),
    delete=Call("DELETE", _STORE),
    properties=declared(
        "gcp:vertex/aiMetadataStore:AiMetadataStore",
        address="name region",
        replaces="name region description encryptionSpec",
        server="region",
        volatile="states",
        rest={"states": "state"},
        also={"states": {"decode": lambda state: None if state is None else [state]}},
    ),
)

_BOARD = "projects/{project}/locations/{location}/tensorboards/{tensorboard}"
_EXPERIMENT = _BOARD + "/experiments/{tensorboardExperimentId}"
TENSORBOARD_EXPERIMENT = ResourceType(
    name="gcp:vertex/aiTensorboardExperiment:AiTensorboardExperiment",
    service="vertexAi",
    id=_EXPERIMENT,
    imports=("{project}/{location}/{tensorboard}/{tensorboardExperimentId}",),
    create=Call("POST", _BOARD + "/experiments?tensorboardExperimentId={tensorboardExperimentId}"),
    read=Call("GET", _EXPERIMENT),
    update=Call("PATCH", _EXPERIMENT),
    delete=Call("DELETE", _EXPERIMENT),
    properties=declared(
        "gcp:vertex/aiTensorboardExperiment:AiTensorboardExperiment",
        address="location tensorboard tensorboardExperimentId",
        replaces="location tensorboard tensorboardExperimentId source",
    ),
)

_RUN = _BOARD + "/experiments/{experiment}/runs/{tensorboardRunId}"
TENSORBOARD_RUN = ResourceType(
    name="gcp:vertex/aiTensorboardRun:AiTensorboardRun",
    service="vertexAi",
    id=_RUN,
    imports=("{project}/{location}/{tensorboard}/{experiment}/{tensorboardRunId}",),
    create=Call("POST", _BOARD + "/experiments/{experiment}/runs?tensorboardRunId={tensorboardRunId}"),
    read=Call("GET", _RUN),
    update=Call("PATCH", _RUN),
    delete=Call("DELETE", _RUN),
    properties=declared(
        "gcp:vertex/aiTensorboardRun:AiTensorboardRun",
        address="location tensorboard experiment tensorboardRunId",
        replaces="location tensorboard experiment tensorboardRunId",
    ),
)
TYPES = (TENSORBOARD, DATASET, METADATA_STORE, TENSORBOARD_EXPERIMENT, TENSORBOARD_RUN)
