"""Rows: JSON lines with `input_text` and `output_text`, as tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_trainer.errors import TrainerError
from hf_trainer.prompt import PromptFormat

IGNORED = -100  # torch's cross entropy leaves this label out


@dataclass(frozen=True)
class Row:
    """One example. `tokens`: prompt and reply; the loss counts from `reply_start` on."""

    tokens: tuple[int, ...]
    reply_start: int

    @property
    def labels(self) -> list[int]:
        return [IGNORED] * self.reply_start + list(self.tokens[self.reply_start :])


@dataclass(frozen=True)
class Example:
    """One line of a dataset file; `where` is its `file:line`."""

    where: str
    input_text: str
    output_text: str


def read_examples(path: Path) -> list[Example]:
    """All lines of a file. Raises TrainerError with `file:line` for the first that cannot be used.

    Needs no library, so that a bad file is reported before seconds of imports.
    """
    try:
        # Not splitlines: a line separator (U+2028) may stand in a text as it is.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise TrainerError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise TrainerError(f"{path}: not UTF-8: {error}") from None
    examples = []
    for number, line in enumerate(lines if lines != [""] else [], 1):
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
            given, wanted = record["input_text"], record["output_text"]
        except (ValueError, TypeError, KeyError) as error:
            raise TrainerError(
                f"{where}: need an object with input_text and output_text ({error!r})"
            ) from None
        if not (isinstance(given, str) and isinstance(wanted, str) and given.strip() and wanted.strip()):
            raise TrainerError(f"{where}: input_text and output_text must be strings with something in them")
        examples.append(Example(where, given, wanted))
    if not examples:
        raise TrainerError(f"{path}: no rows")
    return examples


def tokenise(examples: Sequence[Example], prompt_format: PromptFormat, longest: int) -> list[Row]:
    """Examples as tokens. Nothing is truncated: a row of more than `longest` tokens raises TrainerError."""
    rows = []
    for example in examples:
        prompt = prompt_format.prompt(example.input_text)
        row = Row((*prompt, *prompt_format.reply(example.output_text)), len(prompt))
        if len(row.tokens) > longest:
            have = f"have {len(row.tokens)} tokens, the base model takes {longest}"
            raise TrainerError(f"{example.where}: {have}: shorten the row")
        rows.append(row)
    return rows


def common_prefix(rows: Sequence[Row]) -> int:
    """How many leading tokens all prompts share, always leaving at least the last prompt token out."""
    first = rows[0].tokens
    length = min(row.reply_start for row in rows) - 1
    for row in rows:
        while row.tokens[:length] != first[:length]:
            length -= 1
    return max(length, 0)
