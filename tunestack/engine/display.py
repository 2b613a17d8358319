"""Showing an operation while it runs: lines for logs, a live tree for terminals, JSON for machines.

Displays are given the engine's events (`tunestack.engine.run`'s ``on_event``) and closed at the end::

    with create_display(Operation.UP, "dev", sys.stdout) as display:
        result = await run(Operation.UP, options, display.event)
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunestack.engine.options import Operation, OperationResult
from tunestack.engine.rendering import STYLES, difference_lines, short_difference, step_lines, value_lines

REFRESHES_A_SECOND: Final = 8
HEARTBEAT_SECONDS: Final = 30.0  # between two progress lines of one resource where there is no terminal

_VERBS: Final = {
    "create": ("creating", "created"),
    "update": ("updating", "updated"),
    "delete": ("deleting", "deleted"),
    "replace": ("replacing", "replaced"),
    "create-replacement": ("creating replacement", "created replacement"),
    "delete-replaced": ("deleting original", "deleted original"),
    "read": ("reading", "read"),
    "read-replacement": ("reading for replacement", "read for replacement"),
    "refresh": ("refreshing", "refreshed"),
    "import": ("importing", "imported"),
    "import-replacement": ("importing replacement", "imported replacement"),
    "discard": ("discarding", "discarded"),
    "same": ("", ""),
}
_SYMBOLS: Final = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "replace": "+-",
    "create-replacement": "++",
    "delete-replaced": "--",
    "read": ">",
    "refresh": "~",
    "import": "=",
    "discard": "<",
}
_SUMMARY: Final = (  # op, symbol, to do, done
    ("create", "+", "create", "created"),
    ("import", "=", "import", "imported"),
    ("update", "~", "update", "updated"),
    ("replace", "+-", "replace", "replaced"),
    ("delete", "-", "delete", "deleted"),
    ("read", ">", "read", "read"),
)
_HEADINGS: Final = {
    Operation.PREVIEW: "Previewing update",
    Operation.UP: "Updating",
    Operation.REFRESH: "Refreshing",
    Operation.DESTROY: "Destroying",
    Operation.IMPORT: "Importing",
}
_FRACTION: Final = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s?%")


WIDTH_FOR_WHOLE_TYPES = 170
"""Columns from which on the tree has room for ``gcp:storage:Bucket`` beside the progress of a job."""


@dataclass
class Row:
    """One resource on the screen."""

    urn: str
    type: str
    name: str
    parent: str
    op: str = "same"
    state: str = "waiting"  # waiting | running | done | failed
    began: float = 0.0
    ended: float = 0.0
    difference: str = ""
    message: str = ""
    fraction: float | None = None
    diagnostics: list[tuple[str, str]] = field(default_factory=list)

    def elapsed(self, now: float) -> float:
        return (self.ended or now) - self.began if self.began else 0.0

    def status(self, now: float, preview: bool) -> str:
        running, done = _VERBS.get(self.op, (self.op, self.op))
        if preview:
            return self.op if self.op != "same" else ""
        if self.state == "failed":
            return f"**{running} failed**"
        if self.op == "same":
            return ""
        return f"{running if self.state == 'running' else done} ({seconds(self.elapsed(now))})"


def short_type(type_: str) -> str:
    """``gcp:storage:Bucket`` for ``gcp:storage/bucket:Bucket``, as the CLI."""
    package, _, rest = type_.partition(":")
    module, separator, name = rest.partition(":")
    return f"{package}:{module.partition('/')[0]}:{name}" if separator else type_


def seconds(duration: float) -> str:
    """``0.04s``, ``7s``, ``2m05s``."""
    if duration < 1:
        return "0s" if duration < 0.005 else f"{duration:.2f}s"
    whole = int(duration + 0.5)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02d}s"


class Model:
    """What the events so far come to; the displays only draw it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.rows: dict[str, Row] = {}
        self.notes: list[tuple[str, str]] = []  # severity, text of messages about no resource
        self.outputs: tuple[dict[str, Any], dict[str, Any]] | None = None  # before, after
        self.summary: dict[str, Any] = {}

    def take(self, event: Mapping[str, Any]) -> tuple[str, Row | None]:
        """Take in one event; returns what kind it was and the row it changed."""
        if "resourcePreEvent" in event:
            return "begin", self._begin(event["resourcePreEvent"]["metadata"])
        if "resOutputsEvent" in event:
            return "done", self._end(event["resOutputsEvent"]["metadata"], "done")
        if "resOpFailedEvent" in event:
            return "failed", self._end(event["resOpFailedEvent"]["metadata"], "failed")
        if "diagnosticEvent" in event:
            return self._diagnostic(event["diagnosticEvent"])
        if "summaryEvent" in event:
            self.summary = event["summaryEvent"]
            return "summary", None
        return "", None

    def _row(self, metadata: Mapping[str, Any]) -> Row:
        urn = metadata["urn"]
        if urn not in self.rows:
            state = metadata.get("new") or metadata.get("old") or {}
            type_ = short_type(metadata["type"])
            self.rows[urn] = Row(urn, type_, urn.split("::", 3)[3], state.get("parent", ""))
        return self.rows[urn]

    def _begin(self, metadata: Mapping[str, Any]) -> Row:
        row = self._row(metadata)
        row.op, row.state, row.began, row.ended = metadata["op"], "running", self._clock(), 0.0
        row.difference = short_difference(metadata) or row.difference
        return row

    def _end(self, metadata: Mapping[str, Any], state: str) -> Row:
        row = self._row(metadata)
        if row.state != "failed":
            # Once the original is gone, what happened to the resource is that it was replaced.
            row.op = "replace" if metadata["op"] == "delete-replaced" else metadata["op"]
            row.state = state
        row.ended = self._clock()
        row.fraction = None
        if metadata["type"] == "pulumi:pulumi:Stack" and metadata.get("new") and metadata["op"] != "delete":
            before = (metadata.get("old") or {}).get("outputs") or {}
            self.outputs = (before, metadata["new"]["outputs"])
        return row

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> tuple[str, Row | None]:
        severity = diagnostic["severity"]
        if severity == "debug":
            return "", None
        text = (diagnostic.get("prefix", "") + diagnostic["message"]).rstrip()
        row = self.rows.get(diagnostic.get("urn", ""))
        if row is None:
            if text and not diagnostic.get("ephemeral"):
                self.notes.append((severity, text))
            return "note", None
        row.message = text.splitlines()[0] if text else ""
        found = _FRACTION.search(text)
        row.fraction = min(float(found[1].replace(",", ".")) / 100, 1.0) if found else None
        if diagnostic.get("ephemeral"):
            return "progress", row
        row.diagnostics.append((severity, text))
        return "message", row


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
        heading = _HEADINGS[operation]
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
                yield _indented(text, severity)
            yield Text("")
        for severity, text in self._model.notes:
            yield _indented(text, severity, 2)
        if self._model.notes:
            yield Text("")

    def _outputs(self) -> Iterator[Text]:
        if self._model.outputs is None:
            return
        before, after = self._model.outputs
        if not before and not after:
            return
        yield Text("Outputs:", style="bold")
        if before and before != after:
            yield from difference_lines(before, after, 4)
            unchanged = {key: value for key, value in after.items() if before.get(key) == value}
            yield from value_lines(unchanged, 4)
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


def _indented(text: str, severity: str, indent: int = 4) -> Text:
    style = {"error": "red", "warning": "yellow"}.get(severity, "")
    return Text("\n".join(" " * indent + line for line in text.splitlines()), style=style)


class LineDisplay(TextDisplay):
    """Plain lines, one for each thing that happens: what a log keeps. Progress is rate-limited."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._spoken: dict[str, float] = {}

    def event(self, event: Mapping[str, Any]) -> None:
        kind, row = self._model.take(event)
        if row is None:
            if kind == "note" and self._model.notes:
                severity, text = self._model.notes[-1]
                if "diagnosticEvent" in event and not event["diagnosticEvent"].get("ephemeral"):
                    self._print(_indented(text, severity, 4))
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
        if kind == "begin":
            self._spoken.pop(row.urn, None)
        self._print(self._line(row, with_message=kind in ("progress", "message", "failed")))

    def _line(self, row: Row, with_message: bool) -> Text:
        symbol = _SYMBOLS.get(row.op, " ")
        status = row.status(self._clock(), self._preview)
        info = "; ".join(part for part in (row.difference, row.message if with_message else "") if part)
        text = f" {symbol:<2} {row.type} {row.name} {status} {info}".rstrip()
        return Text(text, style="red" if row.state == "failed" else STYLES.get(row.op, ""))


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
                parts.append(_indented(text.splitlines()[-1], severity, 2))
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
            style = "red" if row.state == "failed" else STYLES.get(row.op, "dim")
            info = Text(row.difference, style="dim")
            if row.fraction is not None and row.state == "running" and not finished:
                info.append_text(_bar(row.fraction))
            if row.message and (row.state != "done" or not finished):
                info.append(
                    ("  " if info.plain else "") + row.message, style="red" if row.state == "failed" else ""
                )
            table.add_row(
                Text(_SYMBOLS.get(row.op, ""), style=style),
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


def create_display(
    operation: Operation,
    stack: str,
    stream: TextIO,
    *,
    color: str = "auto",
    interactive: bool | None = None,
    as_json: bool = False,
    preview_only: bool = False,
    suppress_outputs: bool = False,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Display:
    """The display that suits: a tree on a terminal, lines elsewhere, events or nothing with `as_json`.

    Args:
        operation: what is run; with `as_json` a preview shows nothing (print `preview_digest` at its end).
        stack: its name, for the heading.
        stream: where to.
        color: ``auto``, ``always`` or ``never``; ``NO_COLOR`` in the environment is respected by ``auto``.
        interactive: a live tree or not; None asks the stream.
        as_json: for machines.
        preview_only: of a refresh or destroy, only shown what it would do.
        suppress_outputs: leave the stack's outputs out, as the CLI's flag of that name does.
        environment: in place of ``os.environ``.
        clock: seconds, monotonic.
    """
    preview = operation is Operation.PREVIEW or preview_only
    if as_json:
        return SilentDisplay() if preview else JsonDisplay(stream)
    environment = os.environ if environment is None else environment
    terminal = stream.isatty()
    colored = color == "always" or (color == "auto" and terminal and not environment.get("NO_COLOR"))
    console = Console(
        file=stream,
        color_system=("truecolor" if color == "always" else "auto") if colored else None,
        force_terminal=True if color == "always" else None,
        no_color=not colored,
        highlight=False,
        markup=False,
    )
    live = terminal and environment.get("TERM") != "dumb" if interactive is None else interactive
    display = (TreeDisplay if live else LineDisplay)(operation, stack, console, clock, preview)
    display.suppress_outputs = suppress_outputs
    return display


def preview_digest(result: OperationResult) -> dict[str, Any]:
    """What ``pulumi preview --json`` prints."""
    digest: dict[str, Any] = {"config": result.configuration, "steps": result.steps}
    if result.diagnostics:
        digest["diagnostics"] = result.diagnostics
    digest["duration"] = int(result.duration_seconds * 1e9)
    digest["changeSummary"] = result.change_summary
    return digest


def render_steps(result: OperationResult) -> Text:
    """The steps in full, property by property, as ``pulumi preview --diff``."""
    lines = [line for step in result.steps if step["op"] != "same" for line in step_lines(step)]
    return Text("\n").join(lines)
