"""What processes of one user on one machine tell each other: by locks of the kernel, and by notes.

Each explicit provider resource of a program is a process of its own, and they know nothing of each other. A lock goes
with the process that holds it, however that ends; a note stays, for whoever comes after a process that was killed.
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
import tempfile
from pathlib import Path

from blake3 import blake3


class LockFile:
    """Locks of single bytes of a file, each a name's. Written by hand: libraries lock whole files.

    Hundreds of locks cost no more than one descriptor. It is opened once in a process and never closed: record locks
    are lost with the first descriptor of the file that is closed (fcntl(2)).
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, also where the file system has no locks."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.utime(
            self._file
        )  # what sweeps old files out of a folder for temporary ones must see that it is in use
        self._held: set[int] = set()
        self.taken("")

    def take(self, name: str) -> bool:
        """Takes the lock; False where it is taken, also by this process."""
        if _byte(name) in self._held:  # to the kernel it would be ours to take again
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, says POSIX
            return False
        self._held.add(_byte(name))
        return True

    def release(self, name: str) -> None:
        """Lets go of it."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(name))
        self._held.discard(_byte(name))

    def taken(self, name: str) -> bool:
        """Whether any process has the lock, this one too."""
        if not self.take(name):
            return True
        self.release(name)
        return False


class Notes:
    """Texts by name, each a file: there until it is removed, whoever wrote it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, text: str) -> None:
        """Writes it whole or not at all. Raises OSError."""
        path = self._path(name)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(text)
        new.replace(path)

    def read(self, name: str) -> str | None:
        """The text, None where there is none."""
        try:
            return self._path(name).read_text()
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Takes it away, where it is there. Raises OSError."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{blake3(name.encode()).hexdigest(length=16)}.note"


class Shared:
    """The folder in which the processes of one user meet."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where it cannot be had, and where it is not this user's alone: others could hold us up."""
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(f"{folder} is not a folder of this user alone")
        self.locks = LockFile(folder / "locks")
        self.notes = Notes(folder)


def _byte(name: str) -> int:
    return int.from_bytes(blake3(name.encode()).digest(length=7))


@functools.cache
def shared() -> Shared | None:
    """The folder of this user on this machine; None where it cannot be had."""
    try:
        return Shared(Path(tempfile.gettempdir()) / f"tunestack-{os.getuid()}")
    except OSError:
        return None


class Marks:
    """Names that the processes of the running update have set, for all of them to see.

    ``update``: what all of them call it; while it is empty, nobody else's can be told from ours.
    """

    def __init__(self, endpoint: str) -> None:
        self.update = ""
        self._endpoint = endpoint
        self._ours: set[str] = set()

    def set(self, *name: str) -> None:
        """Seen by all until it is cleared, or this process ends."""
        self._ours.add(self._named(name))
        if locks := self._locks:
            locks.take(self._named(name))

    def clear(self, *name: str) -> None:
        """Takes back what this process has set."""
        if self._named(name) in self._ours:
            self._ours.discard(self._named(name))
            if locks := self._locks:
                locks.release(self._named(name))

    def __contains__(self, name: tuple[str, ...]) -> bool:
        named, locks = self._named(name), self._locks
        return named in self._ours or (locks is not None and locks.taken(named))

    @property
    def _locks(self) -> LockFile | None:
        there = shared() if self.update else None
        return there.locks if there is not None else None

    def _named(self, name: tuple[str, ...]) -> str:
        return "\n".join((self._endpoint, self.update, *name))
