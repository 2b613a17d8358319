"""What a PipelineJob answer says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.vertex.client import location_of
from tunestack.vertex.pipeline_job import PipelineJob, duration
from tunestack.vertex.storage import split_uri


def job(state: str = "RUNNING", tasks: list[dict[str, Any]] | None = None, **more: Any) -> PipelineJob:
    return PipelineJob(
        {"state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": tasks or []}, **more}
    )


def task(name: str, state: str, **metadata: Any) -> dict[str, Any]:
    return {"taskName": name, "state": state, "execution": {"metadata": metadata}}


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        (
            {
                "phase": "training",
                "step": 31,
                "steps": 90,
                "loss": 0.41,
                "eval_loss": 0.52,
                "eta_seconds": 58,
            },
            "tune 34 % · step 31/90 · loss 0.41 · eval 0.52 · ETA 58 s",
        ),
        ({"phase": "evaluating", "step": 40, "steps": 80}, "tune 50 % · step 40/80 · evaluating"),
        ({"phase": "loading"}, "tune loading"),
        ({}, "tune"),
        ({"step": "45", "steps": "90", "eta_seconds": 7300}, "tune 50 % · step 45/90 · ETA 2 h 2 min"),
        ({"step": 1, "steps": 0}, "tune"),
        ({"step": "many", "steps": True}, "tune"),
    ],
)
def test_the_share_done_comes_first(metadata: dict[str, Any], line: str) -> None:
    assert (
        job(tasks=[task("validate-dataset", "SUCCEEDED"), task("tune", "RUNNING", **metadata)]).progress
        == line
    )


def test_other_tasks_are_named_and_other_states_too() -> None:
    assert job(tasks=[task("upload-llm-model", "RUNNING")]).progress == "upload llm model"
    assert job("QUEUED").progress == "queued"
    assert job("PAUSED", [task("tune", "RUNNING", step=1, steps=2)]).progress == "paused"


def test_results_are_found_where_the_sdk_finds_them() -> None:
    done = job(
        "SUCCEEDED",
        [
            task(
                "tune", "SUCCEEDED", best_step=60, best_eval_loss="0.5", steps=90, seconds=81.5, phase="done"
            ),
            task("upload-llm-model", "SUCCEEDED", **{"output:model_resource_name": "projects/p/models/m@1"}),
            task(
                "deploy-llm-model", "SUCCEEDED", **{"output:endpoint_resource_name": "projects/p/endpoints/e"}
            ),
        ],
        startTime="2026-01-01T00:00:00.123456789Z",
        endTime="2026-01-01T00:01:00Z",
    )
    assert done.model == "projects/p/models/m@1"
    assert done.endpoint == "projects/p/endpoints/e"
    assert done.tuning == {"steps": 90, "bestStep": 60, "bestEvalLoss": 0.5, "seconds": 81.5}
    assert done.duration_seconds == pytest.approx(59.88, abs=0.01)


def test_the_failed_task_speaks_before_the_job() -> None:
    failed = job(
        "FAILED",
        [{**task("tune", "FAILED"), "error": {"code": 8, "message": "out of memory"}}],
        error={"code": 9, "message": "The DAG failed because some tasks failed."},
    )
    assert failed.error_message == "tune: out of memory"
    assert failed.error_code == 8
    assert job("FAILED", error={"code": 3, "message": "bad row"}).error_message == "bad row"
    assert (job("FAILED").error_message, job("FAILED").error_code) == ("", None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["taskName", "state"]), inner)
        ),
    )
)
def test_no_progress_metadata_can_break_the_wait(metadata: Any) -> None:
    odd = job(tasks=[{"taskName": "tune", "state": "RUNNING", "execution": {"metadata": {"step": metadata}}}])
    assert odd.progress.startswith("tune")
    assert odd.tuning == {}


@pytest.mark.parametrize(
    ("seconds", "text"), [(58.4, "58 s"), (119, "119 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_durations_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_and_addresses_that_are_none_are_refused() -> None:
    assert location_of("projects/p/locations/eu/endpoints/1") == "eu"
    with pytest.raises(ValueError, match="full resource name"):
        location_of("endpoints/1")
    assert split_uri("gs://b/a/c.json") == ("b", "a/c.json")
    with pytest.raises(ValueError, match="gs://bucket/name"):
        split_uri("/tmp/x")
