"""The jobs of a stack are planned from their datasets as they are, held against what was agreed on."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from tunestack.dataset import compile_dataset
from tunestack.dataset.lock import LOCK_FILE, lock_of, write_lock
from tunestack.plan.project import resolve_jobs
from tunestack.spec.errors import TunestackError
from tunestack.spec.stack import StackSpec

ROOT = Path(__file__).resolve().parents[3]
LOCAL = StackSpec(
    name="local",
    project="tunestack-local",
    regions=("us-central1", "europe-west4"),
    jobs=("sarcasm-classification",),
    endpoint="http://127.0.0.1:8571",
)
GOOGLE = LOCAL.model_copy(update={"name": "dev", "endpoint": None})
# Before Google retired the base model.
THEN = date(2025, 1, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("jobs/sarcasm-classification.yaml", "datasets/sarcasm-classification"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    folder = tmp_path / "datasets" / "sarcasm-classification"
    write_lock(folder, lock_of(folder, compile_dataset(folder, tmp_path / "out")))
    return tmp_path


def change_a_row(root: Path) -> None:
    records = root / "datasets" / "sarcasm-classification" / "records.jsonl"
    first, *rest = records.read_text(encoding="utf-8").splitlines(keepends=True)
    records.write_text(first.replace('"text": "', '"text": "Well, ') + "".join(rest), encoding="utf-8")


@pytest.mark.parametrize("stack", [LOCAL, GOOGLE], ids=["local", "google"])
def test_a_dataset_that_its_lock_was_written_for_is_planned(root: Path, stack: StackSpec) -> None:
    (plan,) = resolve_jobs(root, stack, today=THEN)
    assert plan.dataset.train.rows == plan.steps.rows


def test_a_stale_lock_is_red_on_google_with_everything_that_moved_and_how_to_renew_it(root: Path) -> None:
    change_a_row(root)
    with pytest.raises(TunestackError) as refused:
        resolve_jobs(root, GOOGLE, today=THEN)
    problems = refused.value.problems
    assert {problem.code for problem in problems} == {"lock-stale"}
    assert {problem.where for problem in problems} == {f"datasets/sarcasm-classification/{LOCK_FILE}"}
    assert any("sources.records.jsonl.blake3" in problem.message for problem in problems)
    assert all("tunestack dataset compile" in problem.fix for problem in problems)


def test_on_the_local_stack_a_dataset_can_be_tried_without_its_lock(root: Path) -> None:
    change_a_row(root)
    assert len(resolve_jobs(root, LOCAL, today=THEN)) == 1


def test_a_dataset_without_a_lock_is_planned_as_it_is(root: Path) -> None:
    (root / "datasets" / "sarcasm-classification" / LOCK_FILE).unlink()
    change_a_row(root)
    assert len(resolve_jobs(root, GOOGLE, today=THEN)) == 1
