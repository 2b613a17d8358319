"""What joins two resources: an execution's events, a context's members, a context's children."""

from __future__ import annotations

from typing import Any

import orjson

from tunestack.emulator.database import Database

Json = dict[str, Any]


class Edges:
    """Directed edges of a ``kind`` between names, each at most once, in the order they were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, source: str, target: str, body: Json | None = None) -> None:
        """Join two names; nothing where they are joined already."""
        self._database.execute(
            "INSERT OR IGNORE INTO edge (kind, source, target, body) VALUES (?, ?, ?, ?)",
            kind,
            source,
            target,
            orjson.dumps(body or {}),
        )

    def remove(self, kind: str, source: str, target: str) -> None:
        self._database.execute(
            "DELETE FROM edge WHERE kind = ? AND source = ? AND target = ?", kind, source, target
        )

    def forget(self, name: str) -> None:
        """Remove every edge of ``name`` and of what lies under it."""
        for end in ("source", "target"):
            self._database.execute(
                f"DELETE FROM edge WHERE {end} = ? OR ({end} > ? AND {end} < ?)",  # noqa: S608
                name,
                f"{name}/",
                f"{name}0",
            )

    def targets(self, kind: str, source: str) -> list[str]:
        return self._names("target", "source", kind, source)

    def sources(self, kind: str, target: str) -> list[str]:
        return self._names("source", "target", kind, target)

    def bodies(self, kind: str, *, source: str = "", target: str = "") -> list[Json]:
        """What was said of the edges that leave ``source`` or arrive at ``target``."""
        column, name = ("source", source) if source else ("target", target)
        rows = self._database.execute(
            f"SELECT body FROM edge WHERE kind = ? AND {column} = ? ORDER BY sequence",  # noqa: S608
            kind,
            name,
        )
        return [orjson.loads(body) for (body,) in rows]

    def _names(self, wanted: str, given: str, kind: str, name: str) -> list[str]:
        rows = self._database.execute(
            f"SELECT {wanted} FROM edge WHERE kind = ? AND {given} = ? ORDER BY sequence",  # noqa: S608
            kind,
            name,
        )
        return [name for (name,) in rows]
