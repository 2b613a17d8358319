"""What every test is held to beside its own assertions, whatever it does to its emulators:

- a fault that it injected has fired (`/_local/faults`), unless it is marked ``faults_may_miss``;
- no emulator failed while it ran: an answer that is not as Google's schema has it is an error in the emulator's log,
  and in a process of its own nobody else would look there.

Faults are noticed on their way through httpx, so nothing has to be remembered; emulators by `process.start`, and by
the logs under ``tmp_path`` where a command started one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions

FAULTS = "/_local/faults"
# As `tunestack.emulator.__main__` sets logging up; what a client breaks off is uvicorn's and looks otherwise.
_FAILURE = re.compile(r"^\d{4}-\S+ \S+ (?:ERROR|CRITICAL) .*(?:\n(?!\d{4}-\S+ \S+ [A-Z]+ ).*)*", re.MULTILINE)
_LOGS = tuple("/".join(["*"] * depth + ["emulator.log"]) for depth in range(1, 5))


class Watch:
    """Of one process of pytest: the faults injected by the test that runs, and the logs read so far."""

    def __init__(self) -> None:
        self.injected: set[str] = set()
        """Addresses of the faults of emulators."""
        self.unfired: list[str] = []
        self.failures: list[str] = []
        self._read: dict[Path, int] = {}
        self._asks = False

    def sent(self, request: httpx.Request) -> None:
        """A request of a test's is about to go out."""
        if request.url.path != FAULTS or self._asks:
            return
        if request.method == "POST":
            self.injected.add(str(request.url))
        elif request.method == "DELETE":
            self.settle({str(request.url)})

    def settle(self, addresses: set[str]) -> None:
        """Take the faults of emulators away, and note those that did not fire."""
        self._asks = True
        try:
            for address in addresses & self.injected:
                self.unfired += _unfired(address)
        finally:
            self._asks = False
            self.injected -= addresses

    def started(self, data: Path) -> None:
        self._read.setdefault(data / "emulator.log", 0)

    def read_logs(self, folder: Path | None) -> None:
        """Note every failure that is new in a log: of the emulators known, and of those below ``folder``."""
        if folder is not None:
            for pattern in _LOGS:
                for path in folder.glob(pattern):
                    self._read.setdefault(path, 0)
        for path, start in list(self._read.items()):
            if not path.exists():
                continue
            text = path.read_bytes()[start:].decode(errors="replace")
            self._read[path] = path.stat().st_size
            self.failures += [f"{path}:\n{found.group(0)}" for found in _FAILURE.finditer(text)]


def _unfired(address: str) -> list[str]:
    try:
        found = httpx.get(address, trust_env=False).json()["faults"]
        httpx.delete(address, trust_env=False)
    except httpx.TransportError:
        return [f"{address}: nobody answers any more, so whether the faults fired cannot be said"]
    return [
        f"{fault['method']}: status {fault['status']}, delayMs {fault['delayMs']}, truncateAfter"
        f" {fault['truncateAfter']}: fired 0 of {fault['times']} times"
        for fault in found
        if not fault["fired"]
    ]


class InProcess(logging.Handler):
    """Hears the emulators that live in the process of the tests."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.ERROR)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        formatter = logging.Formatter()
        self._watch.failures.append(formatter.format(record))


_watch = Watch()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "faults_may_miss: injects at random; a fault that does not fire is no mistake"
    )
    config.addinivalue_line("markers", "emulator_may_fail: makes the emulator fail, and looks at how it does")
    logging.getLogger("tunestack.emulator").addHandler(InProcess(_watch))

    def starts(start: Any) -> Any:
        def started(options: EmulatorOptions) -> process.RunningEmulator:
            assert options.check_responses, "answers are checked against Google's schemas in every test"
            _watch.started(options.data.absolute())
            running: process.RunningEmulator = start(options)
            return running

        return started

    process.start = starts(process.start)

    def watched(send: Any) -> Any:
        def sent(client: Any, request: httpx.Request, **options: Any) -> Any:
            _watch.sent(request)
            return send(client, request, **options)

        return sent

    for client in (httpx.Client, httpx.AsyncClient):
        client.send = watched(client.send)  # type: ignore[attr-defined]


def _tell(what: str, found: Iterable[str]) -> None:
    if told := list(found):
        pytest.fail(what + "".join(f"\n- {each}" for each in told), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Before anything is torn down, while the emulators still answer."""
    _watch.unfired.clear()
    try:
        result = yield
    finally:
        _watch.settle(_watch.injected.copy())
    if item.get_closest_marker("faults_may_miss") is None:
        _tell("injected, and nothing came of it:", _watch.unfired)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Once the test's emulators have ended: what they said at their end counts too."""
    result = yield
    _watch.read_logs(getattr(item, "funcargs", {}).get("tmp_path"))
    failures = _watch.failures.copy()
    _watch.failures.clear()
    if item.get_closest_marker("emulator_may_fail") is None:
        _tell("an emulator failed:", failures)
    return result
