"""The emulator as a process: start it in the background, find it, stop it."""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunestack.emulator.egress import guard_environment
from tunestack.emulator.options import EmulatorOptions
from tunestack.spec.errors import Problem, TunestackError

Json = dict[str, Any]

_SPACE_NEEDED = 256 << 20
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class RunningEmulator:
    """An emulator that answers. ``options.port`` is the real one."""

    pid: int
    options: EmulatorOptions
    started_at: str
    already: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.options.port}"


def start(options: EmulatorOptions) -> RunningEmulator:
    """Start an emulator in the background and wait until it answers; the running one if the folder has one.

    Raises `TunestackError` when the port is taken, the folder cannot be written, the disk is full, the data
    is a newer version's, or the process ends or stays silent.
    """
    options = options.resolved()
    running = status(options.data)
    if running is not None:
        return RunningEmulator(running.pid, running.options, running.started_at, already=True)
    check(options)
    log = options.data / "emulator.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tunestack.emulator", json.dumps(options.to_json())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **guard_environment(options)},
        )
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        running = status(options.data)
        if running is not None:
            # Another start may have won the race for the folder; then that one is the emulator.
            return RunningEmulator(
                running.pid, running.options, running.started_at, running.pid != process.pid
            )
        if process.poll() is not None:
            check(options)
            raise _silent(log, f"it ended with exit code {process.returncode}")
        time.sleep(0.03)
    process.terminate()
    raise _silent(log, f"it did not answer within {_READY_SECONDS:.0f} s")


def stop(data: Path, wait_seconds: float = _STOP_SECONDS) -> bool:
    """Stop the emulator of a data folder, and every training process with it; whether there was one.

    One that does not end within ``wait_seconds`` is killed.

    Unfinished jobs stay as they are: the next start goes on from their checkpoints.
    """
    note = _note(data)
    # Whoever holds the folder's lock wrote the note: it is the emulator, even where it answers no more.
    if note is None or not _locked(data):
        return False
    pid = int(note["pid"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + wait_seconds
    while _locked(data) and time.monotonic() < deadline:
        time.sleep(0.03)
    if _locked(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _reap(pid)
    return True


def status(data: Path) -> RunningEmulator | None:
    """The emulator that runs on a data folder and answers, if one does."""
    data = data.absolute()
    note = _note(data)
    if note is None:
        return None
    options = EmulatorOptions.from_json(note["options"])
    answer = health(options.port)
    if answer is None or answer.get("data") != str(data) or answer.get("pid") != note["pid"]:
        return None
    options = replace(options, rpc_port=answer.get("rpcPort", options.rpc_port))
    return RunningEmulator(note["pid"], options, answer["startedAt"])


def _note(data: Path) -> Json | None:
    """What the emulator of a folder wrote of itself when it started."""
    try:
        note = json.loads((data / "emulator.json").read_text())
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and {"pid", "options"} <= set(note) else None


def health(port: int, timeout: float = 2.0) -> Json | None:
    """What an emulator on this port says of itself; None if there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/_local/health", timeout=timeout) as answer:
            body = json.loads(answer.read())
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return body if isinstance(body, dict) and body.get("service") == "tunestack-emulator" else None


def ask(url: str, verb: str, path: str, body: Json | None = None) -> Json:
    """What an emulator answers at ``/_local/…``. Raises `TunestackError` with its words where it refuses."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, method=verb)  # noqa: S310 - loopback
    try:
        with opener.open(request, timeout=30) as answer:
            reply = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        words = json.loads(error.read())["error"]["message"]
        raise TunestackError(Problem("emulator-refused", words, f"{verb} {path}"), exit_status=2) from None
    return dict(reply)


def reset(data: Path) -> EmulatorOptions | None:
    """Remove everything that an emulator's data folder holds. The options of the one that ran there and was stopped.

    Raises `TunestackError` for a folder that is no emulator's.
    """
    data = data.absolute()
    running = status(data)
    stop(data)
    if not data.exists():
        return None
    strange = sorted(path.name for path in data.iterdir() if not _ours(path.name))
    if strange or not (data / "lock").exists():
        raise TunestackError(
            Problem(
                "not-an-emulators-folder",
                "this folder is not an emulator's, or holds more than that: nothing was removed",
                str(data),
                have=", ".join(strange[:5]) or "no emulator's files",
                fix="give --data the folder that the emulator was started with",
            )
        )
    handle = lock(data)
    try:
        for path in data.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
    finally:
        os.close(handle)
    return running.options if running else None


# Everything that the emulator and its services leave in the folder.
_OURS = (
    "bigquery",
    "credentials*.json",
    "emulator.*",
    "jobs",
    "lock",
    "models",
    "objects",
    "predict-worker.log",
    "state.db*",
    ".probe-*",
)


def _ours(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OURS)


def check(options: EmulatorOptions) -> None:
    """What can be known before starting. Raises `TunestackError` with every problem found."""
    problems = [*_folder_problems(options.data), *_port_problems(options)]
    for what, path, fix in (
        ("trainer", options.trainer, "give --trainer a trainer folder, e.g. jobs/trainers/hf"),
        ("base-model", options.base_model, "run `make setup`, or give --base-model a model folder"),
    ):
        if path is not None and not path.exists():
            problems.append(
                Problem(f"emulator-{what}-missing", f"the {what} is not there", str(path), fix=fix)
            )
    if problems:
        raise TunestackError(*problems)
    database = options.data / "state.db"
    if database.exists():
        from tunestack.emulator.database import SCHEMA_VERSION, newer_database, schema_version

        try:
            version = schema_version(database)
        except sqlite3.DatabaseError as error:
            raise _unreadable(database, error) from None
        if version > SCHEMA_VERSION:
            raise newer_database(database, version)


def _folder_problems(data: Path) -> list[Problem]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe = data / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return [
            Problem(
                "emulator-data-not-writable",
                "the emulator cannot write its data folder",
                where=str(data),
                have=str(error.strerror or error),
                need="a folder that may be written",
                fix="start with another --data folder, or make this one writable",
            )
        ]
    free = shutil.disk_usage(data).free
    if free < _SPACE_NEEDED:
        return [
            Problem(
                "emulator-disk-full",
                "there is not enough room for the emulator's data",
                where=str(data),
                have=f"{free >> 20} MiB free",
                need=f"{_SPACE_NEEDED >> 20} MiB",
                fix="free some space, or start with another --data folder",
            )
        ]
    return []


def _unreadable(database: Path, error: sqlite3.DatabaseError) -> TunestackError:
    return TunestackError(
        Problem(
            "emulator-database-unreadable",
            "the emulator's data cannot be read",
            where=str(database),
            have=str(error),
            need="a database of the emulator's",
            fix=f"put back a copy of {database.parent}, or `tunestack emulator reset --data {database.parent}`",
        )
    )


def _port_problems(options: EmulatorOptions) -> list[Problem]:
    ports = {"--port": options.port, **({} if options.rpc_port is None else {"--rpc-port": options.rpc_port})}
    return [problem for option, port in ports.items() for problem in _problems_of_port(option, port)]


def _problems_of_port(option: str, port: int) -> list[Problem]:
    if not 0 <= port <= 65535:
        return [
            Problem(
                "emulator-port",
                f"{option} {port} is no port",
                need="0 to 65535",
                fix=f"{option} 0 takes a free one",
            )
        ]
    if port == 0:
        return []
    with socket.socket() as probe:
        # As the server will: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            other = health(port)
            if other:
                have = f"an emulator with the data folder {other['data']} (pid {other['pid']})"
                fix = f"tunestack emulator stop --data {other['data']}, or start with another {option}"
            else:
                have = f"another program ({error.strerror})"
                fix = f"end that program (`ss -ltnp 'sport = :{port}'` names it), or start with another {option}"
            return [
                Problem(
                    "emulator-port-in-use",
                    f"port {port} is taken",
                    where=f"127.0.0.1:{port}",
                    have=have,
                    need="a free port",
                    fix=fix,
                )
            ]
    return []


def lock(data: Path) -> int:
    """Take the data folder for this process's life. Raises `TunestackError` when another has it."""
    handle = os.open(data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise TunestackError(
            Problem(
                "emulator-data-in-use",
                "another emulator has this data folder",
                where=str(data),
                fix=f"tunestack emulator stop --data {data}, or start with another --data folder",
            )
        ) from None
    return handle


def _locked(data: Path) -> bool:
    try:
        handle = lock(data)
    except TunestackError:
        return True
    except OSError:
        return False
    os.close(handle)
    return False


def _reap(pid: int) -> None:
    """Where this process started the emulator, take its exit status, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        deadline = time.monotonic() + 5
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)


def _silent(log: Path, have: str) -> TunestackError:
    lines = log.read_text(errors="replace").strip().splitlines()[-3:]
    return TunestackError(
        Problem(
            "emulator-not-ready",
            "the emulator did not start",
            where=str(log),
            have="; ".join([have, *lines]),
            fix="read the log; it may help to start with a new --data folder",
        )
    )
