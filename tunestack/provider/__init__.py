"""The Pulumi provider of tuning jobs and tuned models, and its typed resources for programs.

The resources are imported at first use: they need pulumi, which the rest of the package does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.provider.program import (
        CustomJob,
        Deployment,
        Evaluation,
        Grant,
        ModelVersion,
        PipelineJob,
        Provider,
        TuningJob,
    )

__all__ = [
    "CustomJob",
    "Deployment",
    "Evaluation",
    "Grant",
    "ModelVersion",
    "PipelineJob",
    "Provider",
    "TuningJob",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tunestack.provider import program

    return getattr(program, name)
