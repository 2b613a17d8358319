"""How the split of a dataset falls out: which prompts are validated on, and what every stratum gives."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec

from tunestack.dataset.findings import DatasetRefused, quoted
from tunestack.dataset.prompts_shown import common_lines, own_part
from tunestack.dataset.split import validation_hashes

_PROMPTS_SHOWN = 10
_CHARACTERS_SHOWN = 90


class SplitOfDataset(msgspec.Struct):
    """``asked``: `split.validation`; ``strata``: rows to train on and to validate on, by stratum (unstratified: one).

    ``prompts``: those that are validated on, in the order of the records.
    """

    name: str
    asked: int
    stratify: str | None
    strata: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    prompts: list[str] = msgspec.field(default_factory=list)

    @property
    def rows(self) -> tuple[int, int]:
        """Rows to train on and rows to validate on."""
        train, validation = zip(*self.strata.values(), strict=True)
        return sum(train), sum(validation)


def split_of(folder: Path) -> SplitOfDataset:
    """The split as `compile_dataset` makes it. Raises DatasetRefused, TunestackError."""
    from tunestack.dataset.examine import examine_dataset

    with tempfile.TemporaryDirectory() as spool:
        examined = examine_dataset(folder, Path(spool))
        if examined.report.counts:
            raise DatasetRefused(examined.report)
        spec = examined.spec
        split = SplitOfDataset(spec.name, spec.split.validation, spec.split.stratify)
        if (records := examined.parts.get("records")) is None:  # finished files are split already
            rows = [
                examined.parts[name].rows if name in examined.parts else 0 for name in ("train", "validation")
            ]
            split.strata[""] = (rows[0], rows[1])
            return split
        hashes, strata = records.prompt_hashes(), records.strata()
        chosen = validation_hashes(hashes, split.asked, strata)
        sides = [each in chosen for each in hashes]
        of_rows = strata if strata is not None else [""] * len(hashes)
        rows_of, validated = Counter(of_rows), Counter(compress(of_rows, sides))
        split.strata = {
            name: (rows - validated[name], validated[name]) for name, rows in sorted(rows_of.items())
        }
        split.prompts = list(_prompts(compress(records.lines(), sides), examined.format))
        return split


def json_split(split: SplitOfDataset) -> dict[str, Any]:
    """`{"name", "asked", "train", "validation", "stratify", "strata", "prompts"}`, for machines."""
    train, validation = split.rows
    return {
        "name": split.name,
        "asked": split.asked,
        "train": train,
        "validation": validation,
        "stratify": split.stratify,
        "strata": {
            name: {"train": train, "validation": validation}
            for name, (train, validation) in split.strata.items()
        }
        if split.stratify
        else {},
        "prompts": split.prompts,
    }


def terminal_split(split: SplitOfDataset) -> str:
    """The split for people: the numbers by stratum, and the first prompts."""
    return "\n".join(_lines(split))


def _lines(split: SplitOfDataset) -> Iterator[str]:
    train, validation = split.rows
    yield f"{split.name} · {train:,} rows to train on, {validation:,} to validate on"
    if validation < split.asked:
        yield f"  {split.asked:,} were asked for: rows with the same prompt stay together"
    if split.stratify:
        width = max(map(len, split.strata))
        for name, (to_train, to_validate) in split.strata.items():
            share = to_validate / (to_train + to_validate)
            yield f"  {name:<{width}}  {to_train:>9,} to train  {to_validate:>7,} to validate  {share:.1%}"
    if split.prompts:
        yield "  validated on:"
        start, end = common_lines(split.prompts)
        for prompt in split.prompts[:_PROMPTS_SHOWN]:
            yield f"    {quoted(own_part(prompt, start, end), _CHARACTERS_SHOWN)}"
        if (more := len(split.prompts) - _PROMPTS_SHOWN) > 0:
            yield f"    … and {more:,} more"


def _prompts(lines: Iterator[bytes], form: str) -> Iterator[str]:
    import msgspec

    from tunestack.dataset.formats import FORMATS

    decode = msgspec.json.Decoder(FORMATS[form].line).decode
    for line in lines:
        yield from FORMATS[form].facts([decode(line)]).prompts
