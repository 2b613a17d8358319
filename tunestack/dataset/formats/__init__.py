"""The formats that datasets compile to, one module each; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from tunestack.dataset.formats.format import Format

_MODULES = {
    "supervised": "supervised",
    "code": "supervised",
    "chat": "chat",
    "gemini": "gemini",
    "rlhf-prompt": "rlhf_prompt",
    "rlhf-preference": "rlhf_preference",
    "gemini-preference": "gemini_preference",
    "embedding": "embedding",
    "embedding-labels": "embedding",
    "evaluation": "evaluation",
}


class _Formats(Mapping[str, Format]):
    def __getitem__(self, name: str) -> Format:
        module = import_module(f"{__name__}.{_MODULES[name]}")
        found: Format = module.FORMATS[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


# By name. `embedding` is a line of queries or corpus, `embedding-labels` a row of the labels, `evaluation` a
# held-out row.
FORMATS: Mapping[str, Format] = _Formats()
