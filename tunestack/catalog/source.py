"""Where a fact comes from and when it was last held against that source."""

from __future__ import annotations

from datetime import date

import msgspec


class Source(msgspec.Struct, frozen=True):
    """``where`` is a document or package; ``checked`` the day; ``verified`` False = from a secondary source only."""

    where: str
    checked: date
    verified: bool = True
