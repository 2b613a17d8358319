"""Sources read through, each by its plan, by one process or several; and single records read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunestack.dataset.duplicates import PLAIN_ROWS
from tunestack.dataset.findings import Finding
from tunestack.dataset.processes import ONE_PROCESS_BYTES, InOrder, available_processes, in_order
from tunestack.dataset.report import Report
from tunestack.dataset.rules import Ledger
from tunestack.dataset.scan import BlockReport, Record, Scan, ScanPlan, scan_block
from tunestack.dataset.sources.source import (
    BLOCK_BYTES,
    Block,
    Source,
    SourceDigests,
    SourceFault,
)


class Reading(msgspec.Struct):
    """A source to be read by a plan; ``digests`` is None until it has been, or where it cannot be."""

    plan: ScanPlan
    scan: Scan
    digests: SourceDigests | None = None

    @property
    def source(self) -> Source:
        """What is read."""
        return self.scan.source

    def report(self, part: str) -> Report:
        """What the scan found and counted, as of the part with this name."""
        scan = self.scan
        if not scan.records and not scan.counts:
            message, fix = "the file has no rows", "write at least one record"
            scan.add(Finding(self.source.name, 0, 0, "no-rows", "", message, fix))
        report = Report(scan.findings, scan.counts, {part: scan.statistics})
        if self.digests is not None:
            report.sources.append(self.digests)
        return report

    def ledger(self) -> Ledger:
        """Where the rows went; those that went out are counted by whoever knows what else is dropped."""
        scan = self.scan
        return Ledger(scan.rows_in, 0, scan.dropped, scan.repaired, scan.truncated)


class _Piece(NamedTuple):
    """A block to be scanned, or a whole source to be digested: the one piece of work that reads it in order."""

    reading: int
    work: Block | Source


def read_all(
    readings: Sequence[Reading], processes: int | InOrder | None = None, block_bytes: int | None = None
) -> None:
    """Scan and digest all sources. Raises OSError and TunestackError as the sources do.

    ``processes``: None for as many as there are processors, or this one alone where that is faster; or whatever else
    does the pieces of work.
    """
    faults: dict[int, SourceFault] = {}
    pieces = _pieces(readings, block_bytes or BLOCK_BYTES, faults)
    if processes is None:
        first, size = [], 0
        for piece in pieces:
            first.append(piece)
            size += piece.work.end - piece.work.start if isinstance(piece.work, Block) else 0
            if size >= ONE_PROCESS_BYTES:
                processes = available_processes()
                break
        pieces = chain(first, pieces)
    work = partial(_done, [reading.plan for reading in readings])
    done = processes(work, pieces) if callable(processes) else in_order(work, pieces, processes or 1)
    begun = 0
    for number, result in done:
        begun = _begin(readings, begun, number + 1)
        if isinstance(result, BlockReport):
            readings[number].scan.fold(result)
            if len(readings[number].scan.rows) > PLAIN_ROWS:
                import numpy  # noqa: F401 - needed later for sure, and now other processes are at work
        else:
            readings[number].digests = result
    _begin(readings, begun, len(readings))
    for number, fault in faults.items():
        readings[number].scan.add_fault(fault)


def _begin(readings: Sequence[Reading], begun: int, end: int) -> int:
    """Note where the rows of each source begin; sources are read in their order."""
    for reading in readings[begun:end]:
        reading.scan.rows.starts.append(len(reading.scan.rows))
    return max(begun, end)


def _pieces(
    readings: Sequence[Reading], block_bytes: int, faults: dict[int, SourceFault]
) -> Iterator[_Piece]:
    for number, reading in enumerate(readings):
        if not reading.plan.quick:
            yield _Piece(number, reading.source)
        try:
            for block in reading.source.blocks(block_bytes):
                yield _Piece(number, block)
        except SourceFault as fault:
            faults[number] = fault


def _done(plans: Sequence[ScanPlan], piece: _Piece) -> tuple[int, BlockReport | SourceDigests | None]:
    number, work = piece
    if isinstance(work, Block):
        return number, scan_block(plans[number], work)
    try:
        return number, work.digests()
    except SourceFault:  # its blocks tell of it
        return number, None


def records_again(scan: Scan, wanted: Iterable[int], block_bytes: int | None = None) -> Iterator[Record]:
    """The records with these numbers, in their order."""
    numbers = sorted(set(wanted))
    at = 0
    ends = [*(first for first, _ in scan.blocks[1:]), scan.records]
    if not numbers:
        return
    for block, (first, lines), end in zip(
        scan.source.blocks(block_bytes or BLOCK_BYTES), scan.blocks, ends, strict=False
    ):
        if numbers[at] < end:
            number = first
            for chunk in scan.source.chunks(block):
                while numbers[at] < number + len(chunk.texts):
                    row = numbers[at] - number
                    column = 1 if chunk.columns is None else chunk.columns[row]
                    yield Record(numbers[at], chunk.texts[row], lines + chunk.lines[row], column)
                    at += 1
                    if at == len(numbers):
                        return
                number += len(chunk.texts)
                if numbers[at] >= end:
                    break


def reason(file: str | Path, error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return f"{file} does not exist"
    if isinstance(error, UnicodeDecodeError):
        return f"{file} is not UTF-8"
    return f"{file} cannot be read: {(error.strerror or type(error).__name__).lower()}"
