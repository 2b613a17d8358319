"""Which objects, and which parts of them, the resources of the running update keep.

A renamed or forcibly replaced resource takes over the object of its predecessor, whose delete then comes last and
must leave alone what the successor holds; also where the successor is another provider process's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from tunestack.provider.process_locks import Marks


class Keepers:
    """Objects by id, and parts of them by a name of the resource's own."""

    def __init__(self, marks: Marks, token: str) -> None:
        self._marks = marks
        self._token = token
        self._kept_by: dict[str, frozenset[tuple[str, ...]]] = {}
        self._keepers: Counter[tuple[str, ...]] = Counter()

    def seen(self, id_: str, urn: str, parts: Collection[str] | None) -> None:
        """``urn`` keeps ``parts`` of the object ``id_`` and nothing else; None: it keeps nothing."""
        before = self._kept_by.pop(urn, frozenset())
        if parts is not None:
            now = frozenset({self._mark(id_), *(self._mark(id_, part) for part in parts)})
            self._kept_by[urn] = now
            self._keepers.update(now)
            for mark in now:
                self._marks.set(*mark)
        self._keepers.subtract(before)
        for mark in before:
            if not self._keepers[mark]:
                self._marks.clear(*mark)

    def kept(self, id_: str) -> bool:
        """Whether anything keeps the object."""
        return self._mark(id_) in self._marks

    def parts_kept(self, id_: str, parts: Collection[str]) -> frozenset[str]:
        """Which of these parts of it are kept."""
        return frozenset(part for part in parts if self._mark(id_, part) in self._marks)

    def _mark(self, *name: str) -> tuple[str, ...]:
        return ("kept", self._token, *name)
