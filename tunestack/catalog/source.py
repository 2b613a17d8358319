"""Where a fact comes from and when it was last held against that source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Source:
    """``where`` is a document or package; ``checked`` the day; ``verified`` False = from a secondary source only."""

    where: str
    checked: date
    verified: bool = True
