"""What reaches ``tunestack`` while the Pulumi CLI runs below it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

WAIT = """
import sys
from pathlib import Path
from tunestack.cli.pulumi_cli import _wait_for
sys.exit(_wait_for([sys.executable, "-c", sys.argv[1]], Path.cwd(), {}))
"""
UNTIL_TOLD = "print('up', flush=True); input()"
UNTIL_STRUCK = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(8))
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def waiting() -> Callable[[str], subprocess.Popen[str]]:
    def start(child: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    return start


def test_a_stop_and_a_continue_from_the_terminal_are_no_end(
    waiting: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = waiting(UNTIL_TOLD)
    for _ in range(10):
        process.send_signal(signal.SIGSTOP)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            pass
        with pytest.raises(subprocess.TimeoutExpired):  # longer than it looks for signals at a time
            process.wait(0.15)
        process.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def test_what_a_process_sends_to_us_alone_is_passed_on(
    waiting: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = waiting(UNTIL_STRUCK)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 8
