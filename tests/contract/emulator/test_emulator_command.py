"""``tunestack emulator …`` as people type it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tunestack.cli.main import main
from tunestack.emulator import process

STACK = """
config:
  tunestack:project: tunestack-local
  tunestack:endpoint: http://127.0.0.1:18571
  tunestack:regions: [us-central1]
  tunestack:jobs: []
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project whose emulator has no trainer: nothing here trains."""
    root = tmp_path_factory.mktemp("project")
    (root / "Pulumi.yaml").write_text("name: tunestack\nruntime: python\n")
    (root / "Pulumi.local.yaml").write_text(STACK)
    (root / "jobs" / "trainers" / "hf").mkdir(parents=True)
    (root / ".tunestack" / "base-models" / "smollm2-135m-instruct").mkdir(parents=True)
    yield root
    process.stop(root / ".tunestack" / "emulator")


@pytest.fixture
def tunestack(folder, capsys):
    """Run ``tunestack emulator WORDS``; status, standard output, standard error."""

    def run(*words):
        status = main(["emulator", *words, "--cwd", str(folder)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def url(tunestack):
    """Of the project's emulator, started where it does not run."""
    status, out, err = tunestack("start", "--port", "0", "--json")
    assert status == 0, out + err
    return json.loads(out)["url"]


def test_it_is_started_found_and_stopped(tunestack, url):
    status, out, _ = tunestack("status")
    assert (status, f"running at {url}" in out, "IAM enforced" in out) == (0, True, True)
    assert tunestack("stop")[1] == "stopped\n"
    assert tunestack("status")[0] == 1
    assert tunestack("stop")[1] == "was not running\n"
    status, _, err = tunestack("fault", "list")
    assert (status, "no emulator runs on this data" in err, "tunestack emulator start" in err) == (
        1,
        True,
        True,
    )


def test_a_fault_is_set_fires_and_is_seen_to_have_fired(tunestack, url):
    method = "cloudresourcemanager.projects.get"
    status, out, _ = tunestack(
        "fault", "add", method, "--status", "503", "--times", "2", "--message", "not now"
    )
    assert (status, out) == (0, f"{method}: answers 503; fired 0 of 2\n")
    answer = httpx.get(f"{url}/v3/projects/p")
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "not now")
    assert tunestack("fault", "list")[1] == f"{method}: answers 503; fired 1 of 2\n"
    assert "have not fired: cloudresourcemanager.projects.get" in tunestack("status")[1]
    assert tunestack("fault", "clear")[1] == "none\n"
    assert httpx.get(f"{url}/v3/projects/p").status_code == 200


def test_a_pattern_stands_for_methods_and_a_misspelt_one_is_refused(tunestack, url):
    tunestack("fault", "add", "cloudresourcemanager.projects.*", "--delay-ms", "1", "--times", "9")
    httpx.get(f"{url}/v3/projects/p")
    httpx.post(f"{url}/v3/projects/p:getIamPolicy")
    assert "fired 2 of 9" in tunestack("fault", "clear")[1] or tunestack("fault", "list")[1] == "none\n"
    status, _, err = tunestack("fault", "add", "storage.object.get", "--status", "500")
    assert (status, "did you mean storage.objects.get" in err) == (2, True)
    status, _, err = tunestack("fault", "add", "storage.objects.get")
    assert (status, "give --status, --delay-ms or --truncate-after" in err) == (2, True)


def custom_job(url, name, **labels):
    body = {
        "displayName": name,
        "labels": labels,
        "jobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "python:3.11"}}]},
    }
    answer = httpx.post(f"{url}/v1/projects/p/locations/us-central1/customJobs", json=body)
    assert answer.status_code == 200, answer.text
    return f"{url}/v1/{answer.json()['name']}"


WRONG = [
    ("fault add storage.objects.get --status 42", ">= 400", "status"),
    ("fault add storage.objects.get --status 503 --times 0", ">= 1", "times"),
    ("fault add storage.objects.get --delay-ms -5", ">= 0", "delayMs"),
    ("fault add storage.objects.get --truncate-after -5", ">= 0", "truncateAfter"),
    ('fault add storage.objects.get --status 400 --details {"a":1}', "array", "details"),
    ("outcome add --kind tunningJobs", "no kind of job fits", "did you mean tuningJobs?"),
    ("outcome add --kind nothing", "no kind of job fits", "pipelineJobs, tuningJobs"),
    ("outcome add --kind pipelineJobs --state EXPIRED", "cannot come to EXPIRED", "they can to CANCELLED"),
    ("outcome add --now --kind pipelineJobs --state EXPIRED", "cannot come to EXPIRED", "CANCELLED"),
    ("outcome add --file nowhere.yaml", "No such file or directory", "nowhere.yaml"),
    ("settings enforceIam=maybe", "true, false or a number", "enforceIam=maybe"),
    ("settings enforceIam=3", "enforceIam is 3", "true or false"),
    ("settings operationPolls=true", "operationPolls is true", "a whole number"),
    ("start --port 99999 --data ELSEWHERE", "--port 99999 is no port", "0 to 65535"),
    ("start --port 0 --rpc-port -1 --data ELSEWHERE", "--rpc-port -1 is no port", "takes a free one"),
    ("start --port 0 --rpc-port TAKEN --data ELSEWHERE", "is taken", "another --rpc-port"),
]


@pytest.mark.parametrize(("typed", "what", "how"), WRONG, ids=[each[0] for each in WRONG])
def test_what_could_never_come_about_is_refused_and_told(tunestack, url, tmp_path, typed, what, how):
    taken = url.rpartition(":")[2]
    words = typed.replace("ELSEWHERE", str(tmp_path / "data")).replace("TAKEN", taken).split()
    status, out, err = tunestack(*words)
    assert (status > 0, out) == (True, ""), err
    assert what in err, err
    assert how in err, err
    assert [tunestack(kind, "list")[1] for kind in ("fault", "outcome")] == ["none\n", "none\n"]


def test_data_that_is_no_database_is_refused_and_left_alone(tunestack, tmp_path):
    (tmp_path / "state.db").write_text("not a database, and long enough to be read as a header " * 4)
    status, _, err = tunestack("start", "--port", "0", "--data", str(tmp_path))
    assert status > 0
    assert "emulator-database-unreadable" in err
    assert (tmp_path / "state.db").read_text().startswith("not a database")


def test_env_without_an_emulator_says_so_beside_what_a_shell_evaluates(tunestack, tmp_path):
    status, out, err = tunestack("env", "--data", str(tmp_path))
    assert status == 0
    assert all(line.startswith("export ") for line in out.splitlines())
    assert f"no emulator runs on {tmp_path}" in err


def test_outcomes_come_from_options_and_from_a_file(tunestack, url, tmp_path):
    file = tmp_path / "outcomes.yaml"
    file.write_text(
        "- {job: one, cause: stockout}\n- {kind: customJobs, job: two, state: RUNNING, times: 3}\n"
    )
    status, out, _ = tunestack("outcome", "add", "--file", str(file))
    assert status == 0
    assert out.splitlines()[0].startswith("any job job=one: FAILED after 0 s (RESOURCE_EXHAUSTED: ")
    assert out.splitlines()[1] == "customJobs job=two: RUNNING after 0 s; used 0 of 3"
    failed = custom_job(url, "a", job="one")
    held = custom_job(url, "b", job="two")
    wait(failed, "JOB_STATE_FAILED")
    wait(held, "JOB_STATE_RUNNING")
    assert "used 1 of 3" in tunestack("outcome", "list")[1]
    name = held.partition("/v1/")[2]
    assert (
        tunestack("outcome", "add", "--now", "--display-name", "b", "--state", "CANCELLED")[1] == f"{name}\n"
    )
    wait(held, "JOB_STATE_CANCELLED")
    assert tunestack("outcome", "add", "--now", "--display-name", "b")[1] == "no live job fits\n"
    assert tunestack("outcome", "clear")[1] == "none\n"


def wait(job, state):
    deadline = time.monotonic() + 30
    while (have := httpx.get(job).json()["state"]) != state:
        assert time.monotonic() < deadline, have
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {colour: red}", "outcome 1 has colour"),
        ("job: one", "it is not a list of outcomes"),
        ("- {job: [", "outcomes-unreadable"),
        ("- {cause: bad-luck}", "cause is one of"),
    ],
)
def test_a_file_that_holds_no_outcomes_is_refused_with_what_it_may_hold(
    tunestack, url, tmp_path, text, words
):
    file = tmp_path / "outcomes.yaml"
    file.write_text(text)
    status, _, err = tunestack("outcome", "add", "-f", str(file))
    assert (status, words in err) == (2, True), err
    assert "Traceback" not in err


def test_time_is_moved_and_held(tunestack, url):
    tunestack("clock", "--set", "2100-01-01T00:00:00Z", "--stopped")
    assert tunestack("clock")[1].startswith("2100-01-01T00:00:00+00:00, ")
    assert tunestack("clock", "--advance", "60")[1].startswith("2100-01-01T00:01:00+00:00, ")
    made = httpx.post(f"{url}/storage/v1/b", params={"project": "p"}, json={"name": "of-the-future"}).json()
    assert made["timeCreated"] == "2100-01-01T00:01:00.000000Z"
    status, _, err = tunestack("clock", "--set", "2001-01-01T00:00:00Z")
    assert (status, "a clock does not go back" in err) == (2, True)


def test_settings_are_seen_and_changed(tunestack, url):
    assert "enforceIam=true" in tunestack("settings")[1]
    assert "enforceIam=false" in tunestack("settings", "enforceIam=false")[1]
    status, _, err = tunestack("settings", "enforceIam=3")
    assert (status, "it must be true or false" in err) == (2, True)
    assert "enforceIam=true" in tunestack("settings", "enforceIam=true")[1]


def exported(out):
    """The environment that a shell has after ``eval`` of what was printed."""
    script = f"{out}\nexec {sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    ended = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_a_shell_that_evaluates_env_has_googles_clients_on_the_emulator(tunestack, url, folder):
    variables = exported(tunestack("env")[1])
    code = "from google.cloud import storage; print(storage.Client().create_bucket('by-env').project_number)"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert httpx.get(f"{url}/storage/v1/b/by-env").json()["projectNumber"] == ended.stdout.strip()
    # As another account the same client is refused what that account may not do.
    variables = exported(tunestack("env", "--as", "nobody@example.com")[1])
    code = code.replace("by-env", "by-nobody")
    ended = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert "nobody@example.com does not have storage.buckets.create access" in ended.stderr
    assert f"export HTTPS_PROXY={url}\n" in tunestack("env", "--guard")[1]
    assert "PROXY" not in tunestack("env")[1]
    assert (
        oct((folder / ".tunestack/emulator/credentials-nobody@example.com.json").stat().st_mode & 0o777)
        == "0o600"
    )


def test_the_endpoints_that_env_gives_the_gcp_provider_are_answered(tunestack, url):
    """Each address with a path of that service's, as the provider's clients build it (emulator.md C)."""
    variables = exported(tunestack("env")[1])
    paths = {
        "STORAGE": "b?project=p",
        "VERTEX_AI": "projects/p/locations/us-central1/tensorboards",
        "IAM_BETA": "projects/p/serviceAccounts",
        "RESOURCE_MANAGER": "projects/p",
        "SERVICE_USAGE": "projects/p/services",
        "CLOUD_QUOTAS": "projects/p/locations/global/quotaPreferences",
    }
    for name, path in paths.items():
        answer = httpx.get(variables[f"GOOGLE_{name}_CUSTOM_ENDPOINT"] + path)
        assert answer.status_code == 200, (name, answer.text)


def test_reset_asks_first_and_leaves_nothing(tunestack, url, folder):
    data = folder / ".tunestack" / "emulator"
    httpx.post(f"{url}/storage/v1/b", params={"project": "p"}, json={"name": "to-be-reset"})
    status, _, err = tunestack("reset")
    assert (status, "there is no terminal to ask on" in err) == (2, True)
    assert httpx.get(f"{url}/storage/v1/b/to-be-reset").status_code == 200
    status, out, _ = tunestack("reset", "--yes", "--json")
    fresh = json.loads(out)
    assert (status, fresh["running"]) == (0, True)
    assert httpx.get(f"{fresh['url']}/storage/v1/b/to-be-reset").status_code == 404
    assert httpx.get(f"{fresh['url']}/_local/clock").json()["aheadSeconds"] == 0
    process.stop(data)


def test_a_folder_that_holds_other_things_is_not_reset(tunestack, tmp_path):
    (tmp_path / "lock").write_text("")
    (tmp_path / "thesis.tex").write_text("years")
    status, _, err = tunestack("reset", "--yes", "--data", str(tmp_path))
    assert (status, "thesis.tex" in err) == (1, True)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_in_the_foreground_it_says_where_it_is_and_ends_with_an_interrupt(folder, tmp_path):
    words = [
        "emulator",
        "start",
        "--foreground",
        "--port",
        "0",
        "--no-iam",
        "--data",
        str(tmp_path),
        "-C",
        str(folder),
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "tunestack.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        running = None
        while running is None and child.poll() is None:
            time.sleep(0.05)
            running = process.status(tmp_path)
        assert running is not None
        assert line == f"emulator at {running.url} (data {tmp_path}); ^C ends it\n"
        assert running.pid == child.pid
        assert httpx.get(f"{running.url}/_local/settings").json()["enforceIam"] is False
        os.kill(child.pid, signal.SIGINT)
        _, errors = child.communicate(timeout=30)
        assert "Traceback" not in errors
        assert process.status(tmp_path) is None
    finally:
        child.kill()
        child.wait()


def test_the_options_stand_before_the_action_or_behind_it(folder, capsys):
    for words in (["-C", str(folder), "--json", "status"], ["status", "--json", "-C", str(folder)]):
        main(["emulator", *words])
        assert json.loads(capsys.readouterr().out)["data"] == str(folder / ".tunestack" / "emulator")


def test_nothing_is_left_of_it(folder):
    data = folder / ".tunestack" / "emulator"
    process.stop(data)
    process.reset(data)
    assert [path.name for path in data.iterdir()] == ["lock"]
    shutil.rmtree(folder)
    assert not Path(folder).exists()
