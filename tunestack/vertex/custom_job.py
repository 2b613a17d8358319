"""What a CustomJob answer of Vertex AI says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tunestack.vertex.job import Job, JobCollection

CUSTOM_JOBS = JobCollection("customJobs", "custom job", told="jobSpec/baseOutputDirectory,webAccessUris")
"""Its id comes from the server."""


@dataclass(frozen=True)
class CustomJob(Job):
    """A reading view of the JSON of ``projects.locations.customJobs``. It registers no model of its own."""

    collection: ClassVar[JobCollection] = CUSTOM_JOBS

    @property
    def job_spec(self) -> Mapping[str, Any]:
        """``jobSpec``."""
        return self.json.get("jobSpec") or {}

    @property
    def model_directory(self) -> str:
        """Where the trainer leaves its model (``AIP_MODEL_DIR``): ``model/`` in the base output directory."""
        prefix = (self.job_spec.get("baseOutputDirectory") or {}).get("outputUriPrefix")
        return f"{str(prefix).rstrip('/')}/model/" if prefix else ""

    @property
    def web_access_uris(self) -> dict[str, str]:
        """Replica → address of its interactive shell, while it runs."""
        return {str(key): str(value) for key, value in (self.json.get("webAccessUris") or {}).items()}
