"""A dataset folder, read once: everything that is wrong with it, and its rows compiled and waiting in files.

What `check_dataset` reports and what `compile_dataset` writes comes from here, so that a check that is green and a
compilation that is refused cannot be.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunestack.dataset.report import Report
    from tunestack.spec.dataset import DatasetSpec


@dataclass
class ExaminedPart:
    """The rows of one part that are fit to be written; rows that `rules.drop` leaves out are in none of these.

    ``name``: `records` (train and validation, still to be split), `held-out-<set>`; with `existing` `train` and
    `validation`; for embedding `queries`, `corpus`, `train-labels`, `test-labels`.
    """

    name: str
    rows: int = 0

    def lines(self) -> Iterator[bytes]:
        """The compiled lines with their line feeds, in the order of the records. Only where a spool was given."""
        raise NotImplementedError

    def prompt_hashes(self) -> array[int]:
        """`split.prompt_hash` of each row, in the order of `lines`: an array("Q")."""
        raise NotImplementedError

    def strata(self) -> list[str] | None:
        """The text of the column `split.stratify` of each row, in the order of `lines`; None without it."""
        raise NotImplementedError


@dataclass
class Examined:
    """A dataset folder with everything that is wrong with it; to be compiled only if that is nothing.

    ``report`` has the findings, the digests of the sources and the ledger (all parts together, dropped duplicates
    counted). Its statistics are by part as the parts are named here: of `train` and `validation` whoever splits
    takes them (`scan.statistics_of`).
    """

    spec: DatasetSpec
    format: str
    report: Report
    parts: dict[str, ExaminedPart] = field(default_factory=dict)


def examine_dataset(
    folder: Path,
    spool: Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    processes: int | None = None,
    block_bytes: int | None = None,
) -> Examined:
    """Read, render and check every file of a dataset folder.

    ``spool`` is an empty folder that the compiled lines go to and that must outlive the result; None: they are not
    kept. ``format`` stands for the one in `dataset.yaml`. Raises TunestackError where `dataset.yaml` cannot be
    loaded; everything else that is wrong is in the report.
    """
    raise NotImplementedError
