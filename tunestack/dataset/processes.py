"""A function over many pieces of work, in as many processes as are asked for, its results in the order of the work.

Processes are started anew and never forked: this runs inside programs with threads (Pulumi's gRPC), and a fork of
those can hang for ever. They are not started as multiprocessing starts them either, for that runs the caller's
`__main__` again; what they have of it is two pipes. A process that the caller leaves behind, however it ends, reads the
end of its pipe and ends too.
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
# The descriptor that a started process writes its answers to.
_ANSWERS = "TUNESTACK_ANSWERS"
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]\nfrom tunestack.dataset.processes import serve; serve()"


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

    def __init__(self) -> None:
        import subprocess

        # Its standard output is ours, in case something within the work prints.
        answers, theirs = os.pipe()
        command = [sys.executable, "-c", _PROGRAM, *sys.path]
        environment = {**os.environ, _ANSWERS: str(theirs)}
        self.started = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[theirs], env=environment, bufsize=-1
        )
        os.close(theirs)
        self.answers = open(answers, "rb")  # noqa: SIM115, PTH123 - closed in `end`

    def fileno(self) -> int:
        return self.answers.fileno()

    def send(self, piece: Any) -> None:
        import pickle

        stream = self.started.stdin
        assert stream is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone; the next answer says so
            pickle.dump(piece, stream, pickle.HIGHEST_PROTOCOL)
            stream.flush()

    def answer(self) -> Any:
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
        self.answers.close()
        self.started.terminate()
        with suppress(BrokenPipeError):
            self.started.communicate()


class Crew:
    """Processes that start at once, and import what they need while their caller still finds out what there is to do.

    They work for one call, as `in_order`. Those without work, and those that have a piece, with its number.
    """

    def __init__(self, processes: int) -> None:
        self._count = processes
        self._idle: deque[_Process] = deque()
        self._busy: dict[_Process, int] = {}
        try:
            for _ in range(processes):
                self._idle.append(_Process())
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


def serve() -> None:
    """What a started process does: answer each piece with (error, result) until there are no more."""
    import pickle
    import signal

    # ^C is for the process that has the results; it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        open(int(os.environ[_ANSWERS]), "wb") as answers,  # noqa: PTH123 - a descriptor
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        from tunestack.dataset import scan  # noqa: F401 - what most work needs, before it comes

        function = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
        while True:
            piece = pickle.load(sys.stdin.buffer)  # noqa: S301
            answer: tuple[Exception | None, Any]
            try:
                answer = (None, function(piece))
            except Exception as error:
                answer = (error, None)
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
