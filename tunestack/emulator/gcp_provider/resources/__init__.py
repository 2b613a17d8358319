"""The resource types that the stand-in serves: one table each."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.resources.iam_member import (
    BUCKET_IAM_MEMBER,
    PROJECT_IAM_MEMBER,
    SERVICE_ACCOUNT_IAM_MEMBER,
)
from tunestack.emulator.gcp_provider.resources.project_service import PROJECT_SERVICE
from tunestack.emulator.gcp_provider.resources.service_account import SERVICE_ACCOUNT
from tunestack.emulator.gcp_provider.resources.storage_bucket import BUCKET
from tunestack.emulator.gcp_provider.resources.storage_bucket_object import BUCKET_OBJECT
from tunestack.emulator.gcp_provider.resources.vertex_endpoint import ENDPOINT
from tunestack.emulator.gcp_provider.resources.vertex_tensorboard import TENSORBOARD
from tunestack.emulator.gcp_provider.schema import ResourceType

TYPES: dict[str, ResourceType] = {
    resource.name: resource
    for resource in (
        BUCKET,
        BUCKET_OBJECT,
        BUCKET_IAM_MEMBER,
        PROJECT_IAM_MEMBER,
        PROJECT_SERVICE,
        SERVICE_ACCOUNT,
        SERVICE_ACCOUNT_IAM_MEMBER,
        ENDPOINT,
        TENSORBOARD,
    )
}
