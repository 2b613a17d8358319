"""Dated facts about Vertex AI that decide a plan: each row carries its source and the day it was checked.

Code never holds such a number; it asks here. A fact without a source does not enter.
"""

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
