"""Every kind of job over gRPC, in the engine's order, against a scripted Vertex AI: what all three promise alike."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from tunestack.provider.values import UNKNOWN


@dataclass(frozen=True)
class Kind:
    """One kind of job: its token, inputs that are fine, and a change that is another run."""

    token: str
    segment: str
    inputs: dict[str, Any]
    another: dict[str, Any]
    registers_a_model: bool = True
    names_its_jobs: bool = False
    deletable: bool = True

    def __str__(self) -> str:
        return self.segment


SUPERVISED = {
    "trainingDatasetUri": "gs://acme-data/train.jsonl",
    "hyperParameters": {"epochCount": 3, "adapterSize": "ADAPTER_SIZE_FOUR"},
}
POOL = {
    "machineSpec": {
        "machineType": "a2-ultragpu-1g",
        "acceleratorType": "NVIDIA_A100_80GB",
        "acceleratorCount": 1,
    },
    "replicaCount": 1,
    "containerSpec": {"imageUri": "us-docker.pkg.dev/acme/trainers/hf@sha256:0"},
}
JOB_SPEC = {"workerPoolSpecs": [POOL], "baseOutputDirectory": {"outputUriPrefix": "gs://acme-pipelines/run"}}

PIPELINE = Kind(
    "tunestack:vertex:PipelineJob",
    "pipelineJobs",
    {
        "location": "us-central1",
        "displayName": "Sarcasm",
        "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
        "parameterValues": {"train_steps": 90},
        "gcsOutputDirectory": "gs://acme-pipelines/runs",
    },
    {"parameterValues": {"train_steps": 91}},
    names_its_jobs=True,
)
TUNING = Kind(
    "tunestack:vertex:TuningJob",
    "tuningJobs",
    {"location": "us-central1", "baseModel": "gemini-2.5-flash", "supervisedTuningSpec": SUPERVISED},
    {"supervisedTuningSpec": {**SUPERVISED, "hyperParameters": {"epochCount": 4}}},
    deletable=False,
)
CUSTOM = Kind(
    "tunestack:vertex:CustomJob",
    "customJobs",
    {"location": "us-central1", "displayName": "Sarcasm", "jobSpec": JOB_SPEC},
    {"jobSpec": {**JOB_SPEC, "workerPoolSpecs": [{**POOL, "replicaCount": 2}]}},
    registers_a_model=False,
)
KINDS = (PIPELINE, TUNING, CUSTOM)
NAMELESS = (TUNING, CUSTOM)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
named_by_the_server = pytest.mark.parametrize("kind", NAMELESS, ids=str)


async def declared(engine: Any, kind: Kind, **changes: Any) -> dict[str, Any]:
    inputs, problems = await engine.check(kind.token, {**kind.inputs, **changes})
    assert problems == {}
    return dict(inputs)


async def failure_of(engine: Any, operation: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    return engine.partial(caught.value)


async def another(new_engine: Any, vertex: Any) -> Any:
    engine = await new_engine()
    await engine.configure(project="acme", endpoint=vertex.endpoint)
    return engine


async def hash_of(engine: Any, kind: Kind, **changes: Any) -> str:
    _, outputs = await engine.create(kind.token, await declared(engine, kind, **changes), preview=True)
    return str(outputs["specHash"])


def creations(vertex: Any) -> int:
    return sum(method == "POST" and path.endswith("Jobs") for method, path in vertex.requests)


# Success


@every_kind
async def test_a_job_is_submitted_waited_for_and_its_results_are_told(
    engine: Any, vertex: Any, kind: Kind
) -> None:
    inputs = await declared(engine, kind)
    id_, outputs = await engine.create(kind.token, inputs)
    assert f"/{kind.segment}/" in id_
    assert (outputs["name"], outputs["state"], outputs["adopted"]) == (id_, "SUCCEEDED", False)
    assert outputs["durationSeconds"] == 60.5
    assert ("model" in outputs) is kind.registers_a_model
    assert vertex.jobs[id_]["labels"] == {"tunestack-spec-hash": outputs["specHash"]}
    assert await engine.diff(kind.token, id_, outputs, inputs, inputs) == ({}, False)
    assert await engine.read(kind.token, id_, outputs, inputs) == (id_, outputs, inputs)


async def test_a_tuning_job_tells_its_checkpoints_statistics_and_steps(engine: Any, vertex: Any) -> None:
    vertex.tune["step"] = 31
    _, outputs = await engine.create(TUNING.token, await declared(engine, TUNING))
    assert outputs["checkpoints"] == [
        {"checkpointId": "1", "epoch": 1, "step": 45, "endpoint": outputs["endpoint"]}
    ]
    assert outputs["tuningDataStats"]["tuningStepCount"] == "90"
    assert outputs["experiment"].endswith("/contexts/1")
    assert ("tune 34 % · step 31/90", True) in engine.recorder.lines


async def test_a_custom_job_tells_where_its_model_lies(engine: Any) -> None:
    _, outputs = await engine.create(CUSTOM.token, await declared(engine, CUSTOM))
    assert outputs["modelDirectory"] == "gs://acme-pipelines/run/model/"


async def test_whole_numbers_travel_as_google_writes_them(engine: Any, vertex: Any) -> None:
    id_, _ = await engine.create(TUNING.token, await declared(engine, TUNING))
    assert vertex.jobs[id_]["supervisedTuningSpec"]["hyperParameters"]["epochCount"] == "3"
    id_, _ = await engine.create(CUSTOM.token, await declared(engine, CUSTOM))
    pool = vertex.jobs[id_]["jobSpec"]["workerPoolSpecs"][0]
    assert (pool["replicaCount"], pool["machineSpec"]["acceleratorCount"]) == ("1", 1)


async def test_every_field_of_a_pipeline_job_arrives_and_is_imported_again(engine: Any, vertex: Any) -> None:
    more = {
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        "inputArtifacts": {"model": {"artifactId": "42"}},
        "encryptionSpec": {"kmsKeyName": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"},
        "network": "projects/1/global/networks/n",
        "reservedIpRanges": ["range"],
        "preflightValidations": True,
    }
    inputs = await declared(engine, PIPELINE, **more)
    id_, _ = await engine.create(PIPELINE.token, inputs)
    assert vertex.jobs[id_]["runtimeConfig"] == {
        "gcsOutputDirectory": "gs://acme-pipelines/runs",
        "parameterValues": {"train_steps": 90},
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        "inputArtifacts": {"model": {"artifactId": "42"}},
    }
    assert vertex.jobs[id_]["network"] == "projects/1/global/networks/n"
    _, _, imported = await engine.read(PIPELINE.token, id_, {}, {})
    assert imported == inputs


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, "v1"),
        ({"supervisedTuningSpec": {**SUPERVISED, "tuningMode": "TUNING_MODE_PEFT_ADAPTER"}}, "v1beta1"),
        (
            {
                "supervisedTuningSpec": None,
                "distillationSpec": {
                    "promptDatasetUri": "gs://b/x.jsonl",
                    "baseTeacherModel": "gemini-2.5-pro",
                },
            },
            "v1beta1",
        ),
        (
            {
                "supervisedTuningSpec": None,
                "preferenceOptimizationSpec": {"trainingDatasetUri": "gs://b/x.jsonl"},
            },
            "v1",
        ),
    ],
)
async def test_a_tuning_job_goes_to_the_version_that_knows_its_fields(
    engine: Any, vertex: Any, changes: dict[str, Any], version: str
) -> None:
    await engine.create(TUNING.token, await declared(engine, TUNING, **changes))
    posted = [path for method, path in vertex.requests if method == "POST"]
    assert posted == [f"/{version}/projects/acme/locations/us-central1/tuningJobs"]


# Diff


@every_kind
async def test_what_decides_the_result_is_another_run_and_says_which(engine: Any, kind: Kind) -> None:
    inputs = await declared(engine, kind)
    id_, outputs = await engine.create(kind.token, inputs)
    diff, replaces = await engine.diff(
        kind.token, id_, outputs, inputs, await declared(engine, kind, **kind.another)
    )
    assert replaces
    assert all(change.endswith("_REPLACE") for change in diff.values())
    assert all(path.split(".")[0] in kind.another for path in diff)


@every_kind
async def test_labels_train_nothing_again_and_are_said_to_be_written_down_only(
    engine: Any, vertex: Any, kind: Kind
) -> None:
    inputs = await declared(engine, kind)
    id_, outputs = await engine.create(kind.token, inputs)
    asked = len(vertex.requests)
    edited = await declared(engine, kind, labels={"team": "nlp"})
    assert await engine.diff(kind.token, id_, outputs, inputs, edited) == ({"labels.team": "ADD"}, False)
    updated = await engine.update(kind.token, id_, outputs, edited)
    assert updated["labels"] == {"team": "nlp"}
    assert len(vertex.requests) == asked
    assert any("labels: written down here only" in line for line in engine.lines)


@every_kind
async def test_a_nonce_trains_again_on_purpose_and_only_once(engine: Any, vertex: Any, kind: Kind) -> None:
    inputs = await declared(engine, kind)
    id_, outputs = await engine.create(kind.token, inputs)
    forced = await declared(engine, kind, forceNew="second try")
    diff, replaces = await engine.diff(kind.token, id_, outputs, inputs, forced)
    assert (diff, replaces) == ({"forceNew": "ADD_REPLACE"}, True)
    second, _ = await engine.create(kind.token, forced)
    again, adopted = await engine.create(kind.token, forced)
    assert second == again != id_
    assert adopted["adopted"] is True
    assert vertex.submissions == 2


@every_kind
async def test_an_input_still_unknown_passes_and_its_hash_is_unknown(engine: Any, kind: Kind) -> None:
    unknown = await declared(engine, kind, identity={"dataset": UNKNOWN})
    _, outputs = await engine.create(kind.token, unknown, preview=True)
    assert outputs["specHash"] is UNKNOWN


# Adoption


@every_kind
async def test_the_newest_success_with_its_model_is_adopted_and_the_others_are_named(
    engine: Any, vertex: Any, kind: Kind
) -> None:
    hash_ = await hash_of(engine, kind)
    for number, state in enumerate(["SUCCEEDED", "SUCCEEDED", "RUNNING", "FAILED"]):
        vertex.add_job(f"j{number}", state, hash_, f"2026-01-0{number + 1}T00:00:00Z", kind.segment)
    id_, outputs = await engine.create(kind.token, await declared(engine, kind))
    assert (id_.rsplit("/", 1)[1], outputs["adopted"]) == ("j1", True)
    assert any("left as they are: j3, j2, j0" in line for line in engine.lines)
    assert creations(vertex) == 0


@pytest.mark.parametrize("kind", [PIPELINE, TUNING], ids=str)
async def test_a_success_whose_model_is_gone_is_passed_over_for_a_live_job(
    engine: Any, vertex: Any, kind: Kind
) -> None:
    hash_ = await hash_of(engine, kind)
    vertex.add_job("bare", "SUCCEEDED", hash_, "2026-01-02T00:00:00Z", kind.segment)
    vertex.models.clear()
    live = vertex.add_job("live", "RUNNING", hash_, "2026-01-01T00:00:00Z", kind.segment)
    live["states"] = ["RUNNING", "SUCCEEDED"]
    id_, _ = await engine.create(kind.token, await declared(engine, kind))
    assert id_ == live["name"]


# Red ends


@every_kind
@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"])
async def test_what_did_not_succeed_is_red_until_asked(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind, state: str
) -> None:
    vertex.states, vertex.error = ["RUNNING", state], {"code": 3, "message": "row 12 is no JSON"}
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    assert failure.outputs["state"] == state
    second = await another(new_engine, vertex)
    again = await declared(second, kind)
    assert await second.diff(kind.token, failure.id, failure.outputs, inputs, again) == (
        {"state": "UPDATE"},
        False,
    )
    once_more = await failure_of(second, second.update(kind.token, failure.id, failure.outputs, again))
    taken_over = await failure_of(second, second.create(kind.token, again))
    assert once_more.reasons == taken_over.reasons == failure.reasons
    assert creations(vertex) == 1
    retried = await declared(second, kind, retryFailed=True)
    diff, replaces = await second.diff(kind.token, failure.id, failure.outputs, inputs, retried)
    assert (diff["state"], replaces) == ("UPDATE_REPLACE", True)
    vertex.states = ["SUCCEEDED"]
    _, outputs = await second.create(kind.token, retried)
    assert outputs["state"] == "SUCCEEDED"
    assert creations(vertex) == 2


@every_kind
@pytest.mark.parametrize(
    ("state", "code", "causes", "retried"),
    [
        ("FAILED", 8, ["stockout"], True),
        ("FAILED", 10, ["stockout", "preemption"], True),
        ("FAILED", 14, ["internal"], True),
        ("FAILED", 8, ["internal"], False),
        ("FAILED", 3, ["stockout", "preemption", "internal", "deadline"], False),
        ("CANCELLED", 8, ["stockout", "preemption", "internal", "deadline"], False),
        ("EXPIRED", None, ["stockout"], True),
    ],
)
async def test_only_the_causes_that_are_listed_are_retried(
    engine: Any,
    new_engine: Any,
    vertex: Any,
    kind: Kind,
    state: str,
    code: int | None,
    causes: list[str],
    retried: bool,
) -> None:
    vertex.states = ["RUNNING", state]
    vertex.error = {"code": code, "message": "it broke"} if code is not None else None
    inputs = await declared(engine, kind, retryFailed=causes)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    _, replaces = await engine.diff(kind.token, failure.id, failure.outputs, inputs, inputs)
    assert replaces is retried
    vertex.states = ["SUCCEEDED"]
    next_up = await another(new_engine, vertex)
    if retried:
        _, outputs = await next_up.create(kind.token, inputs)
        assert outputs["state"] == "SUCCEEDED"
    else:
        await failure_of(next_up, next_up.create(kind.token, inputs))
    assert creations(vertex) == 1 + retried


@every_kind
async def test_a_retry_that_two_resources_ask_for_is_one_submission_an_update(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    vertex.states = ["RUNNING", "FAILED"]
    inputs = await declared(engine, kind, retryFailed=True)
    first = await failure_of(engine, engine.create(kind.token, inputs, name="one"))
    # It looks once the retry of the other has ended red; and what this update submitted is not retried in it.
    second = await failure_of(engine, engine.create(kind.token, inputs, name="two"))
    assert (first.id, first.reasons) == (second.id, second.reasons)
    assert creations(vertex) == 1
    for number in (2, 3):
        update = await another(new_engine, vertex)
        ends = [
            await failure_of(update, update.create(kind.token, inputs, name=name)) for name in ("one", "two")
        ]
        assert ends[0].id == ends[1].id != first.id
        assert creations(vertex) == number


async def test_a_create_that_arrives_after_the_look_for_it_is_the_same_job(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine, PIPELINE)
    spec_hash = await hash_of(engine, PIPELINE)
    late = f"tunestack-{spec_hash}-0"

    def arrives(method: str, path: str, after: bool) -> None:
        if method == "GET" and path.endswith("/pipelineJobs") and after:
            vertex.faults.remove(arrives)
            vertex.add_job(
                late, "RUNNING", spec_hash, "2026-01-01T00:00:00Z", states=["RUNNING", "SUCCEEDED"]
            )

    vertex.faults.append(arrives)
    id_, outputs = await engine.create(PIPELINE.token, inputs)
    assert vertex.faults == []
    assert (id_.rsplit("/", 1)[1], outputs["state"], len(vertex.jobs)) == (late, "SUCCEEDED", 1)


@every_kind
async def test_a_job_stopped_by_hand_is_never_submitted_again_unasked(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    vertex.states = ["RUNNING"]
    inputs = await declared(engine, kind)

    def stop(count: int) -> None:
        if count == 3:
            next(iter(vertex.jobs.values()))["states"] = ["CANCELLING", "CANCELLED"]

    vertex.looked = stop
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    assert "ended CANCELLED" in failure.reasons[0]
    for _ in range(2):
        second = await another(new_engine, vertex)
        await failure_of(second, second.read(kind.token, failure.id, failure.outputs, inputs))
        await failure_of(second, second.update(kind.token, failure.id, failure.outputs, inputs))
        await failure_of(second, second.create(kind.token, inputs))
    assert creations(vertex) == 1


# The create call and its answer


def lose_answers(vertex: Any, *, carried_out: bool = True, times: int = 1) -> None:
    def fault(method: str, path: str, done: bool) -> int | None:
        nonlocal times
        if method == "POST" and path.endswith("Jobs") and done is carried_out and times > 0:
            times -= 1
            raise vertex.drop
        return None

    vertex.faults.append(fault)


@every_kind
@pytest.mark.parametrize("carried_out", [True, False], ids=["arrived", "never-arrived"])
async def test_a_lost_answer_is_looked_up_and_the_job_exists_once(
    engine: Any, vertex: Any, kind: Kind, carried_out: bool
) -> None:
    lose_answers(vertex, carried_out=carried_out)
    id_, outputs = await engine.create(kind.token, await declared(engine, kind))
    assert list(vertex.jobs) == [id_]
    assert (outputs["state"], outputs["adopted"]) == ("SUCCEEDED", False)


@every_kind
async def test_a_server_error_that_created_nothing_is_sent_again(
    engine: Any, vertex: Any, kind: Kind
) -> None:
    answers = iter([503, 500, 504, 429, 408])
    vertex.faults.append(
        lambda method, path, done: (
            next(answers, None) if method == "POST" and path.endswith("Jobs") and not done else None
        )
    )
    _, outputs = await engine.create(kind.token, await declared(engine, kind))
    assert outputs["state"] == "SUCCEEDED"
    assert vertex.submissions == 1


@named_by_the_server
async def test_an_answer_that_names_no_job_is_a_lost_answer(engine: Any, vertex: Any, kind: Kind) -> None:
    answer = vertex.answer

    def nameless(method: str, path: str, query: Any, body: bytes) -> Any:
        status, content = answer(method, path, query, body)
        return (status, b"<html>welcome</html>") if method == "POST" else (status, content)

    vertex.answer = nameless
    id_, outputs = await engine.create(kind.token, await declared(engine, kind))
    assert list(vertex.jobs) == [id_]
    assert outputs["state"] == "SUCCEEDED"


@named_by_the_server
async def test_a_request_that_arrives_late_is_found_before_anything_is_sent_again(
    engine: Any, vertex: Any, clock: Any, kind: Kind
) -> None:
    late: list[tuple[Any, ...]] = []
    answer = vertex.answer
    began = clock.now

    def slow(method: str, path: str, query: Any, body: bytes) -> Any:
        if method == "POST" and path.endswith("Jobs") and not late:
            late.append((method, path, query, body))
            raise vertex.drop
        if late and len(late) == 1 and clock.now - began > 1.5:
            answer(*late[0])
            late.append(())
        return answer(method, path, query, body)

    vertex.answer = slow
    id_, _ = await engine.create(kind.token, await declared(engine, kind))
    assert list(vertex.jobs) == [id_]


def mute(vertex: Any, *, carried_out: bool = True) -> None:
    """The job arrives, or not; after that nothing is answered any more."""
    silent = False

    def fault(method: str, path: str, done: bool) -> int | None:
        nonlocal silent
        if method == "POST" and path.endswith("Jobs") and done is carried_out:
            silent = True
        if silent:
            raise vertex.drop
        return None

    vertex.faults.append(fault)


@named_by_the_server
async def test_a_placeholder_stands_for_a_job_whose_name_nobody_can_say(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    mute(vertex)
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    assert failure.outputs["state"] == "UNCONFIRMED"
    assert failure.id.endswith(f"/unconfirmed-{failure.outputs['specHash']}")
    assert "by its label" in failure.reasons[0]
    vertex.faults.clear()

    second = await another(new_engine, vertex)
    assert (await second.diff(kind.token, failure.id, failure.outputs, inputs, inputs))[1] is False
    outputs = await second.update(kind.token, failure.id, failure.outputs, await declared(second, kind))
    assert (outputs["state"], outputs["name"] in vertex.jobs) == ("SUCCEEDED", True)
    assert creations(vertex) == 1

    refreshed, _, _ = await second.read(kind.token, failure.id, outputs, inputs)
    assert refreshed == failure.id
    third = await another(new_engine, vertex)
    await third.delete(kind.token, failure.id, outputs, {**inputs, "deletionPolicy": "DELETE"})
    assert not vertex.models


@named_by_the_server
async def test_an_unconfirmed_submission_that_never_arrived_is_sent_once_more_at_the_next_up(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    mute(vertex, carried_out=False)
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    assert vertex.submissions == 0
    vertex.faults.clear()
    second = await another(new_engine, vertex)
    unseen = await failure_of(second, second.read(kind.token, failure.id, failure.outputs, inputs))
    assert unseen.outputs["state"] == "UNCONFIRMED"
    outputs = await second.update(kind.token, failure.id, failure.outputs, await declared(second, kind))
    assert (outputs["state"], vertex.submissions) == ("SUCCEEDED", 1)


@named_by_the_server
async def test_two_resources_whose_one_submission_never_arrived_send_it_once(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    mute(vertex, carried_out=False)
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    vertex.faults.clear()
    second = await another(new_engine, vertex)
    olds = (kind.token, failure.id, failure.outputs, inputs)
    one, other = await asyncio.gather(second.update(*olds, name="a"), second.update(*olds, name="b"))
    assert (one["name"], vertex.submissions) == (other["name"], 1)


@named_by_the_server
async def test_an_unconfirmed_job_is_found_cancelled_and_taken_away(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    vertex.states = ["RUNNING"]
    mute(vertex)
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs))
    vertex.faults.clear()
    second = await another(new_engine, vertex)
    await second.delete(kind.token, failure.id, failure.outputs, inputs)
    assert all(job["states"] == ["CANCELLED"] for job in vertex.jobs.values())


@every_kind
async def test_a_refusal_leaves_nothing_behind(engine: Any, vertex: Any, kind: Kind) -> None:
    vertex.faults.append(lambda method, path, done: 400 if method == "POST" and not done else None)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await engine.create(kind.token, await declared(engine, kind))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "grpc-status-details-bin" not in dict(caught.value.trailing_metadata() or ())


# Waiting


@every_kind
async def test_interrupted_the_id_is_kept_and_the_next_up_goes_on(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    vertex.states = ["PENDING", "RUNNING"]
    reached = asyncio.Event()
    vertex.looked = lambda count: reached.set() if count >= 4 else None
    inputs = await declared(engine, kind)
    create = asyncio.ensure_future(engine.create(kind.token, inputs))
    await reached.wait()
    await engine.cancel()
    failure = await failure_of(engine, create)
    assert failure.id in vertex.jobs
    assert "still RUNNING" in failure.reasons[0]
    vertex.jobs[failure.id]["states"] = ["RUNNING", "SUCCEEDED"]
    second = await another(new_engine, vertex)
    outputs = await second.update(kind.token, failure.id, failure.outputs, await declared(second, kind))
    assert (outputs["state"], creations(vertex)) == ("SUCCEEDED", 1)


@every_kind
@pytest.mark.parametrize(("on_cancel", "state"), [("detach", "RUNNING"), ("cancel", "CANCELLED")])
async def test_at_the_deadline_the_job_goes_on_or_is_cancelled_as_asked(
    engine: Any, vertex: Any, kind: Kind, on_cancel: str, state: str
) -> None:
    vertex.states = ["RUNNING"]
    inputs = await declared(engine, kind, onCancel=on_cancel)
    failure = await failure_of(engine, engine.create(kind.token, inputs, timeout=30))
    assert vertex.jobs[failure.id]["states"][-1] == state


@every_kind
async def test_without_waiting_the_next_up_takes_it_up(engine: Any, vertex: Any, kind: Kind) -> None:
    inputs = await declared(engine, kind, wait=False)
    id_, outputs = await engine.create(kind.token, inputs)
    assert outputs["state"] == "PENDING"
    assert (await engine.diff(kind.token, id_, outputs, inputs, inputs))[0] == {"state": "UPDATE"}
    outputs = await engine.update(kind.token, id_, outputs, inputs)
    outputs = await engine.update(kind.token, id_, outputs, inputs)
    assert outputs["state"] == "SUCCEEDED"


# Delete


@every_kind
@pytest.mark.parametrize("policy", ["ABANDON", "DELETE"])
async def test_what_deletion_keeps_and_takes(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind, policy: str
) -> None:
    inputs = await declared(engine, kind, deletionPolicy=policy)
    id_, outputs = await engine.create(kind.token, inputs)
    vertex.requests.clear()
    second = await another(new_engine, vertex)
    await second.delete(kind.token, id_, outputs, inputs)
    changed = [path.split("/")[6] for method, path in vertex.requests if method in ("POST", "DELETE")]
    if policy == "ABANDON":
        assert changed == []
        assert len(vertex.models) == len(vertex.endpoints) == kind.registers_a_model
    else:
        expected = ["endpoints", "endpoints", "models"] if kind.registers_a_model else []
        assert changed == expected + ([kind.segment] if kind.deletable else [])
        assert not vertex.models
        assert not vertex.endpoints
    third = await another(new_engine, vertex)
    await third.delete(kind.token, id_, outputs, inputs)


async def test_of_a_model_that_others_tuned_too_only_our_version_is_deleted(
    engine: Any, new_engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine, TUNING, deletionPolicy="DELETE")
    id_, outputs = await engine.create(TUNING.token, inputs)
    model = outputs["model"].partition("@")[0]
    vertex.versions[model] = ["1", "2"]
    second = await another(new_engine, vertex)
    await second.delete(TUNING.token, id_, outputs, inputs)
    assert vertex.versions[model] == ["2"]
    assert model in vertex.models


@every_kind
async def test_a_running_job_is_cancelled_and_waited_for(
    engine: Any, new_engine: Any, vertex: Any, kind: Kind
) -> None:
    vertex.states = ["RUNNING"]
    inputs = await declared(engine, kind)
    failure = await failure_of(engine, engine.create(kind.token, inputs, timeout=5))
    second = await another(new_engine, vertex)
    await second.delete(kind.token, failure.id, failure.outputs, inputs)
    assert any(path.endswith(":cancel") for _, path in vertex.requests)
    if kind.deletable:
        assert not vertex.jobs
    else:
        assert vertex.jobs[failure.id]["states"] == ["CANCELLED"]
        assert any("stays: tuning jobs have no delete" in line for line in second.lines)


# Import


@every_kind
async def test_an_imported_job_needs_no_change_and_no_training(engine: Any, vertex: Any, kind: Kind) -> None:
    inputs = await declared(engine, kind, labels={"team": "nlp"})
    id_, _ = await engine.create(kind.token, inputs)
    found, outputs, imported = await engine.read(kind.token, id_, {}, {})
    assert (found, imported) == (id_, inputs)
    assert await engine.check(kind.token, imported) == (imported, {})
    assert await engine.diff(kind.token, id_, outputs, imported, inputs) == ({}, False)
    gone, _, _ = await engine.read(kind.token, f"{id_}0", {}, {})
    assert gone == ""
