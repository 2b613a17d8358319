"""What the events of an operation come to, so far: the displays only draw it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tunestack.engine.display.properties import short_difference

VERBS: Final = {  # op: planned, under way, done; the CLI's words
    "create": ("create", "creating", "created"),
    "update": ("update", "updating", "updated"),
    "delete": ("delete", "deleting", "deleted"),
    "replace": ("replace", "replacing", "replaced"),
    "create-replacement": ("create replacement", "creating replacement", "created replacement"),
    "delete-replaced": ("delete original", "deleting original", "deleted original"),
    "read": ("read", "reading", "read"),
    "read-replacement": ("read for replacement", "reading for replacement", "read for replacement"),
    "refresh": ("refresh", "refreshing", "refreshed"),
    "import": ("import", "importing", "imported"),
    "import-replacement": ("import replacement", "importing replacement", "imported replacement"),
    "discard": ("discard", "discarding", "discarded"),
    "discard-replaced": ("discard original", "discarding original", "discarded original"),
    "same": ("", "", ""),
}
SYMBOLS: Final = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "replace": "+-",
    "create-replacement": "++",
    "delete-replaced": "--",
    "read": ">",
    "read-replacement": ">>",
    "refresh": "~",
    "import": "=",
    "import-replacement": "=>",
    "discard": "<",
    "discard-replaced": "<<",
}
_STACK: Final = "pulumi:pulumi:Stack"
_FRACTION: Final = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s?%")


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

    @property
    def whole_op(self) -> str:
        """Once the original is gone, what happened to the resource is that it was replaced."""
        return "replace" if self.op == "delete-replaced" and self.state == "done" else self.op

    def status(self, now: float, preview: bool) -> str:
        planned, running, done = VERBS.get(self.op, (self.op,) * 3)
        if preview:
            return planned
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
        self._stack = ""  # its URN
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
            if type_ == _STACK:
                self._stack = urn
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
            row.op, row.state = metadata["op"], state
        row.ended = self._clock()
        row.fraction = None
        row.difference = short_difference(metadata) or row.difference  # of a refresh it is only known now
        if metadata["type"] == _STACK:
            old, new = metadata.get("old") or {}, metadata.get("new") or {}
            self.outputs = (old.get("outputs") or {}, new.get("outputs") or {})
        return row

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> tuple[str, Row | None]:
        severity = diagnostic["severity"]
        if severity == "debug":
            return "", None
        text = (diagnostic.get("prefix", "") + diagnostic["message"]).rstrip()
        # What is about no resource is about the stack, once it is there.
        row = self.rows.get(diagnostic.get("urn") or self._stack)
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
