"""The difference of two datasets as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from tunestack.dataset.difference import KINDS, ChangedRow, DatasetDifference, Kind
from tunestack.dataset.findings import counted, quoted
from tunestack.dataset.prompts_shown import common_lines, own_part

# Characters of a prompt or an answer that are shown.
_SHOWN = 60
_MOST_LABELS_SHOWN = 8
_Lines: TypeAlias = tuple[int, int]  # characters at the start and at the end


def json_difference(difference: DatasetDifference) -> dict[str, Any]:
    """`{"same", "old", "new", "rows", "counts", "labels", "moves", "examples", "lock"}`, for machines."""

    def row(each: ChangedRow) -> dict[str, Any]:
        values = {
            "prompt": each.prompt,
            "old": each.old and each.old._asdict(),
            "new": each.new and each.new._asdict(),
            "old_answer": each.old_answer,
            "new_answer": each.new_answer,
        }
        return {key: value for key, value in values.items() if value is not None}

    return {
        "same": difference.same,
        "old": difference.old,
        "new": difference.new,
        "rows": {part: {"old": old, "new": new} for part, (old, new) in difference.rows.items()},
        "counts": {kind: difference.counts[kind] for kind in KINDS},
        "labels": {
            kind: [{"old": old, "new": new, "rows": rows} for (old, new), rows in sorted(counter.items())]
            for kind, counter in sorted(difference.labels.items())
        },
        "moves": [
            {"from": old, "to": new, "rows": rows} for (old, new), rows in sorted(difference.moves.items())
        ],
        "examples": {kind: [row(each) for each in rows] for kind, rows in difference.examples.items()},
        "lock": [each._asdict() for each in difference.lock],
    }


def terminal_difference(difference: DatasetDifference) -> str:
    """What there is of each kind, with a few examples cut to what tells them apart."""
    return "\n".join(_told(difference))


def _told(difference: DatasetDifference) -> Iterator[str]:
    yield f"--- {difference.old}"
    yield f"+++ {difference.new}"
    for part, (old, new) in difference.rows.items():
        yield f"  {part}: {counted(old, 'row')}" + (f" → {new:,}" if old != new else "")
    if difference.same:
        yield (
            "The same rows in the same parts."
            if not _of_locks(difference)
            else "The lock is of this dataset."
        )
        return
    common = _common(difference)
    for kind in KINDS:
        if difference.counts[kind]:
            yield ""
            yield f"{kind} {difference.counts[kind]:,}{_consists_of(difference, kind)}"
            for row in difference.examples.get(kind, []):
                yield from _shown(row, kind, common)
            if more := difference.counts[kind] - len(difference.examples.get(kind, [])):
                yield f"  … and {more:,} more"
    if difference.lock:
        yield ""
        yield f"{len(difference.lock):,} of the lock differ"
        yield from (f"  {each}" for each in difference.lock)


def _shown(row: ChangedRow, kind: Kind, common: tuple[_Lines, _Lines]) -> Iterator[str]:
    place = row.new if row.new is not None else row.old
    text = quoted(own_part(row.prompt, *common[row.new is not None]), _SHOWN)
    if kind == "moved":
        yield f"  {row.old} → {row.new}  {text}"
        return
    if kind == "changed":
        yield f"  {place}  {text}"
        yield f"    - {quoted(row.old_answer or '', _SHOWN)}"
        yield f"    + {quoted(row.new_answer or '', _SHOWN)}"
        return
    answer = row.new_answer if row.new_answer is not None else row.old_answer
    yield f"  {'+' if kind == 'added' else '-'} {place}  {text}" + (
        f" → {quoted(answer, _SHOWN)}" if answer else ""
    )


def _consists_of(difference: DatasetDifference, kind: Kind) -> str:
    pairs = difference.moves if kind == "moved" else difference.labels.get(kind)
    if not pairs:
        return ""
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    told = [
        f"{' → '.join(dict.fromkeys(name for name in pair if name))} {rows:,}"
        for pair, rows in ordered[:_MOST_LABELS_SHOWN]
    ]
    more = len(ordered) - len(told)
    return ": " + ", ".join(told) + (f" and {more} more" if more else "")


def _common(difference: DatasetDifference) -> tuple[_Lines, _Lines]:
    """What the prompts of the old side have in common, and those of the new: each may have its own template."""
    rows = [row for rows in difference.examples.values() for row in rows]
    old, new = difference.sample
    return (
        common_lines([*old, *(row.prompt for row in rows if row.new is None)]),
        common_lines([*new, *(row.prompt for row in rows if row.new is not None)]),
    )


def _of_locks(difference: DatasetDifference) -> bool:
    return difference.old.endswith(".json") or difference.new.endswith(".json")
