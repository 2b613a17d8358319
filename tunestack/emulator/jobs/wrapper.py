"""Runs a trainer and records how it ended, whatever becomes of the emulator in the meantime.

    python wrapper.py JOB_FOLDER COMMAND…

Started by path, in a session of its own. ``lock`` is held as long as this process or the trainer lives: it
lets nobody run the same job twice, and tells an emulator that was started anew whether the job is running.
``process.json`` says who it is, ``exit.json`` how the trainer ended (written aside and renamed).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

BUSY = 75  # EX_TEMPFAIL: another wrapper runs this job


def write(path: Path, body: dict[str, object]) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(body))
    aside.replace(path)


def main(folder: Path, command: list[str]) -> int:
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return BUSY
    if (folder / "exit.json").exists():
        return 0
    # A cancelled job gets SIGTERM as a group; this process stays to record how the trainer took it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    write(folder / "process.json", {"pid": os.getpid(), "started": psutil.Process().create_time()})
    with (folder / "trainer.log").open("ab") as log:
        trainer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            restore_signals=True,
            preexec_fn=default_signals,
        )
        code = trainer.wait()
    write(folder / "exit.json", {"code": code, "endedAt": time.time()})
    return 0


def default_signals() -> None:
    """Ignored signals are inherited; the trainer must be able to die of them."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
