"""A function over many pieces of work, in as many processes as are asked for, its results in the order of the work.

Processes are started anew and never forked: this runs inside programs with threads (Pulumi's gRPC), and a fork of
those can hang for ever. They are not started as multiprocessing starts them either, for that runs the caller's
`__main__` again; what they have of it is its connections. A process that the caller leaves behind, however it ends,
reads the end of its connection and ends too.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from tunestack.spec.errors import Problem, TunestackError

# What starts processes is imported by those who do: a small check has no use for it.
if TYPE_CHECKING:
    import subprocess
    from multiprocessing.connection import Connection

Work = TypeVar("Work")
Result = TypeVar("Result")
_Connection: TypeAlias = "Connection[Any, Any]"

# Results that may wait for an earlier one, a process: what bounds the memory when one piece takes very long.
_WAITING = 4
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]\n"
    "from tunestack.dataset.processes import serve; serve(int(sys.argv[1]))"
)


def available_processes() -> int:
    """As many as there are processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class InOrder(Protocol):
    """Whatever does pieces of work elsewhere and gives the results in their order, as `in_order` does."""

    def __call__(self, function: Callable[[Work], Result], pieces: Iterable[Work], /) -> Iterator[Result]:
        """Function, pieces and results can be pickled; what the function raises is raised."""
        ...


def in_order(function: Callable[[Work], Result], pieces: Iterable[Work], processes: int) -> Iterator[Result]:
    """`map(function, pieces)`, done by ``processes`` others; one or none: by this one.

    Pieces are taken when a process wants one. ``function`` is sent once to each process; it, pieces and results
    are pickled. What the function raises is raised here. Close the iterator to end the processes early.
    """
    if processes < 2:
        yield from map(function, pieces)
        return
    with _Crew(function, processes) as crew:
        yield from crew.results(iter(pieces))


class _Crew:
    """The processes: those without work, and those that have a piece, with its number."""

    def __init__(self, function: Callable[[Any], Any], processes: int) -> None:
        self._function, self._count = function, processes
        self._started: list[subprocess.Popen[bytes]] = []
        self._idle: deque[_Connection] = deque()
        self._busy: dict[_Connection, int] = {}

    def __enter__(self) -> _Crew:
        try:
            for _ in range(self._count):
                self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        import subprocess
        from multiprocessing.connection import Pipe

        ours, theirs = Pipe()
        self._idle.append(ours)
        with theirs:
            descriptor = theirs.fileno()
            command = [sys.executable, "-c", _PROGRAM, str(descriptor), *sys.path]
            self._started.append(subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL))
        _send(ours, self._function)

    def _end(self) -> None:
        for connection in (*self._idle, *self._busy):
            connection.close()
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait()

    def results(self, pieces: Iterator[Any]) -> Iterator[Any]:
        """The results in the order of the pieces."""
        from multiprocessing.connection import wait

        done: dict[int, Any] = {}
        taken, given_back, more = 0, 0, True
        while more or self._busy:
            # One piece a process: whoever is sent one is reading, so that nobody ever waits for each other.
            while more and self._idle and taken - given_back < _WAITING * self._count:
                try:
                    piece = next(pieces)
                except StopIteration:
                    more = False
                    break
                connection = self._idle.popleft()
                self._busy[connection] = taken
                taken += 1
                _send(connection, piece)
            while given_back in done:
                yield done.pop(given_back)
                given_back += 1
            for ready in wait(list(self._busy)) if self._busy else ():
                connection = cast(_Connection, ready)
                done[self._busy[connection]] = _answer(connection)
                del self._busy[connection]
                self._idle.append(connection)
        while given_back in done:
            yield done.pop(given_back)
            given_back += 1


def _send(connection: _Connection, piece: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it is gone; the next answer says so
        connection.send(piece)


def _answer(connection: _Connection) -> Any:
    try:
        error, result = connection.recv()
    except (EOFError, ConnectionResetError):
        problem = Problem(
            "process-ended",
            "a process that was reading rows ended before it was done",
            fix="most often memory ran out: try fewer processes (--processes 1)",
        )
        raise TunestackError(problem, exit_status=2) from None
    if error is not None:
        raise error
    return result


def serve(descriptor: int) -> None:
    """What a started process does: answer each piece with (error, result) until the connection ends."""
    import signal
    from multiprocessing.connection import Connection

    # ^C is for the process that has the results; it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as connection, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        function = connection.recv()
        while True:
            piece = connection.recv()
            answer: tuple[Exception | None, Any]
            try:
                answer = (None, function(piece))
            except Exception as error:
                answer = (error, None)
            connection.send(answer)
