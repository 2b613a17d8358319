"""gcp.vertex.AiTensorboard: https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/projects.locations.tensorboards."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.gcp_provider.schema import (
    DELETION_POLICY,
    PROJECT,
    SECRET_LABELS,
    Call,
    Property,
    ResourceType,
)


def _region_of(name: Any) -> str | None:
    return str(name).split("/")[3] if name else None


TENSORBOARD = ResourceType(
    name="gcp:vertex/aiTensorboard:AiTensorboard",
    service="vertexAi",
    id="{+name}",
    create=Call("POST", "projects/{project}/locations/{region}/tensorboards"),
    read=Call("GET", "{+name}"),
    update=Call("PATCH", "{+name}"),
    delete=Call("DELETE", "{+name}"),
    operation=True,
    properties=(
        Property(name="displayName", required=True),
        Property(name="description"),
        PROJECT,
        # Part of the address when it is created, and of the name ever after.
        Property(
            name="region",
            rest="name",
            server_default=True,
            replaces=True,
            encode=lambda _: None,
            decode=_region_of,
        ),
        Property(
            name="encryptionSpec",
            kind="object",
            replaces=True,
            fields=(Property(name="kmsKeyName", required=True, replaces=True),),
        ),
        DELETION_POLICY,
        *SECRET_LABELS,
        Property(name="name", output=True),
        Property(name="blobStoragePathPrefix", output=True),
        Property(name="runCount", output=True, volatile=True),
        Property(name="createTime", output=True),
        Property(name="updateTime", output=True, volatile=True),
    ),
)
