"""The resource types that the stand-in serves: one table each."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.resources.storage_bucket import BUCKET
from tunestack.emulator.gcp_provider.resources.storage_bucket_object import BUCKET_OBJECT
from tunestack.emulator.gcp_provider.schema import ResourceType

TYPES: dict[str, ResourceType] = {resource.name: resource for resource in (BUCKET, BUCKET_OBJECT)}
