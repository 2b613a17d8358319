"""How far a long check is, on a terminal. rich is imported only for a check that is long enough to be watched."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from tunestack.dataset.processes import ONE_PROCESS_BYTES, Crew, InOrder, available_processes

Work = TypeVar("Work")
Result = TypeVar("Result")


@contextmanager
def at_work(paths: Iterable[str | Path], processes: int | None) -> Iterator[InOrder | int | None]:
    """What reads these files, begun at once; on a terminal it shows how far it is. ``processes`` where that is soon."""
    size = sum(path.stat().st_size for path in map(Path, paths) if path.is_file())
    if size < ONE_PROCESS_BYTES:
        yield processes
        return
    count = processes or available_processes()
    if count > 1:
        from tunestack.dataset import check  # noqa: F401 - once for all of them, before they are copies of this one
    with _crew(count) if count > 1 else nullcontext(map) as in_order:
        yield Watched(size, in_order) if sys.stderr.isatty() else in_order


def _crew(processes: int) -> Crew:
    import threading

    return Crew(processes, fork=hasattr(os, "fork") and threading.active_count() == 1)


class Watched:
    """What works with a bar: the bytes that are done of all bytes, the speed, the time that is left."""

    def __init__(self, size: int, in_order: InOrder) -> None:
        self._size, self._in_order = size, in_order

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
            for result in self._in_order(function, counted()):
                bar.advance(task, sizes.popleft())
                yield result


def _bytes(piece: Any) -> int:
    """Bytes of a block; the work on a source as a whole goes along beside that."""
    work = getattr(piece, "work", None)
    return getattr(work, "end", 0) - getattr(work, "start", 0)
