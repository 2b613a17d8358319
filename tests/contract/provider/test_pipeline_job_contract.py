"""PipelineJob over gRPC, in the engine's order, against a scripted Vertex AI."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tunestack.provider.values import UNKNOWN, Secret

JOB = "tunestack:vertex:PipelineJob"
INPUTS: dict[str, Any] = {
    "location": "us-central1",
    "displayName": "Sarcasm Classification",
    "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
    "parameterValues": {"train_steps": 90, "learning_rate_multiplier": 1.5, "model_display_name": "sarcasm"},
    "gcsOutputDirectory": "gs://acme-pipelines/runs",
    "identity": {"dataset-digest": "d1", "train_steps": "90"},
    "labels": {"job": "sarcasm"},
}


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs, problems = await engine.check(JOB, {**INPUTS, **changes})
    assert problems == {}
    return inputs


async def test_a_job_is_submitted_followed_and_its_model_named(engine: Any, vertex: Any) -> None:
    vertex.tune = {
        "phase": "training",
        "step": 31,
        "steps": 90,
        "loss": 0.41,
        "eval_loss": 0.52,
        "eta_seconds": 58,
    }
    inputs = await declared(engine)
    assert inputs["project"] == "acme"
    assert inputs["deletionPolicy"] == "ABANDON"
    id_, outputs = await engine.create(JOB, inputs)
    assert id_ == f"projects/acme/locations/us-central1/pipelineJobs/tunestack-{outputs['specHash']}-0"
    assert outputs["state"] == "SUCCEEDED"
    assert outputs["model"].endswith("@1")
    assert "/endpoints/" in outputs["endpoint"]
    assert outputs["durationSeconds"] == 60.5
    assert outputs["adopted"] is False
    assert vertex.jobs[id_]["labels"]["tunestack-spec-hash"] == outputs["specHash"]
    assert vertex.jobs[id_]["runtimeConfig"]["parameterValues"]["train_steps"] == 90
    assert await engine.diff(JOB, id_, outputs, inputs, inputs) == ({}, False)


async def test_interrupted_while_tuning_the_id_is_kept_and_the_next_up_resumes(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    vertex.states = ["PENDING", "RUNNING"]
    reached = asyncio.Event()
    vertex.looked = lambda count: reached.set() if count >= 5 else None
    inputs = await declared(engine)
    create = asyncio.ensure_future(engine.create(JOB, inputs))
    await reached.wait()
    await engine.cancel()
    await engine.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create
    failure = engine.partial(caught.value)
    assert failure.id in vertex.jobs
    assert failure.outputs["state"] == "RUNNING"
    assert "still RUNNING" in failure.reasons[0]
    assert "tunestack up" in failure.reasons[0]

    vertex.jobs[failure.id]["states"] = ["RUNNING", "RUNNING", "SUCCEEDED"]
    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    again = await declared(second)
    assert await second.diff(JOB, failure.id, failure.outputs, inputs, again) == ({"state": "UPDATE"}, False)
    preview = await second.update(JOB, failure.id, failure.outputs, again, preview=True)
    assert preview["model"] is UNKNOWN
    outputs = await second.update(JOB, failure.id, failure.outputs, again)
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1


async def test_a_preview_asks_nothing_of_the_cloud(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    _, outputs = await engine.create(JOB, inputs, preview=True)
    assert outputs["model"] is UNKNOWN
    assert outputs["state"] is UNKNOWN
    assert len(outputs["specHash"]) == 32
    unknown = await declared(engine, identity={"dataset-digest": UNKNOWN})
    _, outputs = await engine.create(JOB, unknown, preview=True)
    assert outputs["specHash"] is UNKNOWN
    assert vertex.requests == []


async def failure_of(engine: Any, operation: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    return engine.partial(caught.value)


async def refusal_of(operation: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    error: grpc.aio.AioRpcError = caught.value
    assert error.code() not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
    assert "Traceback" not in str(error.details())
    return error


# Check


@pytest.mark.parametrize(
    ("change", "property_", "words"),
    [
        ({"location": "us-centrall"}, "location", "pattern"),
        ({"displayName": ""}, "displayName", "at least 1"),
        ({"templateUri": "gs://bucket/template.yaml"}, "templateUri", "Artifact Registry"),
        ({"gcsOutputDirectory": "s3://x/y"}, "gcsOutputDirectory", "gs://bucket/folder"),
        ({"serviceAccount": "nobody"}, "serviceAccount", "pattern"),
        ({"labels": {"Job": "x"}}, "labels", "label key 'Job'"),
        ({"labels": {"tunestack-spec-hash": "x"}}, "labels", "set for you"),
        ({"identity": {"steps": 90}}, "identity.steps", "string"),
        ({"onCancel": "explode"}, "onCancel", "'detach' or 'cancel'"),
        ({"deletionPolicy": "delete"}, "deletionPolicy", "'ABANDON' or 'DELETE'"),
        ({"wait": "yes"}, "wait", "boolean"),
        ({"paramterValues": {}}, "paramterValues", "did you mean parameterValues?"),
        ({"parameterValues": None}, "parameterValues", "required"),
    ],
)
async def test_every_rule_is_an_error_of_its_property(
    engine: Any, change: dict[str, Any], property_: str, words: str
) -> None:
    _, problems = await engine.check(JOB, {**INPUTS, **change})
    assert list(problems) == [property_]
    assert words in problems[property_]


async def test_all_problems_come_at_once_and_unknown_values_are_none(engine: Any) -> None:
    _, problems = await engine.check(JOB, {**INPUTS, "location": "mars", "wait": 3, "displayName": UNKNOWN})
    assert set(problems) == {"location", "wait"}


async def test_check_gives_the_same_answer_twice(engine: Any) -> None:
    once = await declared(engine)
    assert await engine.check(JOB, once) == (once, {})


async def test_a_project_is_needed_somewhere(new_engine: Any, vertex: Any) -> None:
    engine = await new_engine()
    await engine.configure(endpoint=vertex.endpoint)
    _, problems = await engine.check(JOB, INPUTS)
    assert set(problems) == {"project"}


# Diff


async def test_the_reason_for_another_run_is_named(engine: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    retuned = await declared(engine, identity={"dataset-digest": "d2", "train_steps": "90", "seed": "1"})
    assert await engine.diff(JOB, id_, outputs, inputs, retuned) == (
        {'identity["dataset-digest"]': "UPDATE_REPLACE", "identity.seed": "ADD_REPLACE"},
        True,
    )


async def test_bookkeeping_trains_nothing_again(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    asked = len(vertex.requests)
    changes = {
        "labels": {"job": "other"},
        "displayName": "New name",
        "deletionPolicy": "DELETE",
        "parameterValues": {**INPUTS["parameterValues"], "model_display_name": "other"},
    }
    edited = await declared(engine, **changes)
    diff, replaces = await engine.diff(JOB, id_, outputs, inputs, edited)
    assert not replaces
    assert diff == {
        "labels.job": "UPDATE",
        "displayName": "UPDATE",
        "deletionPolicy": "UPDATE",
        "parameterValues.model_display_name": "UPDATE",
    }
    updated = await engine.update(JOB, id_, outputs, edited)
    assert updated["labels"] == {"job": "other"}
    assert updated["model"] == outputs["model"]
    assert len(vertex.requests) == asked


async def test_another_location_or_project_is_another_run(engine: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    for key, value in (("location", "europe-west4"), ("project", "other")):
        diff, replaces = await engine.diff(JOB, id_, outputs, inputs, await declared(engine, **{key: value}))
        assert (diff, replaces) == ({key: "UPDATE_REPLACE"}, True)


async def test_an_identity_still_unknown_may_be_another_run(engine: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    unsure = await declared(engine, identity={"dataset-digest": UNKNOWN, "train_steps": "90"})
    diff, replaces = await engine.diff(JOB, id_, outputs, inputs, unsure)
    assert replaces
    assert diff == {'identity["dataset-digest"]': "UPDATE_REPLACE"}


async def test_without_an_identity_template_and_parameters_decide(engine: Any) -> None:
    inputs = await declared(engine, identity=None)
    id_, outputs = await engine.create(JOB, inputs)
    renamed = await declared(
        engine, identity=None, parameterValues={**INPUTS["parameterValues"], "model_display_name": "x"}
    )
    diff, replaces = await engine.diff(JOB, id_, outputs, inputs, renamed)
    assert (diff, replaces) == ({"parameterValues.model_display_name": "UPDATE"}, False)
    longer = await declared(
        engine, identity=None, parameterValues={**INPUTS["parameterValues"], "train_steps": 91}
    )
    diff, replaces = await engine.diff(JOB, id_, outputs, inputs, longer)
    assert (diff, replaces) == ({"parameterValues.train_steps": "UPDATE_REPLACE"}, True)


# Adoption


async def spec_hash(engine: Any) -> str:
    _, outputs = await engine.create(JOB, await declared(engine), preview=True)
    return str(outputs["specHash"])


async def test_a_running_twin_is_adopted_and_waited_for(engine: Any, vertex: Any) -> None:
    twin = vertex.add_job("twin", "RUNNING", await spec_hash(engine), "2026-01-01T00:00:00Z")
    twin["states"] = ["RUNNING", "RUNNING", "SUCCEEDED"]
    id_, outputs = await engine.create(JOB, await declared(engine))
    assert id_ == twin["name"]
    assert outputs["adopted"] is True
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1
    assert any("adopted twin (RUNNING)" in line for line in engine.lines)


async def test_the_newest_success_is_adopted_and_the_others_are_named(engine: Any, vertex: Any) -> None:
    hash_ = await spec_hash(engine)
    vertex.add_job("old", "SUCCEEDED", hash_, "2026-01-01T00:00:00Z")
    vertex.add_job("newer", "SUCCEEDED", hash_, "2026-01-02T00:00:00Z")
    vertex.add_job("live", "RUNNING", hash_, "2026-01-03T00:00:00Z")
    vertex.add_job("stranger", "SUCCEEDED", "f" * 32, "2026-01-04T00:00:00Z")
    id_, _ = await engine.create(JOB, await declared(engine))
    assert id_.endswith("/newer")
    assert any("left as they are: live, old" in line for line in engine.lines)


async def test_a_success_whose_model_was_deleted_is_not_adopted(engine: Any, vertex: Any) -> None:
    vertex.add_job("bare", "SUCCEEDED", await spec_hash(engine), "2025-01-01T00:00:00Z")
    vertex.models.clear()
    id_, outputs = await engine.create(JOB, await declared(engine))
    assert not id_.endswith("/bare")
    assert outputs["adopted"] is False


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "CANCELLING"])
async def test_a_job_that_was_stopped_is_not_submitted_again_behind_ones_back(
    engine: Any, vertex: Any, state: str
) -> None:
    stopped = vertex.add_job("stopped", state, await spec_hash(engine), "2026-01-01T00:00:00Z")
    if state == "CANCELLING":
        stopped["states"] = ["CANCELLING", "CANCELLED"]
    failure = await failure_of(engine, engine.create(JOB, await declared(engine)))
    assert failure.id == stopped["name"]
    assert "retryFailed" in failure.reasons[0]
    assert vertex.submissions == 1
    id_, outputs = await engine.create(JOB, await declared(engine, retryFailed=True))
    assert (id_ != failure.id, outputs["state"]) == (True, "SUCCEEDED")
    assert vertex.submissions == 2


# Every end of a job


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "PARTIALLY_SUCCEEDED", "EXPIRED"])
async def test_what_did_not_succeed_is_red_and_stays_red_until_asked(
    engine: Any, new_engine: Any, vertex: Any, state: str
) -> None:
    vertex.states = ["RUNNING", state]
    vertex.error = {"code": 3, "message": "row 12 has no output_text"}
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs))
    assert failure.outputs["state"] == state
    assert state in failure.reasons[0]
    if state == "FAILED":
        assert "row 12 has no output_text" in failure.reasons[0]
        assert "A retry may help" not in failure.reasons[0]

    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    again = await declared(second)
    assert await second.diff(JOB, failure.id, failure.outputs, inputs, again) == ({"state": "UPDATE"}, False)
    once_more = await failure_of(second, second.update(JOB, failure.id, failure.outputs, again))
    assert once_more.reasons == failure.reasons
    assert vertex.submissions == 1

    retried = await declared(second, retryFailed=True)
    diff, replaces = await second.diff(JOB, failure.id, failure.outputs, inputs, retried)
    assert replaces
    assert diff["state"] == "UPDATE_REPLACE"
    vertex.states = ["SUCCEEDED"]
    id_, outputs = await second.create(JOB, retried)
    assert outputs["state"] == "SUCCEEDED"
    await second.delete(JOB, failure.id, failure.outputs, inputs)
    assert list(vertex.jobs) == [id_]


async def test_a_cause_that_a_retry_outlives_is_named(engine: Any, vertex: Any) -> None:
    vertex.states, vertex.error = ["FAILED"], {"code": 8, "message": "resources are insufficient in region"}
    failure = await failure_of(engine, engine.create(JOB, await declared(engine)))
    assert "A retry may help: no capacity" in failure.reasons[0]


# The create call and its answer


async def test_an_answer_that_was_lost_is_looked_up_not_sent_twice(engine: Any, vertex: Any) -> None:
    lose_answers(vertex, times=1)
    id_, outputs = await engine.create(JOB, await declared(engine))
    assert list(vertex.jobs) == [id_]
    assert outputs["state"] == "SUCCEEDED"


def lose_answers(vertex: Any, *, times: int, gets: bool = False) -> None:
    """The request is carried out and the connection closed; ``gets``: nothing is answered any more after that."""
    from_then_on = False

    def fault(method: str, path: str, carried_out: bool) -> int | None:
        nonlocal times, from_then_on
        if method == "POST" and path.endswith("/pipelineJobs") and carried_out and times > 0:
            times -= 1
            from_then_on = gets
            raise vertex.drop
        if from_then_on:
            raise vertex.drop
        return None

    vertex.faults.append(fault)


async def test_a_server_error_that_created_nothing_is_sent_again_under_the_same_id(
    engine: Any, vertex: Any
) -> None:
    answers = iter([503, 500, 429])

    def fault(method: str, path: str, carried_out: bool) -> int | None:
        submitting = method == "POST" and path.endswith("/pipelineJobs") and not carried_out
        return next(answers, None) if submitting else None

    vertex.faults.append(fault)
    _, outputs = await engine.create(JOB, await declared(engine))
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1


async def test_when_nobody_can_say_the_id_is_kept_and_the_next_up_finds_out(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    lose_answers(vertex, times=1, gets=True)
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs))
    assert failure.outputs["state"] == "UNCONFIRMED"
    assert failure.id in vertex.jobs
    vertex.faults.clear()
    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    again = await declared(second)
    outputs = await second.update(JOB, failure.id, failure.outputs, again)
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1


async def test_an_unconfirmed_submission_that_never_arrived_is_sent_under_its_own_id(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    def fault(method: str, path: str, carried_out: bool) -> int | None:
        if method == "GET" and path.endswith("/pipelineJobs"):
            return None
        raise vertex.drop

    vertex.faults.append(fault)
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs))
    assert vertex.submissions == 0
    vertex.faults.clear()
    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    outputs = await second.update(JOB, failure.id, failure.outputs, await declared(second))
    assert outputs["name"] == failure.id
    assert list(vertex.jobs) == [failure.id]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT),
        (403, grpc.StatusCode.PERMISSION_DENIED),
        (404, grpc.StatusCode.NOT_FOUND),
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_google_refuses_leaves_nothing_behind(
    engine: Any, vertex: Any, status: int, code: grpc.StatusCode
) -> None:
    vertex.faults.append(lambda method, path, done: status if method == "POST" and not done else None)
    error = await refusal_of(engine.create(JOB, await declared(engine)))
    assert error.code() == code
    assert "a scripted fault" in str(error.details())
    assert not error.trailing_metadata() or "grpc-status-details-bin" not in dict(
        error.trailing_metadata() or ()
    )


async def test_nobody_at_the_endpoint_is_said_before_anything_is_submitted(new_engine: Any) -> None:
    engine = await new_engine()
    await engine.configure(project="acme", endpoint="http://127.0.0.1:1")
    error = await refusal_of(engine.create(JOB, await declared(engine)))
    assert error.code() == grpc.StatusCode.ABORTED  # nobody has to look for what was never sent


# Waiting


async def test_faults_while_waiting_are_waited_out(engine: Any, vertex: Any) -> None:
    answers = iter([503, 429, 500, 503] * 5)
    vertex.faults.append(
        lambda method, path, done: next(answers, None) if "/pipelineJobs/" in path and not done else None
    )
    _, outputs = await engine.create(JOB, await declared(engine))
    assert outputs["state"] == "SUCCEEDED"


async def test_losing_permission_while_waiting_keeps_the_id(engine: Any, vertex: Any) -> None:
    vertex.faults.append(lambda method, path, done: 403 if "/pipelineJobs/" in path and not done else None)
    failure = await failure_of(engine, engine.create(JOB, await declared(engine)))
    assert failure.id in vertex.jobs
    assert "cannot see" in failure.reasons[0]


async def test_a_job_deleted_under_us_says_so(engine: Any, vertex: Any) -> None:
    vertex.states = ["RUNNING"]
    vertex.looked = lambda count: vertex.jobs.clear() if count == 3 else None
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs))
    assert "no longer exists" in failure.reasons[0]
    again = await failure_of(engine, engine.update(JOB, failure.id, failure.outputs, inputs))
    assert "no longer exists" in again.reasons[0]


async def test_the_deadline_detaches_and_says_how_to_resume(engine: Any, vertex: Any, clock: Any) -> None:
    vertex.states = ["RUNNING"]
    began = clock.now
    failure = await failure_of(engine, engine.create(JOB, await declared(engine), timeout=90))
    assert "still RUNNING" in failure.reasons[0]
    assert clock.now - began == pytest.approx(90, abs=1)
    assert not any(path.endswith(":cancel") for _, path in vertex.requests)


async def test_on_cancel_cancels_the_job_where_that_was_asked(engine: Any, vertex: Any) -> None:
    vertex.states = ["RUNNING"]
    failure = await failure_of(
        engine, engine.create(JOB, await declared(engine, onCancel="cancel"), timeout=5)
    )
    assert "is being cancelled" in failure.reasons[0]
    assert vertex.jobs[failure.id]["states"][-1] == "CANCELLED"


async def test_cancelled_before_submission_nothing_exists(engine: Any, vertex: Any) -> None:
    await engine.cancel()
    error = await refusal_of(engine.create(JOB, await declared(engine)))
    assert error.code() == grpc.StatusCode.ABORTED
    assert vertex.submissions == 0


async def test_without_waiting_the_next_up_takes_it_up(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine, wait=False)
    id_, outputs = await engine.create(JOB, inputs)
    assert outputs["state"] == "PENDING"
    diff, _ = await engine.diff(JOB, id_, outputs, inputs, inputs)
    assert diff == {"state": "UPDATE"}
    outputs = await engine.update(JOB, id_, outputs, inputs)
    assert outputs["state"] == "RUNNING"
    outputs = await engine.update(JOB, id_, outputs, inputs)
    assert outputs["state"] == "SUCCEEDED"
    assert outputs["model"]


async def test_progress_is_on_the_row_and_a_heartbeat_for_machines(engine: Any, vertex: Any) -> None:
    vertex.states = ["PENDING", *["RUNNING"] * 100, "SUCCEEDED"]
    vertex.tune = {
        "phase": "training",
        "step": 31,
        "steps": 90,
        "loss": 0.41,
        "eval_loss": 0.52,
        "eta_seconds": 58,
    }

    def learn(count: int) -> None:
        vertex.tune["step"] = min(90, count)

    vertex.looked = learn
    await engine.create(JOB, await declared(engine))
    lines = engine.recorder.lines
    assert ("tune 34 % · step 31/90 · loss 0.41 · eval 0.52 · ETA 58 s", True) in lines
    lasting = [message for message, ephemeral in lines if not ephemeral]
    states = [message for message in lasting if message.split()[0] in ("PENDING", "RUNNING", "SUCCEEDED")]
    assert [message.split()[0] for message in states] == ["PENDING", "RUNNING", "SUCCEEDED"]
    heartbeats = [message for message in lasting if message.startswith("tune")]
    assert 2 <= len(heartbeats) <= 4


# Read and import


async def test_a_refresh_of_what_runs_or_failed_does_not_read_as_clean(engine: Any, vertex: Any) -> None:
    vertex.states = ["RUNNING"]
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs, timeout=5))
    live = await failure_of(engine, engine.read(JOB, failure.id, failure.outputs, inputs))
    assert (live.id, live.inputs) == (failure.id, inputs)
    assert "still RUNNING" in live.reasons[0]
    vertex.jobs[failure.id]["states"] = ["FAILED"]
    red = await failure_of(engine, engine.read(JOB, failure.id, live.outputs, inputs))
    assert red.outputs["state"] == "FAILED"


async def test_a_refresh_keeps_inputs_and_finds_what_is_gone(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    assert await engine.read(JOB, id_, outputs, inputs) == (id_, outputs, inputs)
    vertex.models.clear()
    gone, _, _ = await engine.read(JOB, id_, outputs, inputs)
    assert gone == ""
    assert any("was deleted" in line for line in engine.lines)
    vertex.jobs.clear()
    gone, _, _ = await engine.read(JOB, id_, outputs, inputs)
    assert gone == ""


async def test_an_imported_job_needs_no_change_and_no_training(engine: Any) -> None:
    inputs = await declared(engine)
    id_, _ = await engine.create(JOB, inputs)
    found, outputs, imported = await engine.read(JOB, id_, {}, {})
    assert found == id_
    program = {key: value for key, value in inputs.items() if key != "identity"}
    assert imported == program
    assert await engine.check(JOB, imported) == (imported, {})
    diff, replaces = await engine.diff(JOB, id_, outputs, imported, inputs)
    assert not replaces
    assert set(diff) == {'identity["dataset-digest"]', "identity.train_steps"}


# Delete


async def deleted_by_a_new_engine(new_engine: Any, vertex: Any, id_: str, outputs: Any, inputs: Any) -> Any:
    engine = await new_engine()
    await engine.configure(project="acme", endpoint=vertex.endpoint)
    await engine.delete(JOB, id_, outputs, inputs)
    return engine


async def test_a_model_is_kept_unless_its_deletion_is_asked_for_and_then_adopted(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(JOB, inputs)
    second = await deleted_by_a_new_engine(new_engine, vertex, id_, outputs, inputs)
    assert len(vertex.models) == len(vertex.endpoints) == len(vertex.jobs) == 1
    assert any("kept" in line and "ABANDON" in line for line in second.lines)
    again, adopted = await second.create(JOB, await declared(second))
    assert again == id_
    assert adopted["adopted"] is True


async def test_deletion_takes_endpoint_model_and_job_in_this_order(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine, deletionPolicy="DELETE")
    id_, outputs = await engine.create(JOB, inputs)
    vertex.requests.clear()
    await deleted_by_a_new_engine(new_engine, vertex, id_, outputs, inputs)
    assert not vertex.models
    assert not vertex.endpoints
    assert not vertex.jobs
    changed = [
        (method, path.split("/")[6]) for method, path in vertex.requests if method in ("POST", "DELETE")
    ]
    assert changed == [
        ("POST", "endpoints"),
        ("DELETE", "endpoints"),
        ("DELETE", "models"),
        ("DELETE", "pipelineJobs"),
    ]
    await deleted_by_a_new_engine(new_engine, vertex, id_, outputs, inputs)


async def test_an_endpoint_that_serves_others_too_is_left_to_them(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine, deletionPolicy="DELETE")
    id_, outputs = await engine.create(JOB, inputs)
    served = vertex.endpoints[outputs["endpoint"]]["deployedModels"]
    served.append({"id": "2", "model": "projects/1/locations/us-central1/models/other@1"})
    vertex.requests.clear()
    await deleted_by_a_new_engine(new_engine, vertex, id_, outputs, inputs)
    assert list(vertex.endpoints) == [outputs["endpoint"]]


async def test_a_running_job_is_cancelled_and_waited_for(engine: Any, new_engine: Any, vertex: Any) -> None:
    vertex.states = ["RUNNING"]
    inputs = await declared(engine)
    failure = await failure_of(engine, engine.create(JOB, inputs, timeout=5))
    await deleted_by_a_new_engine(new_engine, vertex, failure.id, failure.outputs, inputs)
    assert any(path.endswith(":cancel") for _, path in vertex.requests)
    assert not vertex.jobs


async def test_a_renamed_resource_does_not_lose_the_model_it_adopted(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine, deletionPolicy="DELETE")
    id_, outputs = await engine.create(JOB, inputs, name="old-name")
    adopted_id, _ = await engine.create(JOB, inputs, name="new-name")
    assert adopted_id == id_
    await engine.delete(JOB, id_, outputs, inputs, name="old-name")
    assert len(vertex.models) == 1
    assert any("taken it over" in line for line in engine.lines)


async def test_after_a_refresh_a_removed_resource_is_deleted_all_the_same(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine, deletionPolicy="DELETE")
    id_, outputs = await engine.create(JOB, inputs)
    second = await new_engine()
    await second.configure(project="acme", endpoint=vertex.endpoint)
    await second.read(JOB, id_, outputs, inputs)
    await second.diff(JOB, id_, outputs, inputs, inputs)
    await second.delete(JOB, id_, outputs, inputs)
    assert not vertex.models


async def test_secret_inputs_come_back_as_secrets(engine: Any, vertex: Any) -> None:
    parameters = {**INPUTS["parameterValues"], "token": Secret("hush")}
    inputs = await declared(engine, parameterValues=parameters)
    id_, outputs = await engine.create(JOB, inputs)
    assert outputs["parameterValues"]["token"] == Secret("hush")
    assert vertex.jobs[id_]["runtimeConfig"]["parameterValues"]["token"] == "hush"
    assert not any("hush" in line for line in engine.lines)
