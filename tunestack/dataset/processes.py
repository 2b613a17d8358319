"""A function over many pieces of work, in as many processes as are asked for, its results in the order of the work.

Processes are started anew and not forked unless the caller knows that it may: this runs inside programs with threads
(Pulumi's gRPC), and a fork of those can hang for ever. They are not started as multiprocessing starts them either, for
that runs the caller's `__main__` again; what they have of it is two pipes. A process that the caller leaves behind,
however it ends, reads the end of its pipe and ends too.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from tunestack.spec.errors import Problem, TunestackError

Work = TypeVar("Work")
Result = TypeVar("Result")
# Results that may wait for an earlier one, a process: what bounds the memory when one piece takes very long.
_WAITING = 4
# Below this a file is read by this process alone: starting others would take longer.
ONE_PROCESS_BYTES = 32 << 20
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]\n"
    "from tunestack.dataset.processes import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
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
    with Crew(processes) as crew:
        yield from crew(function, pieces)


class _Process:
    """One that was started, with the pipes to it and from it.

    What is sent is pickled, as by multiprocessing's connections; they take as long to import as megabytes to check.
    """

    def __init__(self, fork: bool, others: Iterable[_Process]) -> None:
        theirs, ours = os.pipe()
        answers, results = os.pipe()
        self.pieces, self.answers = open(ours, "wb"), open(answers, "rb")  # noqa: SIM115, PTH123 - see `end`
        self.number = self._forked(theirs, results, others) if fork else _started(theirs, results)
        os.close(theirs)
        os.close(results)

    def _forked(self, pieces: int, results: int, others: Iterable[_Process]) -> int:
        number = os.fork()
        if number:
            return number
        try:
            # Who else holds them would keep the others waiting for pieces when the caller is gone.
            for each in (self, *others):
                os.close(each.pieces.fileno())
                os.close(each.answers.fileno())
            serve(pieces, results)
        finally:
            os._exit(0)  # nothing of the caller's is cleaned up here

    def fileno(self) -> int:
        """Of the answers, for `select`."""
        return self.answers.fileno()

    def send(self, piece: Any) -> None:
        """Give it work."""
        import pickle

        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone; the next answer says so
            pickle.dump(piece, self.pieces, pickle.HIGHEST_PROTOCOL)
            self.pieces.flush()

    def answer(self) -> Any:
        """What became of the work; what it raised is raised."""
        import pickle

        try:
            error, result = pickle.load(self.answers)  # noqa: S301 - by a process of our own
        except (EOFError, ConnectionResetError, pickle.UnpicklingError):
            problem = Problem(
                "process-ended",
                "a process that was reading rows ended before it was done",
                fix="most often memory ran out: try fewer processes (--processes 1)",
            )
            raise TunestackError(problem, exit_status=2) from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """End it, whatever it does."""
        self.answers.close()
        with suppress(BrokenPipeError):
            self.pieces.close()
        from signal import SIGTERM

        with suppress(ProcessLookupError):
            os.kill(self.number, SIGTERM)
        with suppress(ChildProcessError):
            os.waitpid(self.number, 0)


def _started(pieces: int, results: int) -> int:
    import subprocess

    command = [sys.executable, "-c", _PROGRAM, str(pieces), str(results), *sys.path]
    started = subprocess.Popen(command, pass_fds=[pieces, results], stdin=subprocess.DEVNULL)
    started.returncode = 0  # it is waited for in `end`
    return started.pid


class Crew:
    """Processes that start at once, and import what they need while their caller still finds out what there is to do.

    They work for one call, as `in_order`. ``fork``: begin as copies of this process, in a tenth of the time; for a
    caller that has no threads and wants none of what it holds touched. Those without work, and those that have a
    piece, with its number.
    """

    def __init__(self, processes: int, *, fork: bool = False) -> None:
        self._count = processes
        self._idle: deque[_Process] = deque()
        self._busy: dict[_Process, int] = {}
        try:
            for _ in range(processes):
                self._idle.append(_Process(fork, self._idle))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._idle, *self._busy):
            process.end()
        self._idle.clear()
        self._busy.clear()

    def __call__(self, function: Callable[[Work], Result], pieces: Iterable[Work], /) -> Iterator[Result]:
        """The results in the order of the pieces."""
        from select import select

        for process in self._idle:
            process.send(function)
        pieces = iter(pieces)
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
                process = self._idle.popleft()
                self._busy[process] = taken
                taken += 1
                process.send(piece)
            while given_back in done:
                yield done.pop(given_back)
                given_back += 1
            for process in select(list(self._busy), (), ())[0] if self._busy else ():
                done[self._busy[process]] = process.answer()
                del self._busy[process]
                self._idle.append(process)
        while given_back in done:
            yield done.pop(given_back)
            given_back += 1


def serve(pieces: int, results: int) -> None:
    """What a process of a crew does: answer each piece with (error, result) until there are no more."""
    import pickle
    import signal

    # ^C is for the process that has the results; it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        open(pieces, "rb") as stream,
        open(results, "wb") as answers,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        from tunestack.dataset import scan  # noqa: F401 - what most work needs, before it comes

        function = pickle.load(stream)  # noqa: S301 - from the process that started this one
        while True:
            piece = pickle.load(stream)  # noqa: S301
            answer: tuple[Exception | None, Any]
            try:
                answer = (None, function(piece))
            except Exception as error:
                answer = (error, None)
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
