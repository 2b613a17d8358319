"""No child outlives the engine, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil

ENGINE = """
import asyncio, os, sys
from pathlib import Path
from tunestack.engine.processes import Child, Watchdog

async def main():
    watchdog = Watchdog()
    family = "import subprocess as s, sys; s.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).wait()"
    echo = lambda line: print(line, end="")
    kept = await Child.start(watchdog, [sys.executable, "-c", family], Path("."), os.environ, print, print)
    ended = await Child.start(watchdog, [sys.executable, "-c", "print('said')"], Path("."), os.environ, echo, print)
    code = await ended.wait()
    print(code, kept.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_children_and_grandchildren_die_with_an_engine_killed_by_9() -> None:
    engine = subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    assert engine.stdout.readline() == "said\n"
    code, pid = engine.stdout.readline().split()
    assert code == "0"
    child = psutil.Process(int(pid))
    assert os.getsid(child.pid) == child.pid  # a terminal's ^C does not reach it
    while not child.children():
        pass
    family = [child, *child.children(recursive=True)]
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
