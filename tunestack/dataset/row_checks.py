"""What is looked for in each row beyond its format: labels, an instruction, its length, personal data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tunestack.dataset.batches import Batch
from tunestack.dataset.findings import quoted
from tunestack.dataset.formats.format import Facts, Violation
from tunestack.spec.suggestion import nearest

if TYPE_CHECKING:
    from tunestack.dataset.tokens import TokenCheck
    from tunestack.spec.allow_list import AllowList


class PersonalDataCheck(msgspec.Struct, frozen=True):
    """What to look for in texts, and what of it may stand there; picklable."""

    personal_data: bool = True
    secrets: bool = True
    allowed: AllowList | None = None

    @property
    def codes(self) -> set[str]:
        """The codes of the findings that are looked for."""
        return {code for code, on in (("personal-data", self.personal_data), ("secret", self.secrets)) if on}


def unknown_labels(batch: Batch, targets: Iterable[Sequence[str]], labels: Sequence[str], path: str) -> None:
    """Rows of whose targets one is none of the labels; ``path`` is that of a target."""
    allowed = frozenset(labels)
    for at, of_row in enumerate(targets):
        if allowed.issuperset(of_row):
            continue
        target = next(target for target in of_row if target not in allowed)
        meant = nearest(target, labels)
        fix = f"write `{meant}`" if meant else "write one of the labels, or declare it in dataset.yaml"
        message = f"{quoted(target)} is none of the labels {', '.join(labels)}"
        batch.tell(at, Violation(path, "unknown-label", message, fix))


def missing_instructions(batch: Batch, path: str) -> None:
    """Rows whose prompt is nothing but one of their own texts: the model is not told what to do with it."""
    for at, (example, values) in enumerate(zip(batch.examples, batch.values, strict=True)):
        prompt = example.turns[-1].text.strip()
        if example.context is None and any(
            isinstance(value, str) and value.strip() == prompt for value in values.values()
        ):
            message = "the prompt is the bare text, without an instruction"
            fix = "put the instruction into the template; if the texts are instructions: `checks: {instruction: false}`"
            batch.tell(at, Violation(path, "instruction-missing", message, fix))


def too_long(batch: Batch, facts: Facts, check: TokenCheck) -> int:
    """Rows that are longer than the model takes; how many are not proved to be short enough."""
    not_proved = 0
    for at in check.suspects(facts.prompts, facts.answers):
        examined = check.examine(batch.lines[at])
        not_proved += examined.not_proved
        for violation in examined.violations:
            batch.tell(at, violation)
    return not_proved


def personal_data(batch: Batch, check: PersonalDataCheck) -> set[int]:
    """Texts that hold personal data or secrets that are not allowed; the entries that allowed others.

    Of records every column is looked at, of finished lines every text; so each text once, and never what a
    template puts into every row.
    """
    from tunestack.dataset.personal_data import excerpt, fix, message, search

    wanted = check.codes
    used: set[int] = set()
    everything: Sequence[Any] = batch.values if batch.examples else batch.lines
    for at, each in enumerate(everything):
        for text, path in texts_of(each):
            if not (sightings := search(text)):
                continue
            for sighting in sightings:
                if sighting.code not in wanted:
                    continue
                entry = None
                if check.allowed is not None:
                    entry = check.allowed.entry(sighting.kind, text[sighting.start : sighting.end])
                if entry is not None:
                    used.add(entry)
                    continue
                found = Violation(path(), sighting.code, message(text, sighting), fix(text, sighting))
                batch.tell_record(batch.rows[at], found, excerpt(text, sighting, sightings))
    return used


def texts_of(value: Any, path: Callable[[], str] = lambda: "$") -> Iterator[tuple[str, Callable[[], str]]]:
    """Every text within a line or a record's values; its JSON path is made when it is asked for."""
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from texts_of(item, lambda number=number: f"{path()}[{number}]")  # type: ignore[misc]
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _ROLES:
                yield from texts_of(item, lambda key=key: f"{path()}.{key}")  # type: ignore[misc]
    elif hasattr(value, "__struct_fields__"):
        for name, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            if key not in _ROLES:
                yield from texts_of(getattr(value, name), lambda key=key: f"{path()}.{key}")  # type: ignore[misc]


_ROLES = frozenset({"role", "author", "_id", "query-id", "corpus-id"})
