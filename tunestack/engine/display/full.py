"""Every change in full, property by property: ``--diff``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunestack.engine.display.properties import step_lines
from tunestack.engine.display.text import TextDisplay

_STACK = "pulumi:pulumi:Stack"


class FullDisplay(TextDisplay):
    """A step when it begins (of a refresh: when it is known what was found), under what it belongs to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._refreshing: set[str] = set()

    def event(self, event: Mapping[str, Any]) -> None:
        kind, _row = self._model.take(event)
        if kind == "begin":
            metadata = event["resourcePreEvent"]["metadata"]
            if metadata["op"] == "refresh":
                self._refreshing.add(metadata["urn"])
            elif metadata.get("logical") and (metadata["op"] != "same" or metadata["type"] == _STACK):
                self._show(metadata)
        elif kind == "done":
            metadata = event["resOutputsEvent"]["metadata"]
            if metadata["urn"] in self._refreshing and metadata["op"] != "same":
                self._refreshing.discard(metadata["urn"])
                self._show(metadata)

    def _show(self, metadata: Mapping[str, Any]) -> None:
        old, new = metadata.get("old") or {}, metadata.get("new") or {}
        lines = step_lines(
            metadata["op"],
            metadata["urn"],
            old,
            new,
            reasons=metadata.get("keys") or (),
            changed=metadata.get("diffs") or (),
            hidden=(new or old).get("hideDiffs") or (),
        )
        depth = self._depth((new or old).get("parent", ""))
        for line in lines:
            line.pad_left(4 * depth)
            self._print(line)

    def _depth(self, parent: str) -> int:
        """How many of its ancestors were heard of: what is deleted goes before what it belongs to."""
        row = self._model.rows.get(parent)
        return 0 if row is None else 1 + self._depth(row.parent)
