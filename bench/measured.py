"""One run of a command as a whole process: wall time, processor time, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """``wall`` and ``processor`` in seconds, ``megabytes`` the resident set of the command's largest process."""

    wall: float
    processor: float
    megabytes: float


def measured(command: Sequence[str], *, accepted: tuple[int, ...] = (0,)) -> Run:
    """Run ``command`` to its end, its output thrown away; an exit status not ``accepted`` ends the bench."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    if process.returncode not in accepted:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said.decode()[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(values: Sequence[float]) -> float:
    """The middle one, or the lower of the two."""
    return sorted(values)[(len(values) - 1) // 2]
