"""`dataset.lock.json`: what a dataset was made of and what it became, committed beside it (docs/contracts.md §2).

Whoever compiles the same folder again, on any machine, gets the same lock; where not, `differences` says what moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tunestack.dataset.aside import write_aside
from tunestack.dataset.digest import file_digest
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.dataset.compile import CompiledDataset
    from tunestack.dataset.sources.source import SourceDigests
    from tunestack.dataset.statistics import Statistics
    from tunestack.spec.dataset import DatasetSpec

LOCK_FILE = "dataset.lock.json"
VERSION = 1

Lock = dict[str, Any]
# What only follows from another difference is not told beside it: where a digest moved, the checksum did too.
_FOLLOWS = {"crc32c": "blake3", "bytes": "blake3"}


class Difference(NamedTuple):
    """One value that is another than the lock has; ``old`` or ``new`` is empty where there is none."""

    what: str  # the value's place in the lock: `sources.records.jsonl.blake3`
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.what}: {self.old or 'absent'} → {self.new or 'absent'}"


def lock_of(folder: Path, compiled: CompiledDataset) -> Lock:
    """The lock of a dataset that was just compiled, in the format that its `dataset.yaml` names.

    Raises TunestackError where `dataset.yaml` or a template is gone meanwhile.
    """
    from blake3 import blake3

    from tunestack.spec.dataset import load_dataset

    spec, report = load_dataset(folder), compiled.report
    # What is left out when it is as it would be anyway cannot make a lock stale by a new key of dataset.yaml.
    declared = spec.model_dump_json(exclude_defaults=True, exclude={"description"})
    declared = json.dumps(json.loads(declared), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    ledger = report.ledger
    return {
        "lock": VERSION,
        "name": compiled.name,
        "format": compiled.format,
        "digest": compiled.digest,
        "sources": sorted((_source(each) for each in report.sources), key=lambda source: source["name"]),
        "templates": {name: _digest(folder / name) for name in _read_through(folder, spec)},
        "spec": blake3(declared.encode()).hexdigest(),
        "files": {
            part: {"rows": file.rows, "bytes": file.bytes, "blake3": file.digest, "crc32c": file.crc32c}
            for part, file in compiled.files.items()
        },
        "ledger": ledger.as_json() if ledger is not None else None,
        "statistics": {
            part: _figures(each, spec.labels is not None) for part, each in sorted(report.statistics.items())
        },
    }


def read_lock(folder: Path) -> Lock | None:
    """The lock beside `dataset.yaml`; None where there is none.

    Raises TunestackError (exit status 2) where there is something else in its place, or a lock of a later version.
    """
    path = folder / LOCK_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise _unreadable(path, f"{LOCK_FILE} cannot be read: {reason}") from None
    try:
        lock = json.loads(content)
    except (ValueError, RecursionError):
        raise _unreadable(path, f"{LOCK_FILE} is not JSON") from None
    if not isinstance(lock, dict) or lock.get("lock") != VERSION:
        version = lock.get("lock") if isinstance(lock, dict) else None
        raise _unreadable(path, f"{LOCK_FILE} is not of version {VERSION}", have=f"version {version}")
    return lock


def write_lock(folder: Path, lock: Lock) -> Path:
    """Write the lock beside `dataset.yaml`, in one step; one that says the same already is left alone.

    Raises TunestackError (exit status 2) where it cannot be written; then the old one is as it was.
    """
    path = folder / LOCK_FILE
    content = encoded(lock)
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_aside(path, content)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("lock-unwritable", f"cannot write {LOCK_FILE}: {reason}", str(path))
        raise TunestackError(problem, exit_status=2) from error
    return path


def encoded(lock: Lock) -> bytes:
    """The bytes of a lock file: the same for the same lock."""
    return (json.dumps(lock, indent=2, ensure_ascii=False) + "\n").encode()


def differences(lock: Lock, now: Lock) -> list[Difference]:
    """What ``now`` has otherwise than ``lock``; statistics only where nothing else explains them."""
    old, new = dict(_flat(lock)), dict(_flat(now))
    moved = [what for what in {**old, **new} if old.get(what) != new.get(what)]
    told = [Difference(".".join(what), old.get(what, ""), new.get(what, "")) for what in moved]
    caused = [
        each
        for each, what in zip(told, moved, strict=True)
        if not (
            what[0] == "statistics" or ((cause := _FOLLOWS.get(what[-1])) and (*what[:-1], cause) in moved)
        )
    ]
    return caused or told


def stale(folder: Path, lock: Lock, now: Lock) -> list[Problem]:
    """Each difference as a problem that a person can mend; nothing where the lock is of this very dataset."""
    return [
        Problem(
            "lock-stale",
            f"the dataset is not the one that {LOCK_FILE} was written for: {each.what}",
            str(folder / LOCK_FILE),
            have=f"{each.old or 'absent'} in the lock",
            need=f"{each.new or 'absent'} now",
            fix=f"look at what changed (tunestack dataset diff {folder} {folder / LOCK_FILE}); if it is meant: "
            f"tunestack dataset compile {folder}, and commit the lock",
        )
        for each in differences(lock, now)
    ]


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("file-unreadable", f"{path.name} cannot be read: {reason}", str(path))
        raise TunestackError(problem, exit_status=2) from None


def _figures(statistics: Statistics, labelled: bool) -> dict[str, Any]:
    """The figures of a part; few answers that are no labels are not listed as if they were."""
    figures = statistics.as_json()
    if not labelled:
        del figures["labels"]
    return figures


def _source(source: SourceDigests) -> dict[str, Any]:
    found = {
        "name": source.name,
        "bytes": source.bytes,
        "blake3": source.blake3,
        "crc32c": source.crc32c,
    }
    return found if source.generation is None else {**found, "generation": source.generation}


def _read_through(folder: Path, spec: DatasetSpec) -> list[str]:
    """The files, beside records and dataset.yaml, that decide what a dataset becomes or whether it is refused."""
    checks = getattr(spec, "checks", None)
    named = [
        spec.template,
        getattr(checks, "tokenizer", None),
        getattr(checks, "allow", None) or "allow.yaml",
    ]
    return sorted({name for name in named if name and (folder / name).is_file()})


def _flat(value: Any, *at: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(each, *at, str(key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            key = each.get("name", number) if isinstance(each, Mapping) else number
            yield from _flat(each, *at, str(key))
    else:
        yield at, value if isinstance(value, str) else json.dumps(value)


def _unreadable(path: Path, message: str, have: str = "") -> TunestackError:
    fix = f"tunestack dataset compile {path.parent} writes it anew"
    return TunestackError(Problem("lock-unreadable", message, str(path), have=have, fix=fix), exit_status=2)
