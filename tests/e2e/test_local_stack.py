"""The promises of `make up`, on a tiny model: what a user types, what stands afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from conftest import LocalProject

CREATE = "aiplatform.projects.locations.pipelineJobs.create"


def submissions(project: LocalProject) -> int:
    return len(project.requests(CREATE))


def alias_of(project: LocalProject) -> str:
    """``M@V`` of the one version in the region that has the stack's alias; fails where two have it, or none."""
    base = f"http://127.0.0.1:{project.port}/v1"
    models = httpx.get(f"{base}/projects/tunestack-local/locations/us-central1/models").json()["models"]
    found = []
    for model in models:
        answer = httpx.get(f"{base}/{model['name']}@local")
        if answer.status_code == 200:
            found.append(answer.json()["name"].rpartition("/")[2])
    (version,) = found
    return str(version)


@pytest.mark.timeout(900)  # three trainings
def test_up_builds_tunes_judges_and_a_second_up_changes_nothing(project: LocalProject) -> None:
    first = project.run("up", "--yes")
    assert "sarcasm-classification" in first
    assert "PASS" in first
    assert "tunestack predict sarcasm-classification" in first
    model = project.outputs()["models"]["sarcasm-classification"]
    assert model["verdict"] == "PASS"
    assert model["plan"]["steps_per_epoch"] == 3
    assert set(model["scores"]) == {"plain", "contrast"}
    aliased = alias_of(project)
    assert model["version"].endswith(f"/{aliased}")

    second = project.run("up", "--yes")
    assert submissions(project) == 1
    assert "unchanged" in second
    for verb in ("created", "updated", "replaced", "deleted"):
        assert f" {verb}" not in second.partition("What stands now")[0], second

    answer = project.run("predict", "sarcasm-classification", "Great, more rain.", "--base", "--json")
    assert set(json.loads(answer)[0]) == {"text", "tuned", "base"}

    # A label of a bucket is not what decides a model; a row is.
    project.edit("Pulumi.local.yaml", "team: ml-platform", "team: research")
    planned = json.loads(project.run("preview", "--json"))
    assert [job["action"] for job in planned["jobs"]] != ["retune"]
    project.run("up", "--yes")
    assert submissions(project) == 1

    records = project.root / "datasets" / "sarcasm-classification" / "records.jsonl"
    rows = records.read_text().splitlines(keepends=True)
    row = json.loads(rows[0])
    rows[0] = json.dumps({**row, "text": row["text"] + " Truly."}) + "\n"
    records.write_text("".join(rows))
    planned = json.loads(project.run("preview", "--json"))
    (job,) = planned["jobs"]
    assert job["action"] == "retune"
    assert "rows changed" in job["reason"]
    project.run("up", "--yes")
    assert submissions(project) == 2
    passed = alias_of(project)
    assert passed != aliased  # the model that was tuned anew has taken it over
    assert project.outputs()["models"]["sarcasm-classification"]["version"].endswith(f"/{passed}")

    # One that does not pass is tuned, and told, and asked by nobody.
    project.edit("jobs/sarcasm-classification.yaml", "at_least: 0.0", "at_least: 1.5")
    rows[0] = json.dumps({**row, "text": row["text"] + " Really."}) + "\n"
    records.write_text("".join(rows))
    project.run("up", "--yes", status=1)
    assert submissions(project) == 3
    assert alias_of(project) == passed

    project.run("down", "--yes")
    assert project.run("outputs", "--json").strip() == "{}"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{project.port}/_local/health")
    ours = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(project.root) in str(process.info["cmdline"])
    ]
    assert ours == []


def wait_for_submission(project: LocalProject) -> None:
    """Wait until the emulator has one pipeline job, watching its log; fails after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if submissions(project):
                return
        except httpx.TransportError:
            pass  # not up yet
        time.sleep(0.05)
    pytest.fail("no pipeline job was submitted within a minute")


def test_a_killed_up_is_taken_up_by_the_next_and_submits_once(project: LocalProject) -> None:
    running = project.start("up", "--yes")
    wait_for_submission(project)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    project.run("up", "--yes")
    assert submissions(project) == 1
    assert project.outputs()["models"]["sarcasm-classification"]["verdict"] == "PASS"


def test_an_interrupted_up_is_red_keeps_the_id_and_the_next_resumes(project: LocalProject) -> None:
    # Enough steps that the job still runs when the interrupt arrives.
    project.edit("jobs/sarcasm-classification.yaml", "train_steps: 4", "train_steps: 40")
    running = project.start("up", "--yes")
    wait_for_submission(project)
    os.kill(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode != 0
    project.assert_no_traceback(output)
    state = (project.root / ".tunestack/state/.pulumi/stacks/tunestack/local.json").read_text()
    resources = json.loads(state)["checkpoint"]["latest"]["resources"]
    (job,) = [each for each in resources if each["type"] == "tunestack:vertex:PipelineJob"]
    assert "/pipelineJobs/" in job["id"]
    project.run("up", "--yes")
    assert submissions(project) == 1


def test_an_up_that_was_left_behind_is_pending_and_the_next_adopts_its_job(project: LocalProject) -> None:
    project.edit("jobs/sarcasm-classification.yaml", "train_steps: 4", "train_steps: 40")
    running = project.start("up", "--yes")
    wait_for_submission(project)
    # Frozen, the provider hears nothing of the first interrupt, and is left behind at the second.
    stopped = [child.pid for child in psutil.Process(running.pid).children(recursive=True)]
    plugins = [
        pid for pid in stopped if "tunestack/provider/plugin" in " ".join(psutil.Process(pid).cmdline())
    ]
    for pid in plugins:
        os.kill(pid, signal.SIGSTOP)
    os.kill(running.pid, signal.SIGINT)
    time.sleep(1)  # two signals at once may arrive as one
    os.kill(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=90)
    for pid in plugins:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert running.returncode == 8, output
    state = (project.root / ".tunestack/state/.pulumi/stacks/tunestack/local.json").read_text()
    (pending,) = json.loads(state)["checkpoint"]["latest"]["pending_operations"]
    assert (pending["type"], pending["resource"].get("id")) == ("creating", None)

    again = project.run("up", "--yes")
    assert "interrupted while creating" in again
    assert submissions(project) == 1
    project.run("refresh", "--clear-pending-creates")
    assert "pending" not in project.run("up", "--yes", "--expect-no-changes")
    assert "pending_operations" not in json.loads(project.run("stack", "export"))["deployment"]


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_bad_row_stops_the_preview_with_every_bad_row_listed(project: LocalProject) -> None:
    records = project.root / "datasets" / "sarcasm-classification" / "records.jsonl"
    rows = records.read_text().splitlines(keepends=True)
    rows[1] = '{"text": "no label"}\n'
    rows[3] = '{"text": "", "label": "sarcasm"}\n'
    records.write_text("".join(rows))
    refused = project.run("preview", status=1)
    assert "records.jsonl:2:" in refused
    assert "records.jsonl:4:" in refused


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (
            "Pulumi.local.yaml",
            "tunestack:regions:",
            "tunestack:regoins:",
            ["Pulumi.local.yaml:6:3", "tunestack:regions"],
        ),
        (
            "jobs/sarcasm-classification.yaml",
            "region: us-central1",
            "region: us-centrl1",
            ["did you mean 'us-central1'"],
        ),
        (
            "jobs/sarcasm-classification.yaml",
            "accelerator: GPU",
            "accelerator: TPU",
            ["us-central1 has no TPU", "fix"],
        ),
        (
            "jobs/sarcasm-classification.yaml",
            "train_steps:",
            "train_stepz:",
            ["sarcasm-classification.yaml:", "train_steps"],
        ),
        (
            "Pulumi.local.yaml",
            "jobs: [sarcasm-classification]",
            "jobs: [sarcasm-clasification]",
            ["no job", "did you mean"],
        ),
    ],
)
def test_wrong_input_is_told_with_place_and_fix(
    project: LocalProject, path: str, old: str, new: str, words: list[str]
) -> None:
    project.edit(path, old, new)
    refused = project.run("preview", status=None)
    for word in words:
        assert word in refused, refused


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_port_in_use_is_told_with_its_user_and_a_fix(project: LocalProject) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", project.port))
        taken.listen()
        refused = project.run("up", "--yes", status=1)
    assert str(project.port) in refused
    assert "fix" in refused


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_stack_on_google_is_not_run_on_the_embedded_engine(project: LocalProject) -> None:
    refused = project.run("preview", "--stack", "dev", "--engine", "embedded", status=None)
    assert "retired" in refused or "loopback" in refused


def test_down_without_a_terminal_asks_for_yes_where_data_would_be_lost(
    project: LocalProject, tmp_path: Path
) -> None:
    project.run("up", "--yes")
    refused = project.run("down", status=2)
    assert "tuned model sarcasm-classification" in refused
    assert "--yes" in refused
    assert project.outputs()["models"]
