"""Supervised text tuning: `{"input_text", "output_text"}` a line.

The format of the PaLM 2 tuning pipelines (`tune-large-model`); held-out lines of a generation set carry all their
`references` beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tunestack.dataset.reader import Shape

PROMPT, TARGET, REFERENCES = "input_text", "output_text", "references"
SHAPE = Shape({PROMPT: "string", TARGET: "string"})


def encode(prompt: str, target: str, references: Sequence[str] | None = None) -> bytes:
    """One compiled line with its line feed."""
    record: dict[str, object] = {PROMPT: prompt, TARGET: target}
    if references is not None:
        record[REFERENCES] = references
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
