"""Child processes that never outlive the engine, not even one that dies by kill -9.

A terminal's ^C must reach the engine only, so every child leads a session of its own, and no signal of the
engine's reaches it. What ends the children of an engine that was killed is a watchdog: a shell that is told
their process ids through a pipe and kills them when the pipe's other end closes. It needs nothing of the
children, so it works for any plugin. (stdin would not do: under the CLI a plugin's is closed from the start.)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_WATCHDOG = r"""
trap '' INT TERM HUP
children=' '
while read -r verb pid; do
  case $verb in
    watch) children="$children$pid " ;;
    forget) children="${children%% $pid *} ${children#* $pid }" ;;
  esac
done
for pid in $children; do kill -s KILL -- "-$pid" 2>/dev/null; done
"""


class Watchdog:
    """Kills the process groups it watches when this process ends in whatever way."""

    def __init__(self) -> None:
        read_end, self._pipe = os.pipe()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_end)

    def watch(self, pid: int) -> None:
        self._tell(f"watch {pid}\n")

    def forget(self, pid: int) -> None:
        self._tell(f"forget {pid}\n")

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._pipe, line.encode())

    def close(self) -> None:
        """End the watch: whatever is still watched is killed."""
        os.close(self._pipe)
        self._process.wait()


class Child:
    """A child process in its own session; its lines of output go to the callbacks."""

    def __init__(self, process: asyncio.subprocess.Process, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._process = process
        self._pumps: list[asyncio.Task[None]] = []
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        watchdog: Watchdog,
        arguments: Sequence[str | Path],
        directory: Path,
        environment: Mapping[str, str],
        on_stdout: Callable[[str], None],
        on_stderr: Callable[[str], None],
        listens: bool = False,
    ) -> Child:
        """Start a child; one that `listens` has a pipe for its stdin, the others have none."""
        process = await asyncio.create_subprocess_exec(
            *map(str, arguments),
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE if listens else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=1 << 20,
        )
        child = cls(process, watchdog)
        watchdog.watch(process.pid)
        child._pumps = [
            asyncio.create_task(_pump(process.stdout, on_stdout)),
            asyncio.create_task(_pump(process.stderr, on_stderr)),
        ]
        return child

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def tell(self, text: str) -> None:
        """Give a child that listens its one message, and close the pipe."""
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it was started to listen
        with contextlib.suppress(ConnectionError):  # it is gone; its exit status says more
            stdin.write(text.encode())
            await stdin.drain()
            stdin.close()

    def signal(self, number: int) -> None:
        """Send a signal to the child and all it started; nothing happens when it is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def wait(self) -> int:
        """The exit status, once the process is gone and its output was read."""
        code = await self._process.wait()
        self._watchdog.forget(self.pid)
        # A grandchild may keep the pipes open: what it still says is of no use.
        await asyncio.wait(self._pumps, timeout=1)
        for pump in self._pumps:
            pump.cancel()
        return code

    async def end(self, polite: int | None = None, patience_seconds: float = 1.0) -> None:
        """End the child: with the signal `polite` first where given, then with SIGKILL."""
        if polite is not None:
            self.signal(polite)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._process.wait()), patience_seconds)
        self.signal(signal.SIGKILL)
        await self.wait()


async def _pump(stream: asyncio.StreamReader | None, on_line: Callable[[str], None]) -> None:
    assert stream is not None  # noqa: S101 - both streams are pipes
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: the rest of it is still to come
            continue
        if not line:
            return
        on_line(line.decode(errors="replace"))
