"""Which objects, and which parts of them, the resources of the running update keep.

A renamed or forcibly replaced resource takes over the object of its predecessor, whose delete then comes last and
must leave alone what the successor holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection


class Keepers:
    """Object id → URN of the resource that keeps it → the parts that it keeps."""

    def __init__(self) -> None:
        self._held: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)

    def seen(self, id_: str, urn: str, parts: Collection[str] | None) -> None:
        """``urn`` keeps ``parts`` of the object ``id_`` and nothing else; None: it keeps nothing."""
        for holders in self._held.values():
            holders.pop(urn, None)
        if parts is not None:
            self._held[id_][urn] = frozenset(parts)

    def of(self, id_: str) -> tuple[bool, frozenset[str]]:
        """Whether anything keeps the object, and which parts of it."""
        holders = self._held.get(id_, {})
        return bool(holders), frozenset().union(*holders.values())
