"""`tunestack jobs`: what the stack's jobs are now, and waiting for them without running the program."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tunestack.cli import jobs
from tunestack.cli import main as cli
from tunestack.cli.terminal import console
from tunestack.provider.configuration import Configuration
from tunestack.provider.registry import connect
from tunestack.provider.resource import Session
from tunestack.vertex.client import VertexClient
from tunestack.vertex.timing import Timing
from tunestack.vertex.transport import Transport

PARENT = "projects/acme/locations/us-central1"


def resource(name: str, kind: str = "PipelineJob", state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    segment = kind[0].lower() + kind[1:] + "s"
    outputs = {
        "name": f"{PARENT}/{segment}/{name}-1",
        "location": "us-central1",
        "specHash": f"{name}-hash",
        "state": state,
    }
    return {
        "urn": f"urn:pulumi:local::tunestack::tunestack:infra:TunedModel$tunestack:vertex:{kind}::{name}",
        "type": f"tunestack:vertex:{kind}",
        "id": outputs["name"],
        "outputs": outputs,
        **more,
    }


STATE = [
    {"urn": "urn:pulumi:local::tunestack::gcp:storage/bucket:Bucket::b", "type": "gcp:storage/bucket:Bucket"},
    resource("tune", "TuningJob"),
    resource("custom", "CustomJob"),
    resource("pipe"),
    resource("old", delete=True),
]


class Cloud:
    """Each job goes through its states, one a request that shows it."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}
        self.asked: Callable[[int], None] = lambda count: None
        self.count = 0

    def view(self, kind: str, id_: str) -> dict[str, Any]:
        states = self.states[id_]
        state = states.pop(0) if len(states) > 1 else states[0]
        prefix = "PIPELINE_STATE_" if kind == "pipelineJobs" else "JOB_STATE_"
        view: dict[str, Any] = {
            "name": f"{PARENT}/{kind}/{id_}",
            "state": prefix + state,
            "labels": {"tunestack-spec-hash": f"{id_.removesuffix('-1')}-hash"},
        }
        if state == "FAILED":
            view["error"] = {"code": 3, "message": "row 12 has no text"}
        return view

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        self.asked(self.count)
        *_, kind, last = request.url.path.split("/")
        if "filter" in request.url.params:
            hashes = re.findall(r'="([^"]+)-hash"', request.url.params["filter"])
            found = [self.view(last, f"{name}-1") for name in hashes if f"{name}-1" in self.states]
            return httpx.Response(200, json={last: found})
        if last not in self.states:
            return httpx.Response(404, json={"error": {"status": "NOT_FOUND", "message": "gone"}})
        return httpx.Response(200, json=self.view(kind, last))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    played = Cloud()
    played.states = {f"{name}-1": ["RUNNING", "RUNNING", "SUCCEEDED"] for name in ("tune", "custom", "pipe")}
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def token(*, renew: bool = False) -> str:
        return "token"

    timing = Timing(lambda: now[0], sleep, lambda: now[0], lambda: 0.5)

    def session(project: object) -> Session:
        http = httpx.AsyncClient(transport=httpx.MockTransport(played.answer))
        transport = Transport(SimpleNamespace(token=token), timing=timing, http=http)
        return dataclasses.replace(
            connect(Configuration(), timing),
            vertex=VertexClient(transport, endpoint="https://x", timing=timing),
        )

    engine = SimpleNamespace(resources=lambda: STATE)
    monkeypatch.setattr("tunestack.cli.engines.open_engine", lambda project, choice: engine)
    monkeypatch.setattr(jobs, "_session", session)
    return played


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: tunestack\n")
    return tmp_path


def tunestack(project: Path, *words: str) -> int:
    return cli.main(["jobs", words[0], "--cwd", str(project), *words[1:]])


def test_the_stacks_jobs_are_listed_as_they_are_now(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.states["pipe-1"] = ["FAILED"]
    del cloud.states["custom-1"]
    assert tunestack(project, "list", "--json") == 0
    listed = {job["name"]: job for job in json.loads(capsys.readouterr().out)["jobs"]}
    assert list(listed) == ["custom", "pipe", "tune"]
    assert listed["pipe"]["state"] == "FAILED"
    assert listed["pipe"]["progress"] == "row 12 has no text"
    assert "no longer exists" in listed["custom"]["error"]
    assert listed["tune"] == {
        "name": "tune",
        "kind": "TuningJob",
        "id": f"{PARENT}/tuningJobs/tune-1",
        "region": "us-central1",
        "specHash": "tune-hash",
        "state": "RUNNING",
        "progress": "tune",
        "error": "",
    }
    assert tunestack(project, "list", "tune") == 0
    shown = capsys.readouterr().out
    assert "RUNNING" in shown
    assert "pipe" not in shown


def test_watching_ends_with_the_last_job_and_is_green_where_all_succeeded(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tunestack(project, "watch") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("tune", "custom", "pipe"):
        assert f"{name}: RUNNING {name}-1" in lines
        assert f"{name}: SUCCEEDED {name}-1" in lines


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"])
def test_one_red_job_makes_it_red(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    cloud.states["tune-1"] = ["RUNNING", end]
    assert tunestack(project, "watch") == 1
    shown = capsys.readouterr().out
    assert f"tune: {end} tune-1" in shown
    assert ("row 12 has no text" in shown) is (end == "FAILED")
    assert tunestack(project, "watch", "pipe") == 0


def test_a_job_that_is_gone_is_red_and_the_others_are_followed(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del cloud.states["tune-1"]
    assert tunestack(project, "watch") == 1
    shown = capsys.readouterr().out
    assert "tune: RUNNING: no longer exists" in shown
    assert "pipe: SUCCEEDED" in shown


def test_an_interrupt_leaves_the_jobs_alone(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.states = {id_: ["RUNNING"] for id_ in cloud.states}
    cloud.asked = lambda count: os.kill(os.getpid(), signal.SIGINT) if count == 12 else None
    assert tunestack(project, "watch") == 130
    assert "the jobs go on" in capsys.readouterr().out


def test_machines_get_a_line_a_change(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tunestack(project, "watch", "pipe", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["state"] for line in lines] == ["RUNNING", "SUCCEEDED"]


def test_a_name_that_is_no_job_is_met_with_those_that_are(
    cloud: Cloud, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tunestack(project, "watch", "pipes") == 2
    assert "custom, pipe, tune" in capsys.readouterr().err


def test_a_submission_that_nobody_confirmed_is_named_as_such() -> None:
    unconfirmed = resource("tune", "TuningJob")
    unconfirmed["outputs"] = {"name": f"{PARENT}/tuningJobs/unconfirmed-abc"}
    (row,) = jobs.jobs_in([unconfirmed])
    assert (row.state, row.green) == ("UNCONFIRMED", False)


def test_the_table_says_state_progress_region_and_hash() -> None:
    rows = jobs.jobs_in(STATE)
    shown = console("never")
    with shown.capture() as captured:
        shown.print(jobs.table([dataclasses.replace(rows[0], progress="tune 34 % · step 31/90")]))
    for word in ("custom", "CustomJob", "RUNNING", "tune 34 % · step 31/90", "us-central1", "custom-hash"):
        assert word in captured.get()
