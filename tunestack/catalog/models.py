"""Base models: which template tunes them, how long they were or are offered, and what replaces them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tunestack.catalog.source import Source

_PALM_SOURCE = Source("Vertex AI generative AI deprecations page (PaLM)", date(2026, 11, 22))


@dataclass(frozen=True)
class BaseModel:
    """``retired`` is the day Google shut the model down (None: offered); ``replacement`` what to move to."""

    name: str
    publisher: str
    template: str
    retired: date | None
    replacement: str
    source: Source

    @property
    def resource(self) -> str:
        """The publisher model's resource name, without project and location."""
        return f"publishers/{self.publisher}/models/{self.name}"

    def is_retired(self, today: date) -> bool:
        """Say whether Google refuses new tuning jobs on this model on ``today``."""
        return self.retired is not None and today >= self.retired


BASE_MODELS: dict[str, BaseModel] = {
    name: BaseModel(
        name=name,
        publisher="google",
        template="tune-large-model",
        retired=date(2025, 4, 9),
        replacement="gemini-2.5-flash",
        source=_PALM_SOURCE,
    )
    for name in ("text-bison@001", "text-bison@002")
}
