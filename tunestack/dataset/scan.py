"""One pass over a file: each block gives a report, and reports are folded in the order of the blocks.

Nothing that a fold yields depends on which process did which block, or on where the file was cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tunestack.dataset.findings import Finding
from tunestack.dataset.sources.source import Block
from tunestack.dataset.statistics import Statistics


@dataclass(frozen=True)
class ScanPlan:
    """What to do with each record; picklable, sent once to each process.

    Either the texts are finished lines of ``format``, or records that ``recipe`` (see render.py) renders to it.
    """

    format: str
    spool: Path | None = (
        None  # the folder that compiled lines go to, one file a block; None: they are not kept
    )


@dataclass
class BlockReport:
    """What one block gave. Lines count from 1 within the block.

    ``findings``: the first 1,000 of each code; ``counts``: all of them. ``rows`` holds for each good row three
    unsigned 64-bit integers, as bytes: hash of the prompt, hash of the answer, line.
    """

    number: int
    lines: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statistics: Statistics = field(default_factory=Statistics)
    rows: bytes = b""
    repaired: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def scan_block(plan: ScanPlan, block: Block) -> BlockReport:
    """Read, check and count the records of one block; pure but for reading the source and writing the spool."""
    raise NotImplementedError
