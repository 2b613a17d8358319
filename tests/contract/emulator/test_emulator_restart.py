"""What survives a killed, a stopped and a restarted emulator."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import sqlite3

import httpx
import psutil
import pytest

from tunestack.emulator import process
from tunestack.spec.errors import TunestackError


def job_folder(emulator):
    return next((emulator.options.data / "jobs").rglob("process.json")).parent


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_killed_emulator_finds_its_running_job_again(start):
    emulator = start(step_seconds=0.05)
    name = emulator.submit(emulator.bucket(), train_steps=40)
    emulator.wait_for_step(name, 2)
    emulator.kill()
    trainer = json.loads((job_folder(emulator) / "process.json").read_text())
    assert psutil.pid_exists(trainer["pid"])
    emulator.start_again()
    job = emulator.wait(name)
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert emulator.task(job, "tune")["starts"] == 1
    assert len(lines(job_folder(emulator) / "output" / "starts.jsonl")) == 1
    assert len(emulator.requests("aiplatform.projects.locations.pipelineJobs.create")) == 1


def test_a_trainer_that_died_with_the_emulator_goes_on_from_its_checkpoint(start):
    emulator = start(step_seconds=0.02)
    name = emulator.submit(emulator.bucket(), train_steps=60, evaluation_interval=5)
    emulator.wait_for_step(name, 12)
    emulator.kill()
    folder = job_folder(emulator)
    os.killpg(json.loads((folder / "process.json").read_text())["pid"], signal.SIGKILL)
    emulator.start_again()
    job = emulator.wait(name)
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert emulator.task(job, "tune")["starts"] == 2
    steps = [line["step"] for line in lines(folder / "output" / "metrics.jsonl")]
    # None, where it died just after it had written a checkpoint.
    gone_back = [i for i in range(1, len(steps)) if steps[i] <= steps[i - 1]]
    assert all(steps[i] > 10 for i in gone_back)
    assert steps[-1] == 60


def test_a_stopped_emulator_leaves_nothing_running_and_goes_on_when_started(start):
    emulator = start(step_seconds=0.05)
    name = emulator.submit(emulator.bucket(), train_steps=40, evaluation_interval=2)
    emulator.wait_for_step(name, 4)
    assert process.stop(emulator.options.data)
    pid = json.loads((job_folder(emulator) / "process.json").read_text())["pid"]
    assert not psutil.pid_exists(pid)
    assert not psutil.pid_exists(emulator.running.pid)
    emulator.start_again()
    assert emulator.wait(name)["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_a_cancel_that_was_acknowledged_is_not_forgotten(start):
    emulator = start(step_seconds=0.2)
    name = emulator.submit(emulator.bucket(), train_steps=500)
    emulator.wait_for_step(name, 1)
    emulator.call("POST", f"/v1/{name}:cancel")
    emulator.kill()
    emulator.start_again()
    assert emulator.wait(name)["state"] == "PIPELINE_STATE_CANCELLED"
    pid = json.loads((job_folder(emulator) / "process.json").read_text())["pid"]
    wait_until_gone(pid)


def wait_until_gone(pid):
    """It was told to end; a loaded machine may take a moment until it has. Fails after half a minute."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=30)


def test_a_job_that_waited_in_the_queue_is_still_there(start):
    emulator = start(step_seconds=0.05, parallel_jobs=1)
    bucket = emulator.bucket()
    first, second = (emulator.submit(bucket, train_steps=10) for _ in range(2))
    emulator.wait_for_step(first, 1)
    emulator.kill()
    emulator.start_again()
    assert emulator.wait(first)["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert emulator.wait(second)["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_every_acknowledged_write_is_there_after_a_kill(start):
    emulator = start()
    bucket = emulator.bucket()
    acknowledged = {}
    client = httpx.Client(base_url=emulator.url, timeout=10)

    def write(number):
        name, text = f"object-{number}", f"content {number}" * 50
        query = {"uploadType": "media", "name": name}
        answer = client.post(f"/upload/storage/v1/b/{bucket.name}/o", params=query, content=text)
        if answer.status_code == 200:
            acknowledged[name] = text
        if len(acknowledged) == 150:
            emulator.kill()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = [pool.submit(write, number) for number in range(400)]
    broken = [outcome for outcome in outcomes if isinstance(outcome.exception(), httpx.TransportError)]
    assert broken
    assert len(acknowledged) >= 150
    emulator.start_again()
    there = {blob.name: blob for blob in emulator.storage().list_blobs(bucket.name)}
    assert set(acknowledged) <= set(there)
    for name, blob in there.items():
        # Also what was not acknowledged is whole or not there.
        expected = f"content {name.removeprefix('object-')}" * 50
        assert emulator.http.get(f"/download/storage/v1/b/{bucket.name}/o/{name}?alt=media").text == expected
        assert blob.size == len(expected)


def test_an_upload_in_parts_outlives_the_emulator(start):
    emulator = start()
    bucket = emulator.bucket()
    begin = emulator.http.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=x")
    location = httpx.URL(begin.headers["location"])
    emulator.http.put(location, content=b"a" * 262144, headers={"content-range": "bytes 0-262143/*"})
    emulator.kill()
    emulator.start_again()
    location = location.copy_with(port=emulator.running.options.port)
    assert (
        emulator.http.put(location, headers={"content-range": "bytes */*"}).headers["range"]
        == "bytes=0-262143"
    )
    emulator.http.put(location, content=b"b", headers={"content-range": "bytes 262144-262144/262145"})
    assert emulator.storage().bucket(bucket.name).blob("x").download_as_bytes() == b"a" * 262144 + b"b"


def test_a_newer_database_is_refused_and_left_as_it_is(start):
    emulator = start()
    process.stop(emulator.options.data)
    database = emulator.options.data / "state.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(TunestackError, match="written by a newer version") as refused:
        process.start(emulator.options)
    assert refused.value.problems[0].have == "schema version 99"
