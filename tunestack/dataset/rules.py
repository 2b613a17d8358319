"""The rules of `dataset.yaml` by which a row is repaired, cut or left out, and the ledger that says how often.

Nothing else in a dataset is ever changed: what no rule names is refused. Rules are pure: from what a record holds to
what it becomes, and the names of the rules that changed anything.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import msgspec

from tunestack.dataset.findings import CODES

Repair = Literal["strip", "normalize", "byte-order-mark", "blank-line"]

# Findings about a file as a whole, or about more than the row where they stand: leaving that row out mends nothing.
_NOT_A_ROWS_OWN = {
    "allow-list",
    "byte-order-mark",
    "class-balance",
    "compression",
    "duplicate-id",
    "file-too-large",
    "file-unreadable",
    "generation",
    "no-rows",
    "not-json-lines",
    "split-too-large",
    "too-few-rows",
    "too-many-rows",
    "truncated-line",
    "unknown-id",
}
# What `rules.drop` can name. Of rows that repeat or contradict each other the first one stays.
DROPPABLE = frozenset(CODES) - _NOT_A_ROWS_OWN
# The keys of a turn that hold its text; a role is never cut or stripped into another one.
_TURN_TEXTS = ("content", "text")


class Amended(NamedTuple):
    """A record's values after the rules, and what was done: the repairs by rule, the columns that were cut."""

    values: dict[str, Any]
    repaired: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()


class Rules(msgspec.Struct, frozen=True):
    """`rules` of dataset.yaml; picklable. Without any, every row is taken as it is or refused."""

    drop: frozenset[str] = frozenset()
    truncate: Mapping[str, int] = msgspec.field(default_factory=dict)  # characters of a column that are kept
    repair: frozenset[str] = frozenset()

    @property
    def amend_values(self) -> bool:
        """Whether `amended` can change anything: where not, a scan need not call it."""
        return bool(self.truncate or self.repair & {"strip", "normalize"})

    def without_mark(self, text: bytes) -> bytes | None:
        """The first text of a file without its byte order mark; None where the rule or the mark is missing."""
        if "byte-order-mark" in self.repair and text.startswith(codecs.BOM_UTF8):
            return text[len(codecs.BOM_UTF8) :]
        return None

    def passes_blank(self, text: bytes) -> bool:
        """Whether the text is a blank line that a rule lets pass. Such a line is no record: no row is lost."""
        return "blank-line" in self.repair and (not text or text.isspace())

    def amended(self, values: dict[str, Any]) -> Amended:
        """The values of one record, stripped, then normalized, then cut. The given values stay as they are."""
        repaired = []
        for rule, change in _REPAIRS.items():
            if rule in self.repair:
                changed = {column: _changed(value, change) for column, value in values.items()}
                if changed != values:
                    values = changed
                    repaired.append(rule)
        truncated = []
        for column, length in self.truncate.items():
            if column in values:
                cut = _changed(values[column], itemgetter(slice(length)))
                if cut != values[column]:
                    values = {**values, column: cut}
                    truncated.append(column)
        return Amended(values, tuple(repaired), tuple(truncated))


def _normalized(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)


# In the order of application. Only NFC: it changes how a text is written and never what it says.
_REPAIRS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "normalize": _normalized,
}


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """A column's value with every text in it changed: itself, the items of a list, the contents of turns."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: change(each) if key in _TURN_TEXTS else each for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return value._replace(
            **{key: change(getattr(value, key)) for key in _TURN_TEXTS if hasattr(value, key)}
        )
    if isinstance(value, list | tuple):
        return type(value)(_changed(each, change) for each in value)
    return value  # a number, a truth value, nothing


class LedgerUnbalanced(Exception):
    """Rows that came in are neither rows that went out nor rows that a rule dropped: a fault of the program."""


class Ledger(msgspec.Struct):
    """What became of every row of a dataset, held-out rows included: rows_in = rows_out + everything dropped.

    ``dropped``: rows by the code that dropped them (a row with several counts once, for the first in the order of
    `rules.drop`'s findings); ``repaired``: rows by rule, for `blank-line` the lines that were passed over;
    ``truncated``: rows by column. Counters of zero are not kept.
    """

    rows_in: int = 0
    rows_out: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    repaired: Counter[str] = msgspec.field(default_factory=Counter)
    truncated: Counter[str] = msgspec.field(default_factory=Counter)

    def merge(self, other: Ledger) -> None:
        """Add another block's or file's counts to these."""
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.dropped.update(other.dropped)
        self.repaired.update(other.repaired)
        self.truncated.update(other.truncated)

    def balance(self) -> None:
        """Raise LedgerUnbalanced where a row is unaccounted for."""
        if self.rows_in != self.rows_out + self.dropped.total():
            raise LedgerUnbalanced(
                f"{self.rows_in} rows came in, {self.rows_out} went out, {self.dropped.total()} were dropped"
            )

    @property
    def untouched(self) -> bool:
        """Whether every row went out as it came in."""
        return not (self.dropped or self.repaired or self.truncated)

    def as_json(self) -> dict[str, Any]:
        """As reports and the lock file have it (docs/contracts.md §2). Raises LedgerUnbalanced."""
        self.balance()
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "dropped": dict(sorted(self.dropped.items())),
            "repaired": dict(sorted(self.repaired.items())),
            "truncated": dict(sorted(self.truncated.items())),
        }

    def sentence(self) -> str:
        """For people: `240 rows in, 238 out; 2 dropped (duplicate-row 2); …`."""
        parts = [f"{self.rows_in:,} rows in, {self.rows_out:,} out"]
        for verb, counter in (
            ("dropped", self.dropped),
            ("repaired", self.repaired),
            ("cut", self.truncated),
        ):
            if counter:
                told = ", ".join(f"{name} {number:,}" for name, number in sorted(counter.items()))
                parts.append(f"{verb}: {told}")
        return "; ".join(parts)
