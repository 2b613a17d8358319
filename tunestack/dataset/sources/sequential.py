"""What the sources have in common that can only be read in order: blocks with the records inside."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tunestack.dataset.sources.content import Content
from tunestack.dataset.sources.source import BLOCK_BYTES, Block, Chunk, Source, SourceDigests, SourceFault

# A block with its records inside is in memory as a whole, in this process and in the one that does it.
CARRIED_BYTES = 4 << 20


class Record(NamedTuple):
    """One record's JSON text and where in the file it begins."""

    text: bytes
    line: int
    column: int = 1


class Sequential(ABC):
    """A source whose records are known only by reading on from the first byte."""

    def __init__(self, content: Content) -> None:
        self.content = content

    @property
    def name(self) -> str:
        """As findings show it."""
        return self.content.name

    @property
    def translated(self) -> bool:
        """The texts are the file's own bytes."""
        return False

    @abstractmethod
    def records(self) -> Iterator[Record | SourceFault]:
        """Every record in order, and the faults of rows that are none. Raises as `Source.blocks`."""

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """With the records inside."""
        return cut(self, self.records(), min(size, CARRIED_BYTES))

    def chunks(self, block: Block, records: int = 128) -> Iterator[Chunk]:
        """The records of a block."""
        return parts(block.chunk, records)

    def cell(self, line: int, path: str) -> int:
        """Unknown: columns within the texts mean something."""
        return 0

    def digests(self) -> SourceDigests:
        """Of the bytes as they lie there."""
        return self.content.digests()


def field_of(path: str) -> str:
    """The field of a record that a JSON path begins with."""
    if path.startswith('$["'):
        import json

        return str(json.JSONDecoder().raw_decode(path, 2)[0])
    return re.split(r"[.\[]", path.removeprefix("$."), maxsplit=1)[0]


def cut(source: Source, records: Iterable[Record | SourceFault], size: int) -> Iterator[Block]:
    """Blocks of about ``size`` bytes of text; where they are cut depends on nothing but the records.

    A fault that is among the records belongs to one row. One that is raised ends the source, after a last block.
    """
    held: list[Record] = []
    faults: list[SourceFault] = []
    number = start = end = before = 0
    broken: SourceFault | None = None

    def block() -> Block:
        nonlocal number, start, before
        for fault in faults:
            fault.line -= before
        lines = [record.line - before for record in held]
        columns = [record.column for record in held]
        plain = all(column == 1 for column in columns)
        chunk = Chunk([record.text for record in held], lines, None if plain else columns, tuple(faults))
        made = Block(source, number, start, end, chunk)
        number, start = number + 1, end
        before = held[-1].line if held else before
        held.clear()
        faults.clear()
        return made

    try:
        for record in records:
            if isinstance(record, SourceFault):
                faults.append(record)
                continue
            held.append(record)
            end += len(record.text)
            if end - start >= size:
                yield block()
    except SourceFault as fault:
        broken = fault
    if held or faults:
        yield block()
    if broken is not None:
        raise broken


def parts(chunk: Chunk | None, records: int) -> Iterator[Chunk]:
    """A chunk as several of at most ``records`` records; its faults come with the first."""
    if chunk is None:
        raise ValueError("a block of a source that is read in order has its records inside")
    faults = chunk.faults
    for start in range(0, max(len(chunk.texts), 1), records):
        part = slice(start, start + records)
        columns = None if chunk.columns is None else chunk.columns[part]
        yield Chunk(chunk.texts[part], chunk.lines[part], columns, faults)
        faults = ()
