"""Parquet through pyarrow, which is imported only here: its rows as JSON texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import msgspec

from tunestack.dataset.findings import quoted
from tunestack.dataset.sources.compression import Compressed
from tunestack.dataset.sources.content import PIECE_BYTES
from tunestack.dataset.sources.sequential import Record, Sequential, field_of
from tunestack.dataset.sources.source import SourceFault
from tunestack.spec.errors import Problem, TunestackError

# Rows that are in memory at once as Python objects.
_BATCH_ROWS = 1_024


class Parquet(Sequential):
    """Rows for records, numbered from 1 in place of lines, columns by their number from 1.

    Parquet knows no field that is absent, so null stands for it: fields that are null are left out.
    """

    @property
    def translated(self) -> bool:
        """The texts are made here."""
        return True

    def cell(self, line: int, path: str) -> int:
        """The number of the column, the same in every row."""
        field = field_of(path)
        return self._names.index(field) + 1 if field in self._names else 0

    @cached_property
    def _names(self) -> list[str]:
        with ExitStack() as opened:
            return list(self._open(opened).schema_arrow.names)

    def _open(self, opened: ExitStack) -> Any:
        try:
            import pyarrow  # type: ignore[import-untyped]
            from pyarrow import parquet
        except ImportError:
            raise TunestackError(
                Problem(
                    "parquet",
                    "Parquet is read through pyarrow, which is not installed",
                    self.name,
                    fix="pip install 'tunestack[parquet]'",
                ),
                exit_status=2,
            ) from None
        if isinstance(self.content, Compressed):
            message = f"Parquet packed again with {self.content.packing}: it is read from its end"
            raise SourceFault("compression", message, "unpack the file; Parquet is compressed within")
        stream = opened.enter_context(self.content.open())
        try:
            # In pieces: else a column of a row group is in memory as a whole.
            file = opened.enter_context(parquet.ParquetFile(stream, buffer_size=PIECE_BYTES))
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(error) from None
        if doubled := [name for name, count in Counter(file.schema_arrow.names).items() if count > 1]:
            message = f"two columns have the name {quoted(doubled[0])}"
            raise SourceFault("table-syntax", message, "name each column once")
        return file

    def records(self) -> Iterator[Record | SourceFault]:
        """The rows. Raises TunestackError where pyarrow is not installed."""
        with ExitStack() as opened:
            file = self._open(opened)
            from pyarrow import ArrowException

            row = 0
            batches = file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except (ArrowException, OSError) as error:
                    fault = _damaged(error)
                    fault.line = row + 1
                    raise fault from None
                if batch is None:
                    return
                try:
                    rows = batch.to_pylist()
                except UnicodeDecodeError:
                    rows = [_row(batch.slice(number, 1)) for number in range(batch.num_rows)]
                for row, values in enumerate(rows, row + 1):  # noqa: B020
                    if isinstance(values, SourceFault):
                        values.line = row
                        yield values
                    else:
                        yield Record(msgspec.json.encode(_without_nulls(values), enc_hook=str), row)


def _row(batch: Any) -> dict[str, Any] | SourceFault:
    try:
        row: dict[str, Any] = batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        message = f"the byte 0x{error.object[error.start]:02x} in a text is not UTF-8"
        return SourceFault("encoding", message, "write the texts as UTF-8")
    return row


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _damaged(error: Exception) -> SourceFault:
    said = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return SourceFault("table-syntax", f"the Parquet file is damaged: {said}", "write the file anew")
