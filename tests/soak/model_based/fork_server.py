"""Starts engine, program and plugins in milliseconds: by fork from a process that has everything imported.

Starting an interpreter and importing Pulumi's SDK takes seconds a run. So one process imports everything, and
stays without a thread and without an event loop. For each run it forks the process that will be the engine; that
one, before it is the engine, forks the processes that will be the program and the plugins, so that they are its
children, as they are where it starts them itself. What is real: processes, sessions, pipes, signals, exit statuses,
gRPC, HTTP. What is not: ``exec``, and the provider's clock, which goes ``SPEED`` times as fast.

``python -m model_based.fork_server``: a JSON request a line on standard input, answers on standard output:
``{"engine": pid}``, then ``{"status": exit status, or minus the signal's number}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

PASSPHRASE = "soak"
SPEED = 60.0
SPARES = 5  # processes kept ready for one run: the program, and four plugins
UNHANDLED = 70  # exit status (EX_SOFTWARE) of an engine that raised what it must not raise

Json = dict[str, Any]


def preload() -> None:
    """Everything that any of the processes imports."""
    os.environ["GRPC_VERBOSITY"] = "NONE"
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"  # nothing of gRPC runs before the forks
    import grpc.aio  # noqa: F401
    import httpx  # noqa: F401
    import pulumi_gcp.storage  # noqa: F401
    import yaml  # noqa: F401

    import tunestack.emulator.gcp_provider.servicer
    import tunestack.engine.operation
    import tunestack.engine.session
    import tunestack.engine.stack
    import tunestack.provider
    import tunestack.provider.main  # noqa: F401


# -- the processes that wait to be the program or a plugin --


class Spare:
    """A forked child that waits to be told what to be."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.control = control


def fork_spares(count: int) -> list[Spare]:
    spares: list[Spare] = []
    engine = os.getpid()
    for _ in range(count):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for spare in spares:  # else it would not be noticed that the engine is gone
                spare.control.close()
            be_what_is_asked(theirs, engine)
        theirs.close()
        spares.append(Spare(pid, ours))
    return spares


def be_what_is_asked(control: socket.socket, engine: int) -> NoReturn:
    """Wait for ``{"arguments", "directory", "environment"}`` and three descriptors, and be that process."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            os._exit(0)
        asked = json.loads(message)
        control.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        os.chdir(asked["directory"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        run_as(asked["arguments"], engine)
        status = 0
    except SystemExit as exit_request:
        status = exit_request.code if isinstance(exit_request.code, int) else 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def role_of(arguments: Sequence[str]) -> str:
    """``program``, ``tunestack`` or ``gcp``, by the command that the engine would have started."""
    if arguments[-1].endswith("runner.py"):
        return "program"
    return "gcp" if arguments[0].endswith("pulumi-resource-gcp") else "tunestack"


def run_as(arguments: Sequence[str], engine: int) -> None:
    role = role_of(arguments)
    sys.argv = list(arguments[-2:])
    if role == "program":
        runpy.run_path(arguments[-1], run_name="__main__")
    elif role == "gcp":
        from tunestack.emulator.gcp_provider.__main__ import serve

        asyncio.run(serve())
    else:
        from tunestack.provider import main

        main.connect = functools.partial(main.connect, timing=fast_timing())  # type: ignore[assignment]
        main.main(engine)


def fast_timing() -> Any:
    """The provider's clock, ``SPEED`` times as fast: the same waits in the same order, sooner over."""
    from tunestack.vertex.timing import Timing

    return Timing(
        monotonic=lambda: time.monotonic() * SPEED, sleep=lambda seconds: asyncio.sleep(seconds / SPEED)
    )


class ForkedProcess:
    """What ``asyncio.subprocess.Process`` is, for a spare that was told what to be."""

    def __init__(self, pid: int, stdin: asyncio.StreamWriter | None, *streams: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._gone = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._gone.set()

    async def wait(self) -> int:
        await self._gone.wait()
        assert self.returncode is not None
        return self.returncode


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 20)
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "wb", 0)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


def start_from(spares: list[Spare], note: Callable[[str, int], None]) -> Callable[..., Any]:
    """``Child.start`` of the engine, with a spare in the place of a new interpreter."""
    from tunestack.engine.processes import Child, _pump

    async def start(
        watchdog: Any,
        arguments: Sequence[Any],
        directory: Path,
        environment: Mapping[str, str],
        on_stdout: Any,
        on_stderr: Any,
        listens: bool = False,
    ) -> Child:
        spare = spares.pop(0)
        words = [str(argument) for argument in arguments]
        asked = {"arguments": words, "directory": str(directory), "environment": dict(environment)}
        (their_in, our_in), (our_out, their_out), (our_err, their_err) = os.pipe(), os.pipe(), os.pipe()
        socket.send_fds(spare.control, [json.dumps(asked).encode()], [their_in, their_out, their_err])
        spare.control.close()
        for descriptor in (their_in, their_out, their_err):
            os.close(descriptor)
        stdin = await _writer(our_in) if listens else os.close(our_in)
        process = ForkedProcess(spare.pid, stdin, await _reader(our_out), await _reader(our_err))
        note(role_of(words), spare.pid)
        child = Child(process, watchdog)  # type: ignore[arg-type]
        watchdog.watch(process.pid)
        child._pumps = [
            asyncio.create_task(_pump(process.stdout, on_stdout)),
            asyncio.create_task(_pump(process.stderr, on_stderr)),
        ]
        return child

    return start


# -- the engine --


def be_the_engine(request: Json) -> int:
    """One operation, as ``tunestack up`` makes it: signals interrupt it; its exit status."""
    from tunestack import engine
    from tunestack.engine import processes, secrets

    secrets.ROUNDS = request["rounds"]
    os.setsid()
    folder = Path(request["folder"])
    spares = fork_spares(SPARES)
    log = (folder / "processes.jsonl").open("a", buffering=1)

    def note(role: str, pid: int) -> None:
        log.write(json.dumps({"role": role, "pid": pid}) + "\n")

    note("engine", os.getpid())
    for spare in spares:
        note("spare", spare.pid)
    processes.Child.start = start_from(spares, note)  # type: ignore[method-assign,assignment]
    events = (folder / "events.jsonl").open("w", buffering=1)
    seen = 0

    def on_event(event: Json) -> None:
        nonlocal seen
        seen += 1
        events.write(json.dumps(event) + "\n")
        for strike in request["strikes"]:
            if strike["event"] == seen:
                hit(folder, strike["target"], strike["signal"])

    options = engine.EngineOptions(
        project_directory=folder,
        stack="dev",
        state_directory=folder / "state",
        pulumi_home=folder / "home",
        passphrase=PASSPHRASE,
        parallel=8,
        environment=dict(os.environ),
    )

    async def drive() -> int:
        interrupt = engine.Interrupt()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_tasks)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt.trigger)
        operation = engine.Operation(request["operation"])
        selection = engine.Selection(targets=tuple(request["targets"]))
        ended = await engine.run(operation, options, on_event, interrupt=interrupt, selection=selection)
        return ended.exit_code

    try:
        return asyncio.run(drive())
    except engine.EngineError as error:
        events.write(json.dumps({"engineError": str(error)}) + "\n")
        return error.exit_code


def tell_tasks() -> None:
    """What every task of the event loop waits for; to a thread's stack it is all one wait."""
    for task in asyncio.all_tasks():
        awaited: Any = task.get_coro()
        print("task", task.get_name(), file=sys.stderr)
        while frame := getattr(awaited, "cr_frame", None):
            print(f"  {frame.f_code.co_filename}:{frame.f_lineno} {awaited.__qualname__}", file=sys.stderr)
            awaited = awaited.cr_await
    sys.stderr.flush()


def processes_of(folder: Path) -> list[tuple[str, int]]:
    """Role and process id of every process of the runs in a folder, in the order they were started."""
    path = folder / "processes.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(entry["role"], entry["pid"]) for entry in map(json.loads, lines)]


def hit(folder: Path, target: str, number: int) -> int | None:
    """Send a signal to the newest process of a role; its id, None where there is none that lives."""
    return next(iter(hit_each(folder, target, number, most=1)), None)


def hit_each(folder: Path, target: str, number: int, most: int = SPARES) -> list[int]:
    """Send a signal to the newest processes of a role in the running run; the ids of those that live."""
    roles = list(reversed(processes_of(folder)))
    started = [role for role, _ in roles]
    running = roles[: started.index("engine") + 1 if "engine" in started else None]
    struck = []
    for pid in [pid for role, pid in running if role == target][:most]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            struck.append(pid)
            with (folder / "struck.jsonl").open("a") as log:
                log.write(json.dumps({"role": target, "pid": pid, "signal": number}) + "\n")
    return struck


def gone_within(pid: int, seconds: float) -> bool:
    """Wait for the end of any process, child or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def main() -> None:
    preload()
    gc.collect()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    assert threading.active_count() == 1
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = UNHANDLED
            try:
                answers.close()
                output = os.open(request["folder"] + "/engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                null = os.open(os.devnull, os.O_RDONLY)
                for number, descriptor in ((0, null), (1, output), (2, output)):
                    os.dup2(descriptor, number)
                faulthandler.enable()  # SIGABRT: it hangs, and not even its event loop tells where
                status = be_the_engine(request)
            except BaseException:
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)
        answers.write(json.dumps({"engine": pid}) + "\n")
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}) + "\n")


if __name__ == "__main__":
    main()
