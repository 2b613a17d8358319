"""What managed tuning (tuning jobs) takes: which models, in which regions, with which adapters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tunestack.catalog.source import Source

_CHECKED = date(2026, 11, 22)
_PLATFORM = "docs.cloud.google.com/gemini-enterprise-agent-platform/models/"
_SUPERVISED = Source(
    _PLATFORM
    + "tuning/supervised-tuning, and generative-ai/docs/models/gemini-supervised-tuning-region-settings",
    _CHECKED,
)
_OPEN = Source(_PLATFORM + "open-model-tuning; regions also in google/skills", _CHECKED, verified=False)


@dataclass(frozen=True)
class ManagedModel:
    """A base model of tuning jobs.

    ``open``: its weights are handed out to a folder of the caller's. ``adapter_sizes``: ranks that are taken; None:
    no source limits them. ``locations``: None where the list is long and not fully known. ``customer_keys``: whether
    CMEK is supported; None: no source says.
    """

    name: str
    open: bool
    source: Source
    adapter_sizes: frozenset[int] | None = None
    locations: frozenset[str] | None = None
    customer_keys: bool | None = None


_TWO = frozenset({"us-central1", "europe-west4"})
_UP_TO_16 = frozenset({1, 2, 4, 8, 16})

_GEMINI = (
    ManagedModel("gemini-2.5-pro", False, _SUPERVISED, frozenset({1, 2, 4, 8})),
    ManagedModel("gemini-2.5-flash", False, _SUPERVISED, _UP_TO_16),
    ManagedModel("gemini-2.5-flash-lite", False, _SUPERVISED, _UP_TO_16),
    ManagedModel("gemini-3.1-flash-lite", False, _SUPERVISED, _UP_TO_16, _TWO, False),
    ManagedModel("gemini-3.5-flash", False, _SUPERVISED, _UP_TO_16, _TWO, False),
    ManagedModel("gemini-3.5-flash-lite", False, _SUPERVISED, _UP_TO_16, _TWO, False),
)

_OPEN_LOCATIONS = _TWO | {"us-west1", "us-east5", "asia-southeast1"}
_OPEN_NAMES = {
    "google/gemma4": (
        "gemma-4-e2b-it",
        "gemma-4-e4b-it",
        "gemma-4-26b-a4b-it",
        "gemma-4-31b-it",
    ),
    "google/gemma3": ("gemma-3-1b-it", "gemma-3-4b-it", "gemma-3-12b-it", "gemma-3-27b-it"),
    "google/medgemma": ("medgemma-1.5-4b-it",),
    "qwen/qwen3-6": ("qwen3.6-27b", "qwen3.6-35b-a3b"),
    "qwen/qwen3-5": ("qwen3.5-9b",),
    "qwen/qwen3": ("qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b"),
    "meta/llama3_1": ("llama-3.1-8b", "llama-3.1-8b-instruct"),
    "meta/llama3-2": ("llama-3.2-1b-instruct", "llama-3.2-3b-instruct"),
    "meta/llama3-3": ("llama-3.3-70b-instruct",),
    "meta/llama4": ("llama-4-scout-17b-16e-instruct",),
}

MANAGED_MODELS: dict[str, ManagedModel] = {
    model.name: model
    for model in (
        *_GEMINI,
        *(
            ManagedModel(f"{family}@{version}", True, _OPEN, locations=_OPEN_LOCATIONS)
            for family, versions in _OPEN_NAMES.items()
            for version in versions
        ),
    )
}

EVALUATION_LOCATIONS = frozenset({"us-central1"})
"""Where a tuning job evaluates its checkpoints (``evaluationConfig``, preview): the documentation of it names one."""


def managed_model(name: str) -> ManagedModel | None:
    """The base model ``name``, with or without ``publishers/google/models/`` before it; None: not in the catalog."""
    return MANAGED_MODELS.get(name.removeprefix("publishers/google/models/"))
