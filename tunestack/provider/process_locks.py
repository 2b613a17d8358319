"""What processes of one user on one machine tell each other by locks of the kernel.

Each explicit provider resource of a program is a process of its own, and they know nothing of each other. A lock goes
with the process that holds it, however that ends: nothing is left to be cleared away.
"""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from pathlib import Path

from blake3 import blake3


class LockFile:
    """Locks of single bytes of a file, each a name's. Written by hand: libraries lock whole files.

    Hundreds of locks cost no more than one descriptor. It is opened once in a process and never closed: record locks
    are lost with the first descriptor of the file that is closed (fcntl(2)).
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError where it has no locks, and where the file is another user's, who could hold us up."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to another user")
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


def _byte(name: str) -> int:
    return int.from_bytes(blake3(name.encode()).digest(length=7))


@functools.cache
def lock_file() -> LockFile | None:
    """The one of this user on this machine; None where it cannot be had."""
    try:
        return LockFile(Path(tempfile.gettempdir()) / f"tunestack-{os.getuid()}.lock")
    except OSError:
        return None


class Marks:
    """Names that the processes of the running update have set, for all of them to see.

    ``update``: what all of them call it; while it is empty, nobody else's can be told from ours.
    """

    def __init__(self, endpoint: str, update: str = "", file: LockFile | None = None) -> None:
        self.update = update
        self._endpoint = endpoint
        self._file = file or lock_file()
        self._ours: set[str] = set()

    def set(self, *name: str) -> None:
        """Seen by all until it is cleared, or this process ends."""
        self._ours.add(self._named(name))
        if self._file is not None and self.update:
            self._file.take(self._named(name))

    def clear(self, *name: str) -> None:
        """Takes back what this process has set."""
        if self._named(name) in self._ours:
            self._ours.discard(self._named(name))
            if self._file is not None and self.update:
                self._file.release(self._named(name))

    def __contains__(self, name: tuple[str, ...]) -> bool:
        named = self._named(name)
        return named in self._ours or (
            self._file is not None and bool(self.update) and self._file.taken(named)
        )

    def _named(self, name: tuple[str, ...]) -> str:
        return "\n".join((self._endpoint, self.update, *name))
