"""The live tree of a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunestack.engine.display.model import SYMBOLS, Row
from tunestack.engine.display.properties import STYLES
from tunestack.engine.display.text import TextDisplay, indented

REFRESHES_A_SECOND: Final = 8
WIDTH_FOR_WHOLE_TYPES: Final = 170
"""Columns from which on the tree has room for ``gcp:storage:Bucket`` beside the progress of a job."""


class TreeDisplay(TextDisplay):
    """A live tree: a row a resource under its parent, with status, time and the newest message."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = threading.Lock()  # the live view draws on a thread of its own
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=REFRESHES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def event(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            self._model.take(event)

    def close(self) -> None:
        self._live.stop()
        with self._lock:
            rows = [row for row in self._visible() if row.op != "same" or row.state == "failed"]
            if rows:
                self._console.print(self._table(self._with_parents(rows), finished=True))
                self._console.print()
        super().close()

    def _draw(self) -> RenderableType:
        with self._lock:
            rows = self._visible()
            room = max(self._console.size.height - 6, 8)
            hidden = 0
            if len(rows) > room:
                busy = [row for row in rows if row.state in ("running", "failed") and row.op != "same"]
                kept = self._with_parents(busy)[:room]
                hidden = len(rows) - len(kept)
                rows = kept
            parts: list[RenderableType] = [self._table(rows, finished=False)]
            if hidden:
                parts.append(Text(f"… and {hidden} more resources", style="dim"))
            for severity, text in self._model.notes[-3:]:
                parts.append(indented(text.splitlines()[-1], severity, 2))
            return Group(*parts)

    def _visible(self) -> list[Row]:
        return [row for row in self._model.rows.values() if not row.type.startswith("pulumi:providers:")]

    def _with_parents(self, rows: list[Row]) -> list[Row]:
        wanted = {row.urn for row in rows}
        for row in rows:
            parent = self._model.rows.get(row.parent)
            while parent is not None:
                wanted.add(parent.urn)
                parent = self._model.rows.get(parent.parent)
        return [row for row in self._model.rows.values() if row.urn in wanted]

    def _table(self, rows: list[Row], finished: bool) -> RenderableType:
        if not rows:
            return Text("    starting the program and its providers …", style="dim")
        now = self._clock()
        branches = list(_tree(rows))
        # Where room is short, the progress of what runs is worth more than the package of its type.
        narrow = self._console.width < WIDTH_FOR_WHOLE_TYPES
        types = [branch + (row.type.rpartition(":")[2] if narrow else row.type) for row, branch in branches]
        statuses = [row.status(now, self._preview) for row, _ in branches]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False)
        table.add_column("", no_wrap=True, width=2)
        for title, texts, most in (
            ("Type", types, 44),
            ("Name", [row.name for row, _ in branches], 26 if narrow else 44),
            ("Plan" if self._preview else "Status", statuses, 44),
        ):
            table.add_column(
                title, no_wrap=True, overflow="ellipsis", min_width=min(max(map(len, texts)), most)
            )
        table.add_column("Info", no_wrap=True, overflow="ellipsis", ratio=1)
        for (row, _), type_, status in zip(branches, types, statuses, strict=True):
            style = "red" if row.state == "failed" else STYLES.get(row.whole_op, "dim")
            info = Text(row.difference, style="dim")
            if row.fraction is not None and row.state == "running" and not finished:
                info.append_text(_bar(row.fraction))
            if row.message and (row.state != "done" or not finished):
                info.append(
                    ("  " if info.plain else "") + row.message, style="red" if row.state == "failed" else ""
                )
            table.add_row(
                Text(SYMBOLS.get(row.whole_op, ""), style=style),
                Text(type_),
                Text(row.name),
                Text(status, style=style),
                info,
            )
        return table


def _bar(fraction: float, width: int = 10) -> Text:
    filled = round(fraction * width)
    return Text("━" * filled, style="green").append("━" * (width - filled), style="dim")


def _tree(rows: list[Row]) -> Iterator[tuple[Row, str]]:
    """Rows, children under their parents, each with the branches to draw before it."""
    there = {row.urn for row in rows}
    children: dict[str, list[Row]] = {}
    for row in rows:
        children.setdefault(row.parent if row.parent in there else "", []).append(row)

    def walk(urn: str, lead: str, top: bool) -> Iterator[tuple[Row, str]]:
        below = children.get(urn, [])
        for index, row in enumerate(below):
            last = index == len(below) - 1
            yield row, "" if top else lead + ("└─ " if last else "├─ ")
            yield from walk(row.urn, "" if top else lead + ("   " if last else "│  "), False)

    yield from walk("", "", True)
