"""Nobody can forget to ask whether a fault fired, or overlook an answer that is not as Google's schema has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"
TESTS = """
import logging, subprocess, sys
import httpx, pytest
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions

@pytest.fixture(scope="module")
def url(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    yield process.start(EmulatorOptions(data=data, port=0)).url
    process.stop(data)

def inject(url, **fault):
    httpx.post(f"{url}/_local/faults", json={"method": "storage.buckets.list", **fault}).raise_for_status()

def test_that_fires(url):
    inject(url, status=503)
    assert httpx.get(f"{url}/storage/v1/b?project=p").status_code == 503

def test_that_never_fires(url):
    inject(url, status=503, times=2)

def test_that_takes_back_what_never_fired(url):
    inject(url, delayMs=7)
    httpx.delete(f"{url}/_local/faults")

def test_after_them(url):
    assert httpx.get(f"{url}/storage/v1/b?project=p").status_code == 200

async def test_that_injects_by_an_asynchronous_client(url):
    async with httpx.AsyncClient(base_url=url) as client:
        await client.post("/_local/faults", json={"method": "storage.buckets.list", "truncateAfter": 0})

@pytest.mark.faults_may_miss
def test_at_random(url):
    inject(url, status=503)

def test_that_loses_its_emulator(tmp_path):
    running = process.start(EmulatorOptions(data=tmp_path, port=0))
    inject(running.url, status=503)
    process.stop(tmp_path)

def test_with_a_failing_emulator(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "emulator.log").write_text(
        "2026-11-23 05:00:00,000 INFO started\\n"
        "2026-11-23 05:00:00,000 ERROR GET /v1/x\\nTraceback (most recent call last):\\n"
        "RuntimeError: the answer of x.get is not as Google's schema has it\\n"
        "2026-11-23 05:00:00,000 INFO ended\\n"
    )

def test_with_a_failing_emulator_inside():
    logging.getLogger("tunestack.emulator").error("GET /v1/y")

def test_without_checks(tmp_path):
    with pytest.raises(AssertionError, match="in every test"):
        process.start(EmulatorOptions(data=tmp_path, port=0, check_responses=False))
"""


@pytest.mark.emulator_may_fail
def test_what_did_not_fire_and_what_failed_fails_the_test_and_is_named(tmp_path):
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-ra",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
    ]
    run = subprocess.run(
        [*command, "--basetemp", tmp_path / "base", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = [
        line.split(" - ")[0]
        for line in run.stdout.splitlines()
        if line.startswith(("FAILED test", "ERROR test"))
    ]
    assert sorted(told) == [
        "ERROR test_it.py::test_with_a_failing_emulator",
        "ERROR test_it.py::test_with_a_failing_emulator_inside",
        "FAILED test_it.py::test_that_injects_by_an_asynchronous_client",
        "FAILED test_it.py::test_that_loses_its_emulator",
        "FAILED test_it.py::test_that_never_fires",
        "FAILED test_it.py::test_that_takes_back_what_never_fired",
    ], run.stdout
    for words in (
        "- storage.buckets.list: status 503, delayMs 0, truncateAfter None: fired 0 of 2 times",
        "- storage.buckets.list: status None, delayMs 7, truncateAfter None: fired 0 of 1 times",
        "- storage.buckets.list: status None, delayMs 0, truncateAfter 0: fired 0 of 1 times",
        "nobody answers any more, so whether the faults fired cannot be said",
        "RuntimeError: the answer of x.get is not as Google's schema has it",
        "- GET /v1/y",
    ):
        assert words in run.stdout, run.stdout
    assert "INFO ended" not in run.stdout
