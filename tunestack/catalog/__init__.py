"""Dated facts about Vertex AI that decide a plan: each row carries its source and the day it was checked.

Code never holds such a number; it asks here. A fact without a source does not enter. Each table is read when it is
first asked for: a check of a small dataset waits for none but the limits.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.catalog.accelerators import ACCELERATORS, Accelerator, accelerator_in
    from tunestack.catalog.limits import LIMITS, Limits, find_limits, most_validation, validation_limit
    from tunestack.catalog.models import BASE_MODELS, BaseModel
    from tunestack.catalog.source import Source
    from tunestack.catalog.templates import TEMPLATES, PipelineTemplate

__all__ = [
    "ACCELERATORS",
    "BASE_MODELS",
    "LIMITS",
    "TEMPLATES",
    "Accelerator",
    "BaseModel",
    "Limits",
    "PipelineTemplate",
    "Source",
    "accelerator_in",
    "find_limits",
    "most_validation",
    "validation_limit",
]

_MODULES = {
    "accelerators": ("ACCELERATORS", "Accelerator", "accelerator_in"),
    "limits": ("LIMITS", "Limits", "find_limits", "most_validation", "validation_limit"),
    "models": ("BASE_MODELS", "BaseModel"),
    "source": ("Source",),
    "templates": ("TEMPLATES", "PipelineTemplate"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
