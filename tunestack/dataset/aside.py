"""Writing so that a crash at any moment leaves what was there whole: aside, flushed, renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".aside-"


def write_aside(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step, flushed to the disk. Raises OSError; then the old file is untouched."""
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def folder_aside(home: Path) -> Iterator[Path]:
    """An empty folder in ``home`` to write into and to rename; what is left of it goes when the block ends.

    Folders that a killed process left in ``home`` go too: a living one holds a lock on its own. Raises OSError.
    """
    for left in home.glob(f"{_PREFIX}*"):
        _remove_unless_held(left)
    folder, descriptor = _held_folder(home)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_aside(folder: Path) -> None:
    """Take ``folder`` away at once: by one rename to where leftovers go. Raises OSError."""
    away = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.parent))
    folder.rename(away / folder.name)
    shutil.rmtree(away, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where its file system lets a folder be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _held_folder(home: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():  # else another compilation took it for a leftover before the lock was ours
                return folder, descriptor
            os.close(descriptor)


def _remove_unless_held(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
