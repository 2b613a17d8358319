"""JSON Lines to typed rows: accepted fast, refused with an explanation.

Every line is decoded on its own by msgspec against the declared columns. Only a line that this refuses, or that it
could have accepted too easily (a key that stands twice, text of nothing but spaces), goes to `explain`.

A final line feed may be missing and lines may end in CR LF; both leave the records as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from tunestack.dataset import explain
from tunestack.dataset.findings import Finding

ColumnType = Literal["string", "list[string]"]
Values = dict[str, Any]  # of each column a str, or for list[string] a list of str

# Lines decoded in one go. Measured best between 64 and 256; larger batches fall out of the cache.
_BATCH = 128

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_TYPES: dict[ColumnType, Any] = {
    "string": _Text,
    "list[string]": Annotated[list[_Text], msgspec.Meta(min_length=1)],
}


class Row(NamedTuple):
    """One accepted record and the line it stands on."""

    line: int
    values: Values


@dataclass(frozen=True)
class Shape:
    """The columns that every record of a file has: no more, no fewer."""

    columns: Mapping[str, ColumnType]

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Decodes one line into the columns' values, in the order of the columns."""
        # Columns get neutral names inside, so that a column may be called `class` or `self`.
        names = {f"column_{number}": column for number, column in enumerate(self.columns)}
        fields = [(name, _TYPES[self.columns[column]]) for name, column in names.items()]
        record = msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)
        return msgspec.json.Decoder(record)


def read_rows(path: Path, shape: Shape, name: str | None = None) -> tuple[list[Row], list[Finding]]:
    """All good rows of a JSON Lines file and everything that is wrong with the others.

    ``name`` stands for the file in the findings. Raises OSError where the file cannot be read.
    """
    name = name or str(path)
    rows: list[Row] = []
    findings: list[Finding] = []
    columns = tuple(shape.columns)
    decode = shape.decoder.decode
    with path.open("rb") as lines:
        if whole := explain.not_json_lines(lines.peek(4096)[:4096]):
            return [], [whole.finding(name, 1)]
        line = 0
        while batch := list(islice(lines, _BATCH)):
            for number, (raw, record) in enumerate(_decoded(batch, decode), line + 1):
                if record is not None:
                    values = dict(zip(columns, msgspec.structs.astuple(record), strict=True))
                    if _plainly_good(raw, values):
                        rows.append(Row(number, values))
                        continue
                defects = explain.explain(raw, shape.decoder.type, refused=record is None)
                findings.extend(defect.finding(name, number) for defect in defects)
                if record is not None and not defects:
                    rows.append(Row(number, values))
            line += len(batch)
    if not rows and not findings:
        findings.append(
            Finding(name, 0, 0, "no-rows", "", "the file has no rows", "write at least one record")
        )
    return rows, findings


def _decoded(batch: list[bytes], decode: Any) -> Iterator[tuple[bytes, Any]]:
    try:
        yield from zip(batch, list(map(decode, batch)), strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        for raw in batch:
            try:
                record = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                record = None
            yield raw, record


def _plainly_good(raw: bytes, values: Values) -> bool:
    """Whether a decoded line is certainly without a doubled key and without empty text.

    msgspec keeps the last of two equal keys. A doubled key adds at least four quotation marks, or two and a
    bracket pair, to those that the kept keys and values account for; escapes (\\u0022) could hide that, so a line
    that holds one is left to `explain`.
    """
    quotes = 0
    for value in values.values():
        texts = (value,) if isinstance(value, str) else value
        if not texts:
            return False
        quotes += 2 + 2 * len(texts)
        for text in texts:
            if not text or text.isspace():
                return False
            quotes += text.count('"')
    return raw.count(b'"') == quotes and b"u0022" not in raw


def read_lines(path: Path, numbers: set[int]) -> dict[int, bytes]:
    """The raw lines with these numbers, to point into them."""
    if not numbers:
        return {}
    with path.open("rb") as lines:
        return {number: raw for number, raw in enumerate(islice(lines, max(numbers)), 1) if number in numbers}
