"""How far a long check is, on a terminal. rich is imported only for a check that is long enough to be watched."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tunestack.dataset.processes import available_processes, in_order
from tunestack.dataset.sources.source import ONE_PROCESS_BYTES, Block

Work = TypeVar("Work")
Result = TypeVar("Result")


def watched(paths: Iterable[str | Path], processes: int | None) -> Watched | int | None:
    """What reads these files and shows how far it is; ``processes`` alone where nobody watches or it takes no time."""
    size = sum(path.stat().st_size for path in map(Path, paths) if path.is_file())
    if size < ONE_PROCESS_BYTES or not sys.stderr.isatty():
        return processes
    return Watched(size, processes or available_processes())


class Watched:
    """`processes.in_order` with a bar: the bytes that are done of all bytes, the speed, the time that is left."""

    def __init__(self, size: int, processes: int) -> None:
        self._size, self._processes = size, processes

    def __call__(self, function: Callable[[Work], Result], pieces: Iterable[Work], /) -> Iterator[Result]:
        """The results in order, as `in_order` gives them."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        sizes: deque[int] = deque()

        def counted() -> Iterator[Work]:
            for piece in pieces:
                sizes.append(_bytes(piece))
                yield piece

        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=self._size)
            for result in in_order(function, counted(), self._processes):
                bar.advance(task, sizes.popleft())
                yield result


def _bytes(piece: Any) -> int:
    """Bytes of a block; the work on a source as a whole goes along beside that."""
    work = getattr(piece, "work", None)
    return work.end - work.start if isinstance(work, Block) else 0
