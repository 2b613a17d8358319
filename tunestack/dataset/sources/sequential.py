"""What the sources have in common that can only be read in order: blocks with the records inside."""

from __future__ import annotations

from collections.abc import Iterator

from tunestack.dataset.sources.source import Chunk


def parts(chunk: Chunk, records: int) -> Iterator[Chunk]:
    """A chunk as several of at most ``records`` records; its faults come with the first."""
    faults = chunk.faults
    for start in range(0, max(len(chunk.texts), 1), records):
        part = slice(start, start + records)
        columns = None if chunk.columns is None else chunk.columns[part]
        yield Chunk(chunk.texts[part], chunk.lines[part], columns, faults)
        faults = ()
