"""Starting, finding and stopping the process; each refusal says place, have, need and fix."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import httpx
import psutil
import pytest

from tunestack.emulator import process
from tunestack.emulator.environment import environment
from tunestack.emulator.options import EmulatorOptions
from tunestack.spec.errors import TunestackError


def refusal(options):
    with pytest.raises(TunestackError) as refused:
        process.start(options)
    return refused.value.problems[0]


def test_a_folder_has_one_emulator_and_start_finds_it(emulator):
    again = process.start(replace(emulator.options, port=0))
    assert again.already
    assert (again.pid, again.url) == (emulator.running.pid, emulator.url)
    assert process.status(emulator.options.data).pid == emulator.running.pid


def test_a_port_that_another_emulator_has_is_refused_with_its_folder(emulator, tmp_path):
    problem = refusal(EmulatorOptions(data=tmp_path / "other", port=emulator.running.options.port))
    assert problem.code == "emulator-port-in-use"
    assert str(emulator.options.data) in problem.have
    assert f"--data {emulator.options.data}" in problem.fix


def test_a_port_that_another_program_has_is_refused(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        problem = refusal(EmulatorOptions(data=tmp_path, port=other.getsockname()[1]))
    assert problem.code == "emulator-port-in-use"
    assert "another program" in problem.have


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    problem = refusal(EmulatorOptions(data=tmp_path / "file" / "data", port=0))
    assert problem.code == "emulator-data-not-writable"
    assert problem.where == str(tmp_path / "file" / "data")


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    usage = process.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(process.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    problem = refusal(EmulatorOptions(data=tmp_path, port=0))
    assert (problem.code, problem.have) == ("emulator-disk-full", "1 MiB free")


def test_a_missing_trainer_or_base_model_is_refused(tmp_path):
    problem = refusal(EmulatorOptions(data=tmp_path / "d", port=0, trainer=tmp_path / "nowhere"))
    assert (problem.code, problem.where) == ("emulator-trainer-missing", str(tmp_path / "nowhere"))


def test_a_second_server_on_the_same_folder_ends_with_a_message(emulator):
    options = json.dumps(replace(emulator.options, port=0).to_json())
    second = subprocess.run(
        [sys.executable, "-m", "tunestack.emulator", options], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "emulator-data-in-use" in second.stderr
    assert "Traceback" not in second.stderr


def test_what_is_not_there_is_not_stopped(tmp_path):
    assert process.status(tmp_path) is None
    assert process.stop(tmp_path) is False


def test_an_emulator_that_answers_no_more_is_stopped_all_the_same(start):
    emulator = start()
    os.kill(emulator.running.pid, signal.SIGSTOP)
    assert process.stop(emulator.options.data, wait_seconds=0.2)
    assert not psutil.pid_exists(emulator.running.pid)


def test_health_says_who_answers(emulator):
    health = process.health(emulator.running.options.port)
    assert health["data"] == str(emulator.options.data)
    assert health["pid"] == emulator.running.pid
    assert health["pid"] != os.getpid()


def test_only_loopback_answers(emulator):
    addresses = {
        info[4][0]
        for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        if info[4][0][:4] != "127."
    }
    for address in addresses:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{address}:{emulator.running.options.port}/_local/health", timeout=2)


def test_the_principal_is_the_issuer_of_the_token(emulator, monkeypatch):
    import google.auth
    import google.auth.transport.requests

    for name, value in environment(emulator.running.options).items():
        monkeypatch.setenv(name, value)
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert project == "tunestack-local"
    session = google.auth.transport.requests.AuthorizedSession(credentials)
    assert session.get(f"{emulator.url}/v1/projects/p1").status_code == 200
    last = emulator.requests("cloudresourcemanager.projects.get")[-1]
    assert last["principal"] == "tunestack@tunestack-local.iam.gserviceaccount.com"
    assert oct((emulator.options.data / "credentials.json").stat().st_mode & 0o777) == "0o600"
