"""Plain lines: what a log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from tunestack.engine.display.model import SYMBOLS, Row
from tunestack.engine.display.properties import STYLES
from tunestack.engine.display.text import TextDisplay, indented

HEARTBEAT_SECONDS: Final = 30.0  # between two progress lines of one resource where there is no terminal


class LineDisplay(TextDisplay):
    """Plain lines, one for each thing that happens: what a log keeps. Progress is rate-limited."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._spoken: dict[str, float] = {}
        self._newest: dict[str, tuple[str, str]] = {}  # a component's end is told twice, for its outputs

    def event(self, event: Mapping[str, Any]) -> None:
        kind, row = self._model.take(event)
        if row is None:
            if kind == "note" and self._model.notes:
                severity, text = self._model.notes[-1]
                if "diagnosticEvent" in event and not event["diagnosticEvent"].get("ephemeral"):
                    self._print(indented(text, severity, 4))
            return
        if row.op == "same" and kind in ("begin", "done"):
            return
        if self._preview and kind != "done":
            return
        if kind == "progress":
            last = self._spoken.get(row.urn)
            if last is not None and self._clock() - last < HEARTBEAT_SECONDS:
                return
            self._spoken[row.urn] = self._clock()
        if kind in ("begin", "done"):
            if self._newest.get(row.urn) == (row.op, row.state):
                return
            self._newest[row.urn] = row.op, row.state
        if kind == "begin":
            self._spoken.pop(row.urn, None)
        self._print(self._line(row, with_message=kind in ("progress", "message", "failed")))

    def _line(self, row: Row, with_message: bool) -> Text:
        symbol = SYMBOLS.get(row.op, " ")
        status = row.status(self._clock(), self._preview)
        info = "; ".join(part for part in (row.difference, row.message if with_message else "") if part)
        text = f" {symbol:<2} {row.type} {row.name} {status} {info}".rstrip()
        return Text(text, style="red" if row.state == "failed" else STYLES.get(row.op, ""))
