"""JSON Lines: local files in byte ranges that any process can read, everything else in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tunestack.dataset.sources.content import Content, LocalFile, fault_of
from tunestack.dataset.sources.detection import refuse_other_than_json
from tunestack.dataset.sources.sequential import parts
from tunestack.dataset.sources.source import BLOCK_BYTES, Block, Chunk, SourceDigests


@dataclass(frozen=True)
class JsonLines:
    """Lines as they are, with their ends, blank ones too."""

    content: Content
    translated: bool = False

    @property
    def name(self) -> str:
        """As findings show it."""
        return self.content.name

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Of a local file byte ranges, else the lines themselves."""
        with self.content.open() as stream:
            refuse_other_than_json(stream.peek(4096)[:4096])
            if isinstance(self.content, LocalFile):
                end = self.content.path.stat().st_size
                for number, start in enumerate(range(0, end, size)):
                    yield Block(self, number, start, min(start + size, end))
                return
            number = start = lines = 0
            while texts := stream.readlines(size):
                fault = fault_of(stream)
                if fault and not texts[-1].endswith(b"\n"):
                    del texts[-1]  # it was cut off where the stream was: no defect of its own
                end = start + sum(map(len, texts))
                yield Block(self, number, start, end, Chunk(texts, range(1, len(texts) + 1)))
                number, start, lines = number + 1, end, lines + len(texts)
            if fault := fault_of(stream):
                fault.line = lines + 1
                raise fault

    def chunks(self, block: Block, records: int = 128) -> Iterator[Chunk]:
        """A block owns the lines that start in it, so that each line is in exactly one block."""
        if block.chunk is not None:
            yield from parts(block.chunk, records)
            return
        with self.content.open() as stream:
            if block.start:
                # The byte before the block tells whether a line starts with the block's first byte.
                stream.seek(block.start - 1)
                stream.readline()
            if stream.tell() >= block.end:
                return  # a line of an earlier block reaches over all of this one
            line = 1
            while texts := list(islice(stream, records)):
                at = stream.tell()
                if last := at >= block.end:
                    while (at := at - len(texts[-1])) >= block.end:
                        del texts[-1]
                yield Chunk(texts, range(line, line + len(texts)))
                line += len(texts)
                if last:
                    return

    def cell(self, line: int, path: str) -> int:
        """Unknown: the texts are the file's own, and columns within them mean something."""
        return 0

    def digests(self) -> SourceDigests:
        """Of the bytes as they lie there."""
        return self.content.digests()
