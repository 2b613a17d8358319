"""What every display of text shares: the events taken in, and the sections at the end."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from tunestack.engine.display.model import Model, seconds
from tunestack.engine.display.properties import STYLES, difference_lines, value_lines
from tunestack.engine.options import Operation

_SUMMARY: Final = (  # op, symbol, to do, done
    ("create", "+", "create", "created"),
    ("import", "=", "import", "imported"),
    ("update", "~", "update", "updated"),
    ("replace", "+-", "replace", "replaced"),
    ("delete", "-", "delete", "deleted"),
    ("read", ">", "read", "read"),
)
HEADINGS: Final = {
    Operation.PREVIEW: "Previewing update",
    Operation.UP: "Updating",
    Operation.REFRESH: "Refreshing",
    Operation.DESTROY: "Destroying",
    Operation.IMPORT: "Importing",
}


class Display(ABC):
    """Takes events, shows them, and prints what remains to be said at the end."""

    @abstractmethod
    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event, in the shape of ``pulumi up --json``."""

    def close(self) -> None:  # noqa: B027 - most displays have nothing left to say
        """The operation is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JsonDisplay(Display):
    """One event a line, as ``pulumi up --json``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._stream.flush()


class SilentDisplay(Display):
    """For a preview that prints its digest at the end."""

    def event(self, event: Mapping[str, Any]) -> None:
        pass


class TextDisplay(Display):
    """What lines and tree share: the model, and the sections at the end."""

    def __init__(
        self, operation: Operation, stack: str, console: Console, clock: Callable[[], float], preview: bool
    ) -> None:
        self._console = console
        self._clock = clock
        self._operation = operation
        self._preview = preview
        self.suppress_outputs = False
        self._model = Model(clock)
        self._began = clock()
        heading = HEADINGS[operation]
        if preview and operation is not Operation.PREVIEW:
            heading = f"Previewing {operation}"
        self._print(Text(f"{heading} ({stack}):", style="bold"))

    def _print(self, *parts: RenderableType) -> None:
        for part in parts:
            self._console.print(part, soft_wrap=True, markup=False, highlight=False)

    def close(self) -> None:
        for section in self._ending():
            self._print(section)

    def _ending(self) -> Iterator[Text]:
        yield from self._diagnostics()
        if not self.suppress_outputs:
            yield from self._outputs()
        yield from self._resources()

    def _diagnostics(self) -> Iterator[Text]:
        spoken = [row for row in self._model.rows.values() if row.diagnostics]
        if not spoken and not self._model.notes:
            return
        yield Text("Diagnostics:", style="bold")
        for row in spoken:
            yield Text(f"  {row.type} ({row.name}):", style="cyan")
            for severity, text in row.diagnostics:
                yield indented(text, severity)
            yield Text("")
        for severity, text in self._model.notes:
            yield indented(text, severity, 2)
        if self._model.notes:
            yield Text("")

    def _outputs(self) -> Iterator[Text]:
        if self._model.outputs is None:
            return
        before, after = self._model.outputs
        if not (before or after) or (before == after and (self._preview or not after)):
            return
        yield Text("Outputs:", style="bold")
        if before:
            yield from difference_lines(before, after, 4, aligned=True, unchanged=not self._preview)
        else:
            yield from value_lines(after, 4)
        yield Text("")

    def _resources(self) -> Iterator[Text]:
        changes: dict[str, int] = self._model.summary.get("resourceChanges", {})
        yield Text("Resources:", style="bold")
        kinds = 0
        for op, symbol, to_do, done in _SUMMARY:
            if changes.get(op):
                kinds += 1
                words = f"to {to_do}" if self._preview else done
                yield Text(f"    {symbol:<2}{changes[op]} {words}", style=STYLES.get(op, ""))
        failed = sum(row.state == "failed" for row in self._model.rows.values())
        if failed:
            yield Text(f"    {failed} errored", style="red")
        same = changes.get("same", 0)
        if same:
            changed = sum(changes.get(op, 0) for op, *_ in _SUMMARY)
            lead = f"{changed} changes. " if kinds > 1 else ""
            yield Text(f"    {lead}{same} unchanged")
        yield Text("")
        if not self._preview:
            yield Text(f"Duration: {seconds(max(self._clock() - self._began, 1))}", style="bold")


def indented(text: str, severity: str, indent: int = 4) -> Text:
    style = {"error": "red", "warning": "yellow"}.get(severity, "")
    return Text("\n".join(" " * indent + line for line in text.splitlines()), style=style)
