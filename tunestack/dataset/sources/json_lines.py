"""JSON Lines: local files in byte ranges that any process can read, everything else in order."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader, BytesIO
from itertools import islice

import msgspec

from tunestack.dataset.sources.content import Content, LocalFile, fault_of
from tunestack.dataset.sources.detection import refuse_other_than_json
from tunestack.dataset.sources.sequential import CARRIED_BYTES, parts
from tunestack.dataset.sources.source import BLOCK_BYTES, Block, Chunk, SourceDigests, SourceFault

# A line that goes on for so long after its block is no record of any service; it would not fit the memory.
MOST_LINE_BYTES = 64 << 20
_PEEK_BYTES = 64 << 10


class JsonLines(msgspec.Struct, frozen=True):
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
                yield from self._ranges(stream, self.content.path.stat().st_size, size)
            else:
                yield from self._lines(stream, min(size, CARRIED_BYTES))

    def _ranges(self, stream: BufferedReader, bytes_: int, size: int) -> Iterator[Block]:
        for number, start in enumerate(range(0, bytes_, size)):
            end = min(start + size, bytes_)
            stream.seek(end - 1)
            for _ in range(0, MOST_LINE_BYTES, _PEEK_BYTES):
                # Whoever does the block reads on to the end of its last line, so that line has to end.
                if not (piece := stream.read(_PEEK_BYTES)) or b"\n" in piece:
                    break
            else:
                stream.seek(start)
                if before := stream.read(end - start).rfind(b"\n") + 1:
                    yield Block(self, number, start, start + before)
                stream.seek(0)
                raise _too_long(
                    1 + sum(stream.read(min(size, end - at)).count(b"\n") for at in range(0, end, size))
                )
            yield Block(self, number, start, end)

    def _lines(self, stream: BufferedReader, size: int) -> Iterator[Block]:
        number = start = lines = 0
        while piece := stream.read(size):
            piece += stream.readline(MOST_LINE_BYTES)
            texts = BytesIO(piece).readlines()
            too_long = len(piece) == size + MOST_LINE_BYTES and not piece.endswith(b"\n")
            if too_long or (fault_of(stream) and not piece.endswith(b"\n")):
                del texts[-1]  # it was cut off where the stream was: no defect of its own
            end = start + len(piece)
            yield Block(self, number, start, end, Chunk(texts, range(1, len(texts) + 1)))
            number, start, lines = number + 1, end, lines + len(texts)
            if too_long:
                raise _too_long(lines + 1)
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
                stream.readline(block.end - block.start + 1)
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


def _too_long(line: int) -> SourceFault:
    message = f"a line is longer than {MOST_LINE_BYTES >> 20} MiB"
    return SourceFault("not-json-lines", message, "one record a line: jq -c .", line)
