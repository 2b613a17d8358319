"""How watched jobs are shown: a live table on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.live import Live

    from tunestack.cli.jobs import JobRow
    from tunestack.provider.resource import RowLog


class Display(Protocol):
    """What following jobs tells."""

    def rows(self, all_: Sequence[JobRow], changed: JobRow) -> None:
        """The rows as they are now, and the one that is new."""
        ...

    def row(self, name: str) -> RowLog:
        """Takes the lines on one job: states and heartbeats that stay, progress that the next line replaces."""
        ...


@contextmanager
def show(stream: TextIO, *, as_json: bool) -> Iterator[Display]:
    """The display that suits ``stream``."""
    if as_json:
        yield JsonLines(stream)
    elif not stream.isatty():
        yield Lines(stream)
    else:
        from rich.live import Live

        from tunestack.cli.terminal import console

        with Live(console=console(), refresh_per_second=4) as live:
            yield LiveTable(live)


@dataclass
class _Row:
    """The lines on one job, as far as they stay."""

    stream: TextIO | None
    name: str

    async def status(self, message: str) -> None:
        """What passes is only for those who look."""

    async def info(self, message: str) -> None:
        if self.stream is not None:
            print(f"{self.name}: {message}", file=self.stream, flush=True)

    warning = info


class Lines:
    """A line for each change of state and each heartbeat, and what is wrong with a job that cannot be followed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[str, str] = {}

    def rows(self, all_: Sequence[JobRow], changed: JobRow) -> None:
        """Only what no other line says: an error, the reason of a red end."""
        words = changed.error or (changed.progress if changed.state == "FAILED" else "")
        if words and self._said.get(changed.name) != words:
            self._said[changed.name] = words
            print(f"{changed.name}: {changed.state}: {words}", file=self._stream, flush=True)

    def row(self, name: str) -> RowLog:
        """See ``Display.row``."""
        return _Row(self._stream, name)


class JsonLines:
    """A job's whole row, one JSON document a line, whenever it changed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[tuple[str, str], JobRow] = {}

    def rows(self, all_: Sequence[JobRow], changed: JobRow) -> None:
        """See ``Display.rows``."""
        key = (changed.kind, changed.name)
        if self._said.get(key) != changed:
            self._said[key] = changed
            print(json.dumps(changed.as_json()), file=self._stream, flush=True)

    def row(self, name: str) -> RowLog:
        """See ``Display.row``."""
        return _Row(None, name)


class LiveTable:
    """All jobs as a table that is drawn anew."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def rows(self, all_: Sequence[JobRow], changed: JobRow) -> None:
        """See ``Display.rows``."""
        from tunestack.cli.jobs import table

        self._live.update(table(all_))

    def row(self, name: str) -> RowLog:
        """See ``Display.row``: the table says it."""
        return _Row(None, name)
