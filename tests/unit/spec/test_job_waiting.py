"""How long a job is waited for, and what happens then: said in its file, and no part of what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunestack.spec.document import load_document
from tunestack.spec.errors import TunestackError
from tunestack.spec.job import JobSpec

ROOT = Path(__file__).parents[3]
FILE = (ROOT / "jobs" / "sarcasm-classification.yaml").read_text()


def job(tmp_path: Path, *lines: str) -> JobSpec:
    path = tmp_path / "job.yaml"
    path.write_text(FILE + "\n".join(lines) + "\n")
    return load_document(path, JobSpec, {"stack": "s", "project": "p", "region": "r"})


def test_without_a_word_about_it_a_job_is_left_to_run(tmp_path: Path) -> None:
    assert (job(tmp_path).deadline, job(tmp_path).on_cancel) == (None, "detach")


@pytest.mark.parametrize("deadline", ["6h", "1h30m", "90m", "45s", "1h2m3s"])
def test_a_deadline_is_written_as_pulumi_writes_it(tmp_path: Path, deadline: str) -> None:
    assert job(tmp_path, f"deadline: {deadline}", "on_cancel: cancel").deadline == deadline


@pytest.mark.parametrize(
    "line", ["deadline: 6", "deadline: 1 day", "deadline: ''", "deadline: 1m2h", "on_cancel: kill"]
)
def test_what_is_no_deadline_is_refused_at_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(TunestackError) as caught:
        job(tmp_path, line)
    assert f"job.yaml:{len(FILE.splitlines()) + 1}:" in str(caught.value)
