"""What would fail at Google after hours is refused before anything is declared."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tunestack.dataset import CompiledDataset, CompiledFile
from tunestack.plan import resolve
from tunestack.spec.errors import TunestackError
from tunestack.spec.job import JobSpec
from tunestack.spec.stack import StackSpec

TODAY = date(2026, 11, 22)
LOCAL = StackSpec(
    name="local",
    project="tunestack-local",
    regions=("us-central1", "europe-west4"),
    jobs=(),
    endpoint="http://127.0.0.1:8571",
)
GOOGLE = LOCAL.model_copy(update={"name": "dev", "endpoint": None})


def job(**changes: Any) -> JobSpec:
    values: dict[str, Any] = {
        "name": "toy-job",
        "backend": "pipeline",
        "base_model": "text-bison@001",
        "dataset": "toy-data",
        "region": "us-central1",
        "accelerator": "GPU",
        "train_steps": 90,
        "model_display_name": "toy",
        "max_output_tokens": 8,
        "gate": ({"set": "plain", "metric": "accuracy", "at_least": 0.5},),
    }
    return JobSpec.model_validate({**values, **changes})


def dataset(digest: str = "a" * 64, rows: int = 240) -> CompiledDataset:
    def file(name: str, count: int) -> CompiledFile:
        return CompiledFile(path=Path(name), rows=count, digest=digest, crc32c="AAAAAA==", bytes=1)

    return CompiledDataset(
        name="toy-data",
        digest=digest,
        train=file("train.jsonl", rows),
        validation=file("validation.jsonl", 48),
        held_out={"plain": file("plain.jsonl", 60)},
        labels=("sarcasm", "no_sarcasm"),
    )


def refused(**changes: Any) -> TunestackError:
    stack = changes.pop("stack", LOCAL)
    with pytest.raises(TunestackError) as caught:
        resolve(
            job(**changes),
            dataset(),
            stack,
            today=TODAY,
            where=lambda field: f"jobs/toy-job.yaml:1:1 {field}",
        )
    return caught.value


def test_a_plan_says_how_many_steps_on_which_accelerator() -> None:
    plan = resolve(job(), dataset(), LOCAL, today=TODAY)
    assert plan.accelerator.description == "8 × A100 80 GB"
    assert (plan.steps.batch_size, plan.steps.steps_per_epoch) == (8, 30)
    assert len(plan.spec_hash) == 32


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"region": "us-centrall1"}, "unknown-region", "did you mean 'us-central1'?"),
        ({"accelerator": "TPU"}, "accelerator-not-in-region", "us-central1 has no TPU"),
        ({"base_model": "text-bison"}, "unknown-base-model", "text-bison@00"),
        (
            {"gate": ({"set": "plane", "metric": "accuracy", "at_least": 0.5},)},
            "unknown-held-out-set",
            "'plain'",
        ),
        ({"stack": GOOGLE}, "base-model-retired", "2025-04-09"),
    ],
)
def test_what_cannot_run_is_refused_with_place_and_fix(
    changes: dict[str, Any], code: str, words: str
) -> None:
    problem = refused(**changes).problems[0]
    assert problem.code == code
    assert words in problem.message
    assert problem.where.startswith("jobs/toy-job.yaml")
    assert problem.have
    assert problem.need
    assert problem.fix


def test_all_problems_of_a_job_are_told_at_once() -> None:
    error = refused(accelerator="TPU", base_model="nothing", stack=GOOGLE)
    assert {problem.code for problem in error.problems} == {"accelerator-not-in-region", "unknown-base-model"}


def test_only_what_decides_the_result_changes_the_spec_hash() -> None:
    base = resolve(job(), dataset(), LOCAL, today=TODAY).spec_hash
    renamed = resolve(job(model_display_name="other", description="x"), dataset(), LOCAL, today=TODAY)
    assert renamed.spec_hash == base
    for changed in (
        resolve(job(train_steps=91), dataset(), LOCAL, today=TODAY),
        resolve(job(learning_rate_multiplier=2.0), dataset(), LOCAL, today=TODAY),
        resolve(job(), dataset(digest="b" * 64), LOCAL, today=TODAY),
    ):
        assert changed.spec_hash != base


def test_the_template_gets_googles_parameters_and_no_batch_size() -> None:
    values = resolve(job(), dataset(), LOCAL, today=TODAY).parameter_values(
        project="p", dataset_uri="gs://b/train.jsonl", evaluation_uri="gs://b/v.jsonl", tensorboard=None
    )
    assert values["train_steps"] == 90
    assert values["evaluation_interval"] == 20
    assert values["enable_early_stopping"] is True
    assert "batch_size" not in values


def test_a_dataset_in_another_format_than_the_method_takes_is_refused() -> None:
    other = replace(dataset(), format="gemini")
    with pytest.raises(TunestackError) as caught:
        resolve(job(), other, LOCAL, today=TODAY, where=lambda field: f"jobs/toy-job.yaml:1:1 {field}")
    (problem,) = caught.value.problems
    assert (problem.code, problem.have, problem.need) == ("dataset-format", "gemini", "supervised")
    assert problem.where == "jobs/toy-job.yaml:1:1 dataset"


def test_finished_data_decides_the_result_by_its_content_and_not_by_where_it_lies() -> None:
    here = resolve(job(), dataset(), LOCAL, today=TODAY)
    finished = dataset()
    finished = replace(
        finished,
        train=msgspec.structs.replace(
            finished.train, path=None, uri="gs://elsewhere/train.jsonl", generation=7
        ),
    )
    assert resolve(job(), finished, LOCAL, today=TODAY).spec_hash == here.spec_hash
