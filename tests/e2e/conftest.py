"""A project of its own for each test: the real program, provider, engine and emulator, small data, a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class LocalProject:
    """A copy of the project with its own emulator; runs the installed ``tunestack`` on it."""

    root: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``tunestack WORDS`` and return the process, its output piped together."""
        return subprocess.Popen(
            [sys.executable, "-m", "tunestack.cli.main", words[0], "--cwd", str(self.root), *words[1:]],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, status: int | None = 0) -> str:
        """Run ``tunestack WORDS`` to its end; return what it printed. Fails on another exit ``status``."""
        process = self.start(*words)
        try:
            output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            pytest.fail(f"tunestack {' '.join(words)} did not end:\n{output}")
        if status is not None:
            assert process.returncode == status, output
        self.assert_no_traceback(output)
        return output

    def assert_no_traceback(self, output: str) -> None:
        """A red end is told, not dumped. (The CLI's own Python executor does dump when it is interrupted.)"""
        if self.environment.get("TUNESTACK_ENGINE") != "cli":
            assert "Traceback (most recent call last)" not in output, output

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.run("outputs", "--json"))

    def requests(self, method: str) -> list[dict[str, Any]]:
        """Return the emulator's log of calls of one of Google's method ids."""
        import httpx

        log = httpx.get(f"http://127.0.0.1:{self.port}/_local/requests").json()
        return [call for call in log["requests"] if call["method"] == method]

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1))


def copy_project(target: Path, *, port: int) -> LocalProject:
    """Copy what makes a project; the package and its environment are shared with this checkout."""
    for name in ("Pulumi.yaml", "Pulumi.local.yaml", "Pulumi.dev.yaml"):
        shutil.copy(ROOT / name, target / name)
    for name in ("infra", "jobs", "datasets"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    (target / ".venv").symlink_to(ROOT / ".venv")
    (target / "tunestack").symlink_to(ROOT / "tunestack")
    project = LocalProject(target, port)
    project.edit("Pulumi.local.yaml", "127.0.0.1:8571", f"127.0.0.1:{port}")
    return project


@pytest.fixture(params=["embedded", pytest.param("cli", marks=pytest.mark.pulumi_cli)])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that runs the program: what they do must not differ."""
    if request.param == "cli" and shutil.which("pulumi") is None:
        pytest.skip("the Pulumi CLI is not on PATH")
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path, tiny_base_model: Path, engine: str) -> Iterator[LocalProject]:
    """A project of one quick job on a tiny base model; its emulator is stopped at the end."""
    project = copy_project(tmp_path, port=free_port())
    project.environment = {"TUNESTACK_BASE_MODEL": str(tiny_base_model), "TUNESTACK_ENGINE": engine}
    project.edit(
        "Pulumi.local.yaml",
        "jobs: [sarcasm-classification, sarcasm-generation]",
        "jobs: [sarcasm-classification]",
    )
    quicken(project)
    yield project
    project.run("emulator", "stop", status=None)


def quicken(project: LocalProject) -> None:
    """Make the job a matter of seconds: few rows, few steps, a gate that a tiny random model can pass."""
    dataset = project.root / "datasets" / "sarcasm-classification"
    rows = (dataset / "records.jsonl").read_text().splitlines(keepends=True)
    balanced = [row for row in rows if '"sarcasm"' in row][:16] + [
        row for row in rows if '"no_sarcasm"' in row
    ][:16]
    (dataset / "records.jsonl").write_text("".join(balanced))
    project.edit("datasets/sarcasm-classification/dataset.yaml", "validation: 48", "validation: 8")
    for held_out in (dataset / "held-out").glob("*.jsonl"):
        held_out.write_text("".join(held_out.read_text().splitlines(keepends=True)[:4]))
    job = project.root / "jobs" / "sarcasm-classification.yaml"
    head, _, _ = job.read_text().partition("gate:")
    lines = ["train_steps: 4" if line.startswith("train_steps") else line for line in head.splitlines()]
    gate = "gate:\n  - {set: plain, metric: accuracy, at_least: 0.0}\n"
    job.write_text("\n".join(lines).replace("interval: 20", "interval: 2") + "\n" + gate)


@pytest.fixture(scope="session")
def tiny_base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of a few hundred thousand random weights: quick, and never shown as a result."""
    folder = tmp_path_factory.mktemp("tiny") / "base-model"
    subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "trainers" / "hf"), "--tiny-base-model", str(folder)],
        check=True,
        timeout=120,
    )
    return folder


@pytest.fixture
def real_project(tmp_path: Path) -> Iterator[LocalProject]:
    """The classification job on SmolLM2, on few rows."""
    base_model = ROOT / ".tunestack" / "base-models" / "smollm2-135m-instruct"
    assert (base_model / "manifest.json").exists(), "run `make setup`: it makes the base model"
    project = copy_project(tmp_path, port=free_port())
    project.environment = {"TUNESTACK_BASE_MODEL": str(base_model), "TUNESTACK_ENGINE": "embedded"}
    project.edit(
        "Pulumi.local.yaml",
        "jobs: [sarcasm-classification, sarcasm-generation]",
        "jobs: [sarcasm-classification]",
    )
    project.edit("datasets/sarcasm-classification/dataset.yaml", "validation: 48", "validation: 8")
    dataset = tmp_path / "datasets" / "sarcasm-classification"
    for file, rows in (
        (dataset / "records.jsonl", 48),
        *((each, 6) for each in (dataset / "held-out").glob("*.jsonl")),
    ):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:rows]))
    yield project
    project.run("emulator", "stop", status=None)
