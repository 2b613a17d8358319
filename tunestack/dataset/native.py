"""Good lines accepted in C++, where the package `tunestack-native` is installed (native/README.md).

What it does not accept goes the way of all lines, so that the two ways can only differ in speed; differential
fuzzing holds them to it (tests/unit/dataset/test_native.py).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple

from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.supervised import Line, Supervised
from tunestack.dataset.sources.content import LocalFile
from tunestack.dataset.sources.json_lines import JsonLines
from tunestack.dataset.sources.source import Block, Chunk
from tunestack.dataset.statistics import MOST_LABELS, Statistics

if TYPE_CHECKING:
    from tunestack.dataset.scan import BlockReport, ScanPlan, Tally

# Bytes of lines that are accepted in one go: they and what becomes of them stay in the cache.
_PIECE_BYTES = 128 << 10


@cache
def _module() -> Any:
    try:
        return import_module("tunestack_native")
    except ImportError:
        return None


def native_lines(plan: ScanPlan) -> NativeLines | None:
    """None where the package is missing, or the plan asks of each row what only Python can tell."""
    if _module() is None or not isinstance(FORMATS[plan.format], Supervised):
        return None
    counted = plan.tokens is not None and plan.tokens.tokenizer is not None
    looked_at = (
        plan.recipe or plan.columns or plan.labels or plan.instruction or plan.personal_data or plan.spool
    )
    return None if counted or looked_at else NativeLines(plan)


class NativeLines:
    """Reads the lines of blocks, counts those that are good, and gives back the others."""

    def __init__(self, plan: ScanPlan) -> None:
        self._quick = plan.quick
        self._longest = (sys.maxsize,) * 3 if plan.tokens is None else plan.tokens.proved_bytes

    def chunks(self, block: Block, report: BlockReport, tally: Tally) -> Iterator[Chunk] | None:
        """The lines that are not accepted, one at a time; None for blocks that are no range of a file.

        Before one is given out, all before it are in the report.
        """
        source = block.source
        if not (
            block.chunk is None and isinstance(source, JsonLines) and isinstance(source.content, LocalFile)
        ):
            return None
        return self._others(source, block, report, tally)

    def _others(self, source: JsonLines, block: Block, report: BlockReport, tally: Tally) -> Iterator[Chunk]:
        from tunestack.dataset.split import SPLIT_KEY

        acceptor = _module().Acceptor(*Line.__struct_fields__, SPLIT_KEY, MOST_LABELS, self._longest)
        with source.content.open() as stream:
            for piece in pieces(stream, block.start, block.end, _module().PADDING):
                at = 0
                while at < piece.end:
                    at, count = acceptor.accept(piece.buffer, at, piece.end)
                    if count:
                        prompts, answers = acceptor.take_hashes()
                        if not self._quick:
                            tally.extend(prompts, answers, range(report.records, report.records + count))
                        report.records += count
                        report.rows_in += count
                        report.lines += count
                    if at < piece.end:
                        stop = piece.buffer.find(b"\n", at, piece.end) + 1 or piece.end
                        yield Chunk([bytes(piece.buffer[at:stop])], [report.lines + 1])
                        at = stop
        rows, size, prompt_lengths, answer_lengths, labels = acceptor.totals()
        if self._quick:
            report.statistics.rows += rows
            return
        lengths = {"prompt": Counter(prompt_lengths), "answer": Counter(answer_lengths)} if rows else {}
        tally.count(Statistics(rows, size, lengths, None if labels is None else Counter(labels)))


class _Piece(NamedTuple):
    buffer: bytearray
    end: int


def pieces(stream: BufferedReader, start: int, end: int, padding: int) -> Iterator[_Piece]:
    """The lines that begin in bytes [start, end), as whole lines in one buffer that is used again for each piece.

    After the lines of a piece the buffer has ``padding`` more bytes. Growing it for long lines is all that allocates.
    """
    if start:  # the byte before tells whether a line begins with the first byte
        stream.seek(start - 1)
        stream.readline()
    at = stream.tell()  # of the first byte of the buffer
    buffer, kept = bytearray(_PIECE_BYTES + padding), 0
    while at < end:
        with memoryview(buffer) as view:
            read = stream.readinto(view[kept : len(buffer) - padding])
        size = kept + read
        # The last line of the block is the one that has its last byte.
        stop = 0 if at + size < end else buffer.find(b"\n", end - 1 - at, size) + 1
        stop = stop or (buffer.rfind(b"\n", 0, size) + 1 if read else size)
        if stop:
            yield _Piece(buffer, stop)
            buffer[: size - stop] = buffer[stop:size]
            at, kept = at + stop, size - stop
        elif read:
            kept = size
            buffer.extend(bytes(len(buffer)))
        if not read:
            return
