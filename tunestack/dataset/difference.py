"""What two datasets have otherwise: rows added, removed, changed, and moved from one part to another.

Rows are compared by hashes, 18 bytes a row: the texts of a dataset are read through twice, and kept only of the few
rows that are shown. A row is known by its prompt in the canonical form, which is the same in every format, so that
also a dataset in one format can be held against itself in another.
"""

from __future__ import annotations

import contextlib
import tempfile
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from tunestack.dataset import lock as locks
from tunestack.dataset.digest import CompiledFile
from tunestack.dataset.finished_rows import prompts_and_answers, unreadable
from tunestack.dataset.statistics import MOST_LABELS

Kind = Literal["added", "removed", "changed", "moved"]
KINDS: tuple[Kind, ...] = ("added", "removed", "changed", "moved")

_LINE_FILES = (".jsonl", ".tsv")
# Above this many rows numpy's sets win over its import, which takes about 0.1 s.
_PLAIN_ROWS = 20_000
# Of each side so many prompts show what all of them begin and end with.
_SAMPLED_PROMPTS = 4


class Place(NamedTuple):
    """Where a row stands: its part (`train`, `validation`, …) and its line in it."""

    part: str
    line: int

    def __str__(self) -> str:
        return f"{self.part}:{self.line}"


class ChangedRow(msgspec.Struct, frozen=True):
    """One row that is shown. ``old`` and ``old_answer`` are None for a row that was added, ``new`` … for removed."""

    prompt: str
    old: Place | None = None
    new: Place | None = None
    old_answer: str | None = None
    new_answer: str | None = None


class DatasetDifference(msgspec.Struct):
    """How ``new`` differs from ``old``.

    ``rows``: of each part, how many rows it had and has. ``changed``: rows with the same prompt and another answer;
    ``moved``: rows that stand in another part (one that changed and moved counts in both). ``labels`` and ``moves``
    count what the kinds consist of: answers, where they are few enough to be labels, as (old, new); parts as (from,
    to). ``examples`` holds the first rows of each kind in the order of reading, ``sample`` some prompts of either
    side. ``lock``: where one side is a lock file, what of it differs; then nothing is known of single rows.
    """

    old: str
    new: str
    rows: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    counts: Counter[Kind] = msgspec.field(default_factory=Counter)
    labels: dict[Kind, Counter[tuple[str, str]]] = msgspec.field(default_factory=dict)
    moves: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    examples: dict[Kind, list[ChangedRow]] = msgspec.field(default_factory=dict)
    sample: tuple[list[str], list[str]] = msgspec.field(default_factory=lambda: ([], []))
    lock: list[locks.Difference] = msgspec.field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.counts.total() or self.lock)


def compare(old: str | Path, new: str | Path, *, shown: int = 5) -> DatasetDifference:
    """Compare two dataset folders, compiled folders or finished files, here or `gs://`; or one with a lock file.

    At most ``shown`` examples of each kind are read again with their texts. Raises TunestackError: DatasetRefused
    where a dataset folder cannot be compiled, exit status 2 where something cannot be read or compared.
    """
    with contextlib.ExitStack() as stack:
        if _is_lock(old) or _is_lock(new):
            return _of_locks(Path(old), Path(new), stack)
        return _of_rows(_side(old, stack), _side(new, stack), shown)


class _Rows(NamedTuple):
    """The rows of one side, in the order of reading."""

    prompts: array[int]
    answers: array[int]
    parts: array[int]  # indices into the side's parts
    labels: dict[int, str] | None  # texts of the answers by their hashes; None: too many to be labels


class _Side(msgspec.Struct):
    name: str
    files: dict[str, str | Path]  # by part; an address, where it lies in a bucket

    def read(self, sample: list[str]) -> _Rows:
        from tunestack.dataset.split import prompt_hash

        rows = _Rows(array("Q"), array("Q"), array("H"), {})
        labels = rows.labels
        for number, path in enumerate(self.files.values()):
            for prompt, answer in prompts_and_answers(path):
                hashed = prompt_hash(answer)
                rows.prompts.append(prompt_hash(prompt))
                rows.answers.append(hashed)
                rows.parts.append(number)
                if labels is not None:
                    labels[hashed] = answer
                    if len(labels) > MOST_LABELS:
                        labels = None
                if len(rows.prompts) <= _SAMPLED_PROMPTS:
                    sample.append(prompt)
        # Answers that hardly ever stand twice are no labels, however few rows there are.
        few = labels is not None and 2 * len(labels) <= len(rows.prompts)
        return rows._replace(labels=labels if few else None)

    def places(self, rows: _Rows, wanted: Iterable[int]) -> dict[int, tuple[Place, str, str]]:
        """Place, prompt and answer of the rows with these numbers; files are read as far as the last of them."""
        found: dict[int, tuple[Place, str, str]] = {}
        before = 0
        sizes = Counter(rows.parts)
        for number, (part, path) in enumerate(self.files.items()):
            inside = {each - before for each in wanted if before <= each < before + sizes[number]}
            before += sizes[number]
            if not inside:
                continue
            for line, (prompt, answer) in enumerate(prompts_and_answers(path)):
                if line in inside:
                    found[before - sizes[number] + line] = (Place(part, line + 1), prompt, answer)
                    inside.remove(line)
                    if not inside:
                        break
        return found


class _Pair(NamedTuple):
    kind: Kind
    old: int | None  # the row's number on its side
    new: int | None


def _of_rows(old: _Side, new: _Side, shown: int) -> DatasetDifference:
    result = DatasetDifference(old.name, new.name)
    if len(old.files) == len(new.files) == 1:  # two files, whatever they are called
        old.files, new.files = ({"rows": path} for side in (old, new) for path in side.files.values())
    before, after = old.read(result.sample[0]), new.read(result.sample[1])
    had, have = (_by_part(side, rows) for side, rows in ((old, before), (new, after)))
    result.rows = {part: (had.get(part, 0), have.get(part, 0)) for part in [*had, *(have.keys() - had)]}

    names = list(dict.fromkeys([*old.files, *new.files]))
    old_parts, new_parts = ([names.index(part) for part in side.files] for side in (old, new))
    first: defaultdict[Kind, list[_Pair]] = defaultdict(list)
    few = before.labels is not None and after.labels is not None
    texts = {**(before.labels or {}), **(after.labels or {})} if few else None
    for pair in _pairs(before, after, old_parts, new_parts):
        result.counts[pair.kind] += 1
        if len(first[pair.kind]) < shown:
            first[pair.kind].append(pair)
        if pair.kind == "moved" and pair.old is not None and pair.new is not None:
            result.moves[
                names[old_parts[before.parts[pair.old]]], names[new_parts[after.parts[pair.new]]]
            ] += 1
        elif texts is not None:
            had_label = "" if pair.old is None else texts[before.answers[pair.old]]
            has_label = "" if pair.new is None else texts[after.answers[pair.new]]
            result.labels.setdefault(pair.kind, Counter())[had_label, has_label] += 1

    pairs = [pair for kind in KINDS for pair in first[kind]]
    in_old = old.places(before, {pair.old for pair in pairs if pair.old is not None})
    in_new = new.places(after, {pair.new for pair in pairs if pair.new is not None})
    for pair in pairs:
        was = None if pair.old is None else in_old[pair.old]
        now = None if pair.new is None else in_new[pair.new]
        prompt = now[1] if now is not None else was[1] if was is not None else ""
        row = ChangedRow(
            prompt,
            was and was[0],
            now and now[0],
            None if was is None else was[2],
            None if now is None else now[2],
        )
        result.examples.setdefault(pair.kind, []).append(row)
    return result


def _pairs(old: _Rows, new: _Rows, old_parts: Sequence[int], new_parts: Sequence[int]) -> Iterator[_Pair]:
    """Every difference: of prompts on both sides in the old order, then rows removed, then rows added."""
    only_old, only_new, both_old, both_new = _sorted_out(old, new, old_parts, new_parts)
    candidates: defaultdict[int, list[int]] = defaultdict(list)
    for row in both_new:
        candidates[new.prompts[row]].append(row)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row in both_old:
        groups[old.prompts[row]].append(row)
    removed, added = list(only_old), list(only_new)
    for prompt, before in groups.items():
        after = candidates.pop(prompt, [])

        for same_part in (True, False):
            met, before, after = _matched(
                before, after, _keys(old, old_parts, same_part), _keys(new, new_parts, same_part)
            )
            if not same_part:
                yield from (_Pair("moved", row, other) for row, other in met)
        for row, other in zip(before, after, strict=False):
            yield _Pair("changed", row, other)
            if old_parts[old.parts[row]] != new_parts[new.parts[other]]:
                yield _Pair("moved", row, other)
        paired = min(len(before), len(after))
        removed += before[paired:]
        added += after[paired:]
    added += [row for rows in candidates.values() for row in rows]
    yield from (_Pair("removed", row, None) for row in sorted(removed))
    yield from (_Pair("added", None, row) for row in sorted(added))


def _keys(rows: _Rows, parts: Sequence[int], same_part: bool) -> Callable[[int], tuple[int, int]]:
    """What two rows of one prompt must have in common: the answer, perhaps also the part."""
    return lambda row: (rows.answers[row], parts[rows.parts[row]] if same_part else -1)


def _matched(
    before: list[int], after: list[int], old_key: Callable[[int], Any], new_key: Callable[[int], Any]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Rows with equal keys in pairs, then the rows of either side that found none; all in the order of reading."""
    waiting: dict[Any, deque[int]] = {}
    for row in after:
        waiting.setdefault(new_key(row), deque()).append(row)
    pairs, left = [], []
    for row in before:
        if others := waiting.get(old_key(row)):
            pairs.append((row, others.popleft()))
        else:
            left.append(row)
    return pairs, left, sorted(row for others in waiting.values() for row in others)


def _sorted_out(
    old: _Rows, new: _Rows, old_parts: Sequence[int], new_parts: Sequence[int]
) -> tuple[Iterable[int], Iterable[int], Iterable[int], Iterable[int]]:
    """Rows whose prompts are on one side only, then those of prompts on both sides that may differ: row numbers."""
    if len(old.prompts) + len(new.prompts) <= _PLAIN_ROWS:
        had, have = set(old.prompts), set(new.prompts)
        return (
            [row for row, prompt in enumerate(old.prompts) if prompt not in have],
            [row for row, prompt in enumerate(new.prompts) if prompt not in had],
            [row for row, prompt in enumerate(old.prompts) if prompt in have],
            [row for row, prompt in enumerate(new.prompts) if prompt in had],
        )
    import numpy as np

    def columns(rows: _Rows, parts: Sequence[int]) -> tuple[Any, Any]:
        prompts = np.asarray(rows.prompts, dtype=np.uint64)
        part = np.asarray(parts, dtype=np.uint64)[np.asarray(rows.parts, dtype=np.uint16)]
        # Only rows whose three values are all the same can meet in one mixture, but for an accident in 2^64.
        mixture = (prompts * np.uint64(0x9E3779B97F4A7C15)) ^ np.asarray(rows.answers, dtype=np.uint64)
        return prompts, mixture * np.uint64(0xC2B2AE3D27D4EB4F) + part

    (had, had_rows), (have, have_rows) = columns(old, old_parts), columns(new, new_parts)
    old_keys, old_counts = np.unique(had_rows, return_counts=True)
    new_keys, new_counts = np.unique(have_rows, return_counts=True)
    shared, in_old, in_new = np.intersect1d(old_keys, new_keys, assume_unique=True, return_indices=True)
    settled = shared[old_counts[in_old] == new_counts[in_new]]
    kept, stays = np.isin(had, have), np.isin(have, had)
    return (
        np.flatnonzero(~kept).tolist(),
        np.flatnonzero(~stays).tolist(),
        np.flatnonzero(kept & ~np.isin(had_rows, settled)).tolist(),
        np.flatnonzero(stays & ~np.isin(have_rows, settled)).tolist(),
    )


def _by_part(side: _Side, rows: _Rows) -> dict[str, int]:
    sizes = Counter(rows.parts)
    return {part: sizes[number] for number, part in enumerate(side.files)}


def _side(address: str | Path, stack: contextlib.ExitStack) -> _Side:
    from tunestack.dataset.compile import compile_dataset
    from tunestack.spec.dataset import SPEC_FILE

    if str(address).startswith("gs://"):
        return _Side(str(address), {str(address): str(address)})
    path = Path(address)
    if (path / SPEC_FILE).is_file():
        compiled = compile_dataset(path, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        return _Side(str(path), {part: _where(file) for part, file in compiled.files.items()})
    if path.is_dir():
        files: dict[str, str | Path] = {
            each.stem: each for each in sorted(path.iterdir()) if each.suffix in _LINE_FILES
        }
        if not files:
            message = f"{path.name} holds neither a dataset.yaml nor compiled files"
            fix = "name a dataset folder, a folder .tunestack/compiled/<name>/<digest>, or a file"
            raise unreadable(path, message, fix)
        order = ("train", "validation")
        return _Side(str(path), {**{part: files[part] for part in order if part in files}, **files})
    return _Side(str(path), {path.name: path})


def _where(file: CompiledFile) -> str | Path:
    return file.path if file.path is not None else f"{file.uri}#{file.generation}"


def _is_lock(address: str | Path) -> bool:
    return Path(address).name == locks.LOCK_FILE


def _of_locks(old: Path, new: Path, stack: contextlib.ExitStack) -> DatasetDifference:
    before, after = _lock(old, stack), _lock(new, stack)
    result = DatasetDifference(str(old), str(new), lock=locks.differences(before, after))
    had, have = (_rows_of(lock) for lock in (before, after))
    result.rows = {part: (had.get(part, 0), have.get(part, 0)) for part in {**had, **have}}
    return result


def _lock(path: Path, stack: contextlib.ExitStack) -> locks.Lock:
    from tunestack.dataset.compile import compile_dataset
    from tunestack.spec.dataset import SPEC_FILE

    if _is_lock(path):
        lock = locks.read_lock(path.parent)
        if lock is None:
            raise unreadable(path, f"{path.name} does not exist", "tunestack dataset compile writes it")
        return lock
    if not (path / SPEC_FILE).is_file():
        message = f"{path.name} is no dataset folder, and only such a folder has a lock"
        raise unreadable(path, message, "name the dataset folder")
    compiled = compile_dataset(path, Path(stack.enter_context(tempfile.TemporaryDirectory())))
    return locks.lock_of(path, compiled)


def _rows_of(lock: Mapping[str, Any]) -> dict[str, int]:
    files = lock.get("files")
    return {part: file.get("rows", 0) for part, file in files.items()} if isinstance(files, Mapping) else {}
