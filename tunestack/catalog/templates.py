"""The compiled tuning pipelines that Google publishes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tunestack.catalog.source import Source


@dataclass(frozen=True)
class PipelineTemplate:
    """A published pipeline template; ``uri`` is what ``PipelineJob.templateUri`` takes.

    The registry serves tags that could in principle move: the digest that a run really used is
    ``templateMetadata.version`` of the finished job, and is recorded from there.
    """

    name: str
    version: str
    uri: str
    default_train_steps: int
    source: Source


TEMPLATES: dict[str, PipelineTemplate] = {
    "tune-large-model": PipelineTemplate(
        name="tune-large-model",
        version="v2.0.0",
        uri="https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
        default_train_steps=300,
        source=Source("google-cloud-aiplatform 2.7.0, _model_garden_models.py", date(2026, 11, 22)),
    ),
}
