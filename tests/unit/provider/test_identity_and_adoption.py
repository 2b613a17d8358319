"""Never pay twice: what is the same run, and which existing job is it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunestack.provider.adoption import choose
from tunestack.provider.pipeline_job import new_job_id
from tunestack.provider.pipeline_job_inputs import PIPELINE_JOB_IDENTITY
from tunestack.provider.values import UNKNOWN, Secret
from tunestack.vertex.job_state import STATES, Outcome
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.tuning_job import TuningJob

hash_of = PIPELINE_JOB_IDENTITY.hash_of
job_differences = PIPELINE_JOB_IDENTITY.differences

TEXT = st.text(max_size=4)
INPUTS = st.fixed_dictionaries(
    {
        "project": st.sampled_from(["a", "b"]),
        "location": st.sampled_from(["us-central1", "europe-west4"]),
        "displayName": TEXT,
        "templateUri": st.sampled_from(["t1", "t2"]),
        "parameterValues": st.dictionaries(
            st.sampled_from(["train_steps", "rate", "model_display_name"]), st.integers(0, 3) | TEXT
        ),
    },
    optional={
        "identity": st.dictionaries(st.sampled_from(["digest", "x-y"]), TEXT, min_size=1),
        "labels": st.dictionaries(TEXT, TEXT, min_size=1, max_size=2),  # none at all is the same as no labels
        "retryFailed": st.booleans(),
    },
)


def state_of(inputs: dict[str, Any], state: str = "SUCCEEDED") -> dict[str, Any]:
    return {**inputs, "specHash": hash_of(inputs), "state": state}


@given(INPUTS, st.sampled_from(sorted(STATES)))
def test_nothing_changes_where_nothing_changed(inputs: dict[str, Any], state: str) -> None:
    calm = {**inputs, "retryFailed": False}
    differences = job_differences(state_of(calm, state), calm, calm)
    assert not differences.replace
    assert set(differences.changes) == (set() if STATES[state].outcome is Outcome.SUCCESS else {"state"})


@given(INPUTS, INPUTS)
def test_a_run_is_replaced_exactly_where_its_identity_or_place_changes(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    differences = job_differences(state_of(old), old, new)
    same_place = (old["project"], old["location"]) == (new["project"], new["location"])
    assert differences.replace == (hash_of(old) != hash_of(new) or not same_place)
    assert bool(differences.changes) == (old != new)


@given(INPUTS, st.sampled_from(sorted(STATES)))
def test_only_a_red_end_is_retried_and_only_where_asked(inputs: dict[str, Any], state: str) -> None:
    asked = {**inputs, "retryFailed": True}
    differences = job_differences(state_of(asked, state), asked, asked)
    assert differences.replace == (STATES[state].outcome is Outcome.RED)


@given(INPUTS)
def test_display_names_and_secrecy_decide_nothing(inputs: dict[str, Any]) -> None:
    renamed = {**inputs, "displayName": "another"}
    parameters = {**inputs["parameterValues"], "model_display_name": "another"}
    hidden = {**inputs, "parameterValues": Secret(parameters)}
    assert hash_of(renamed) == hash_of(hidden) == hash_of(inputs)


@given(INPUTS)
def test_an_unknown_part_leaves_the_hash_unknown(inputs: dict[str, Any]) -> None:
    assert hash_of({**inputs, "identity": {"digest": UNKNOWN}}) is None
    assert hash_of({**inputs, "identity": UNKNOWN}) is None
    assert hash_of({**inputs, "identity": None, "templateUri": UNKNOWN}) is None


def test_another_way_of_hashing_trains_nothing_again() -> None:
    inputs = {"project": "p", "location": "l", "identity": {"digest": "d"}}
    assert not job_differences(
        {"specHash": "of-an-older-version", "state": "SUCCEEDED"}, inputs, inputs
    ).changes


JOBS = st.lists(
    st.builds(
        lambda number, state, day, has_model: PipelineJob(
            {
                "name": f"j{number}",
                "state": state,
                "createTime": f"2026-01-{day:02d}",
                "jobDetail": {
                    "taskDetails": [
                        {
                            "taskName": "upload-llm-model",
                            "execution": {"metadata": {"output:model_resource_name": f"m{number}"}},
                        }
                    ]
                    if has_model
                    else []
                },
            }
        ),
        st.integers(),
        st.sampled_from(sorted(STATES)),
        st.integers(1, 28),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda job: job.name,
)


@given(JOBS, st.booleans(), st.data())
def test_a_job_is_submitted_only_where_nothing_of_worth_exists(
    jobs: list[PipelineJob], retry_failed: bool, data: st.DataObject
) -> None:
    models = data.draw(st.sets(st.sampled_from([job.model for job in jobs if job.model] or ["none"])))
    choice = choose(jobs, models, retry_failed=retry_failed)
    chosen = [choice.job] if choice.job is not None else []
    assert sorted(job.name for job in [*chosen, *choice.others]) == sorted(job.name for job in jobs)
    usable = [
        job for job in jobs if job.rule.outcome is Outcome.SUCCESS and (not job.model or job.model in models)
    ]
    live = [job for job in jobs if job.rule.outcome is Outcome.LIVE and job.rule.adoptable]
    if usable:
        assert choice.job in usable
    elif live:
        assert choice.job in live
    elif retry_failed or not jobs:
        assert choice.job is None
    if choice.job is not None:
        rivals = usable or live
        assert all(choice.job.created >= job.created for job in rivals)


def job(state: str, day: int, model: str = "", code: int | None = None) -> TuningJob:
    error = {"code": code, "message": "it broke"} if code else None
    tuned = {"model": model} if model else {}
    name, created = f"j{day}", f"2026-01-{day:02d}"
    return TuningJob(
        {"name": name, "state": state, "createTime": created, "error": error, "tunedModel": tuned}
    )


def test_a_red_end_that_a_later_success_answered_counts_no_more() -> None:
    answered = [job("FAILED", 1), job("SUCCEEDED", 2, "m@1")]
    assert choose(answered, set(), retry_failed=False).job is None
    unanswered = [job("SUCCEEDED", 1, "m@1"), job("FAILED", 2)]
    assert choose(unanswered, set(), retry_failed=False).job is unanswered[1]


def test_the_newest_red_end_decides_whether_its_cause_is_retried() -> None:
    jobs = [job("FAILED", 1, code=8), job("CANCELLED", 2)]
    assert choose(jobs, (), retry_failed=["stockout"]).job is jobs[1]
    assert choose(jobs[:1], (), retry_failed=["stockout"]).job is None
    assert choose(jobs[:1], (), retry_failed=["preemption"]).job is jobs[0]


@given(st.sets(st.integers(0, 9)), st.integers(0, 3))
def test_an_id_is_decided_by_the_runs_so_far_is_free_and_one_that_vertex_takes(
    runs: set[int], older: int
) -> None:
    hash_ = "0123456789abcdef0123456789abcdef"
    taken = {f"tunestack-{hash_}-{number}" for number in runs} | {
        f"older-{number}" for number in range(older)
    }
    job_id = new_job_id(hash_, taken)
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,126}", job_id)
    assert job_id not in taken
    assert job_id == new_job_id(hash_, sorted(taken))
    if not runs and not older:
        assert job_id == f"tunestack-{hash_}-0"
