"""Evaluation over gRPC, in the engine's order, against a scripted Vertex AI and Cloud Storage."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from blake3 import blake3

from tunestack.provider.values import UNKNOWN

EVALUATION = "tunestack:vertex:Evaluation"
ENDPOINT = "projects/acme/locations/us-central1/endpoints/7"
ROWS = [
    {"input_text": f"Classify: text {number}", "output_text": "sarcasm" if number % 2 else "no_sarcasm"}
    for number in range(40)
]
HELD_OUT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
INPUTS: dict[str, Any] = {
    "location": "us-central1",
    "endpoint": ENDPOINT,
    "baseModel": "publishers/google/models/text-bison@001",
    "task": "classification",
    "labels": ["sarcasm", "no_sarcasm"],
    "heldOut": [
        {"name": "plain", "uri": "gs://acme-data/plain.jsonl", "digest": blake3(HELD_OUT).hexdigest()}
    ],
    "gate": [
        {"set": "plain", "metric": "accuracy", "atLeast": 0.85},
        {"set": "plain", "metric": "accuracy", "aboveBase": 0.1},
    ],
    "maxOutputTokens": 8,
    "reportDirectory": "gs://acme-pipelines/reports/",
}


def right(text: str) -> str:
    return "sarcasm" if int(text.rsplit(" ", 1)[1]) % 2 else "no_sarcasm"


@pytest.fixture(autouse=True)
def cloud(vertex: Any) -> None:
    """A tuned model that is always right, and a base that only talks."""
    vertex.objects["gs://acme-data/plain.jsonl"] = HELD_OUT
    vertex.models["projects/acme/locations/us-central1/models/m"] = {
        "description": "Simulated: played by a dwarf."
    }
    vertex.endpoints[ENDPOINT] = {
        "deployedModels": [{"id": "1", "model": "projects/acme/locations/us-central1/models/m@1"}]
    }
    vertex.replies = lambda name, text: right(text) if name.startswith(ENDPOINT) else "That is a nice text."


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs, problems = await engine.check(EVALUATION, {**INPUTS, **changes})
    assert problems == {}
    return inputs


async def failed_gate(engine: Any, operation: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    return engine.partial(caught.value)


async def test_a_better_model_passes_and_the_report_tells_why(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(EVALUATION, inputs)
    assert id_
    assert outputs["verdict"] == "PASS"
    assert outputs["scores"]["plain"]["tuned"]["accuracy"] == 1
    assert outputs["scores"]["plain"]["base"] == {
        "accuracy": 0,
        "answered": 0,
        "macro_f1": 0,
        "majority": 0.5,
    }
    assert outputs["scores"]["plain"]["rows"] == 40
    assert outputs["gateResults"][0] == "PASS plain accuracy 1.00, needs ≥ 0.85 (base 0.00)"
    assert outputs["samples"][0] == {
        "set": "plain",
        "input": "Classify: text 0",
        "base": "That is a nice text.",
        "tuned": "no_sarcasm",
        "reference": "no_sarcasm",
    }
    report = vertex.objects[outputs["reportUri"]].decode()
    assert "PASS plain accuracy 1.00, needs ≥ 0.85" in report
    assert "played by a dwarf" in report
    rows = json.loads(vertex.objects[outputs["reportUri"].replace(".md", ".json")])["sets"][0]["rows"]
    assert len(rows) == 40
    assert await engine.diff(EVALUATION, id_, outputs, inputs, inputs) == ({}, False)
    assert any("evaluate 50 % · plain · base 40" in line or "tuned 0" in line for line in engine.lines)
    predictions = [path for _, path in vertex.requests if path.endswith(":predict")]
    assert len(predictions) == 4


async def test_a_failed_gate_is_red_keeps_the_scores_and_is_judged_again(engine: Any, vertex: Any) -> None:
    tuned = vertex.replies
    vertex.replies = lambda name, text: "sarcasm"
    inputs = await declared(engine)
    failure = await failed_gate(engine, engine.create(EVALUATION, inputs))
    assert failure.reasons[0] == "FAIL plain accuracy 0.50, needs ≥ 0.85 (base 0.50)"
    assert failure.outputs["scores"]["plain"]["tuned"]["accuracy"] == 0.5
    assert await engine.diff(EVALUATION, failure.id, failure.outputs, inputs, inputs) == (
        {"verdict": "UPDATE"},
        False,
    )
    read = await failed_gate(engine, engine.read(EVALUATION, failure.id, failure.outputs, inputs))
    assert read.inputs == inputs
    again = await failed_gate(engine, engine.update(EVALUATION, failure.id, failure.outputs, inputs))
    assert again.reasons == failure.reasons
    vertex.replies = tuned
    outputs = await engine.update(EVALUATION, failure.id, failure.outputs, inputs)
    assert outputs["verdict"] == "PASS"


async def test_any_change_judges_again_in_place(engine: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(EVALUATION, inputs)
    edited = await declared(
        engine, gate=[{"set": "plain", "metric": "majority", "atMost": 0.5}], endpoint=UNKNOWN
    )
    diff, replaces = await engine.diff(EVALUATION, id_, outputs, inputs, edited)
    assert (set(diff), replaces) == ({"gate", "endpoint"}, False)
    preview = await engine.update(EVALUATION, id_, outputs, edited, preview=True)
    assert preview["verdict"] is UNKNOWN


async def test_the_same_evaluation_gives_the_same_report(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    _, one = await engine.create(EVALUATION, inputs)
    content = vertex.objects[one["reportUri"]]
    _, other = await engine.create(EVALUATION, inputs, name="other")
    assert other["reportUri"] == one["reportUri"]
    assert vertex.objects[other["reportUri"]] == content


@pytest.mark.parametrize("ending", [".md", ".json"])
@pytest.mark.parametrize("good", [True, False])
async def test_an_evaluation_is_imported_by_its_report_as_it_was_judged(
    engine: Any, vertex: Any, good: bool, ending: str
) -> None:
    if not good:
        vertex.replies = lambda name, text: "sarcasm"
    inputs = await declared(engine)
    if good:
        _, outputs = await engine.create(EVALUATION, inputs)
    else:
        outputs = (await failed_gate(engine, engine.create(EVALUATION, inputs))).outputs
    vertex.requests.clear()
    report = outputs["reportUri"].replace(".md", ending)
    if good:
        id_, read, found = await engine.read(EVALUATION, report, {}, {})
    else:
        failure = await failed_gate(engine, engine.read(EVALUATION, report, {}, {}))
        id_, read, found = failure.id, failure.outputs, failure.inputs
    wanted = {**inputs, "reportDirectory": inputs["reportDirectory"].rstrip("/")}
    assert (id_, found, read) == (report, wanted, {**outputs, **wanted})
    assert (await engine.diff(EVALUATION, id_, read, found, wanted))[0] == (
        {} if good else {"verdict": "UPDATE"}
    )
    assert not [path for _, path in vertex.requests if path.endswith(":predict")]  # nobody is asked again


async def test_another_model_behind_the_same_endpoint_is_judged_again_and_no_other_is(
    engine: Any, vertex: Any
) -> None:
    models = "projects/123/locations/us-central1/models"  # Google writes the project's number
    first, second = (f"projects/acme/locations/us-central1/models/m@{version}" for version in (1, 2))
    endpoint = vertex.endpoints[ENDPOINT]
    endpoint["deployedModels"] = [
        {"id": version, "model": f"{models}/m@{version}", "modelVersionId": version} for version in ("1", "2")
    ]
    endpoint["trafficSplit"] = {"1": 100, "2": 0}
    inputs = await declared(engine, model=first)
    id_, outputs = await engine.create(EVALUATION, inputs)
    assert (await engine.read(EVALUATION, outputs["reportUri"], {}, {}))[2]["model"] == first

    news = await declared(engine, model=second)
    assert await engine.diff(EVALUATION, id_, outputs, inputs, news) == ({"model": "UPDATE"}, False)
    vertex.requests.clear()
    for split in ({"1": 100}, {"1": 50, "2": 50}):
        endpoint["trafficSplit"] = split
        with pytest.raises(grpc.aio.AioRpcError, match=r"answers with .*m@1.*, need .*m@2 alone"):
            await engine.update(EVALUATION, id_, outputs, news)
    assert not [path for _, path in vertex.requests if path.endswith(":predict")]
    endpoint["trafficSplit"] = {"2": 100}
    assert (await engine.update(EVALUATION, id_, outputs, news))["model"] == second


async def test_what_is_no_report_is_not_imported(engine: Any, vertex: Any) -> None:
    vertex.objects["gs://acme-pipelines/reports/other.json"] = b"{}"
    for wrong in ("r-0123", "gs://acme-pipelines/reports/other.md"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await engine.read(EVALUATION, wrong, {}, {})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "report" in str(caught.value.details())
    assert (await engine.read(EVALUATION, "gs://acme-pipelines/reports/none.md", {}, {}))[0] == ""


async def test_other_rows_than_declared_are_refused(engine: Any, vertex: Any) -> None:
    vertex.objects["gs://acme-data/plain.jsonl"] = HELD_OUT.replace(b"text 1", b"text 2")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await engine.create(EVALUATION, await declared(engine))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "gs://acme-data/plain.jsonl" in str(caught.value.details())
    assert "need" in str(caught.value.details())


async def test_a_reply_too_few_is_no_score(engine: Any, vertex: Any) -> None:
    answer = vertex.answer

    def short(method: str, path: str, query: Any, body: bytes) -> Any:
        status, content = answer(method, path, query, body)
        if path.endswith(":predict"):
            content["predictions"].pop()
        return status, content

    vertex.answer = short
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await engine.create(EVALUATION, await declared(engine))
    assert "31 texts to 32 prompts" in str(caught.value.details())


async def test_interrupted_nothing_is_stored(engine: Any, vertex: Any) -> None:
    asked = asyncio.Event()
    replies = vertex.replies

    def reply(name: str, text: str) -> str:
        asked.set()
        return str(replies(name, text))

    vertex.replies = reply
    create = asyncio.ensure_future(engine.create(EVALUATION, await declared(engine)))
    await asked.wait()
    await engine.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create
    assert caught.value.code() == grpc.StatusCode.ABORTED


async def test_a_verdict_is_a_record_a_read_gives_it_back_and_a_delete_leaves_the_report(
    engine: Any, vertex: Any
) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(EVALUATION, inputs)
    vertex.requests.clear()
    assert await engine.read(EVALUATION, id_, outputs, inputs) == (id_, outputs, inputs)
    await engine.delete(EVALUATION, id_, outputs, inputs)
    await engine.delete(EVALUATION, id_, outputs, inputs)
    assert vertex.requests == []
    assert outputs["reportUri"] in vertex.objects


async def test_a_worse_model_at_the_same_place_is_red_and_so_is_its_read(engine: Any, vertex: Any) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(EVALUATION, inputs)
    vertex.endpoints[f"{ENDPOINT}8"] = vertex.endpoints[ENDPOINT]
    vertex.replies = lambda name, text: "sarcasm"
    edited = await declared(engine, endpoint=f"{ENDPOINT}8")
    assert await engine.diff(EVALUATION, id_, outputs, inputs, edited) == ({"endpoint": "UPDATE"}, False)
    failure = await failed_gate(engine, engine.update(EVALUATION, id_, outputs, edited))
    assert (failure.id, failure.outputs["verdict"]) == (id_, "FAIL")
    read = await failed_gate(engine, engine.read(EVALUATION, id_, failure.outputs, edited))
    assert read.reasons == failure.reasons
    # Back at the model that passed, it is judged again and not believed.
    assert (await engine.diff(EVALUATION, id_, failure.outputs, edited, inputs))[0] == {
        "endpoint": "UPDATE",
        "verdict": "UPDATE",
    }


@pytest.mark.parametrize("end", ["interrupted", "gone"])
async def test_an_update_that_comes_to_no_verdict_stores_none(engine: Any, vertex: Any, end: str) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(EVALUATION, inputs)
    asked = asyncio.Event()
    replies = vertex.replies

    def reply(name: str, text: str) -> str:
        asked.set()
        return str(replies(name, text))

    def gone(method: str, path: str, done: bool) -> int | None:
        return 404 if path.endswith(":predict") and not done else None

    if end == "gone":
        vertex.faults.append(gone)
    else:
        vertex.replies = reply
    update = asyncio.ensure_future(engine.update(EVALUATION, id_, outputs, inputs))
    if end == "interrupted":
        await asked.wait()
        await engine.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await update
    # No partial failure: what is in state, and the verdict of then, stays as it is.
    assert caught.value.code() is (grpc.StatusCode.NOT_FOUND if end == "gone" else grpc.StatusCode.ABORTED)


@pytest.mark.parametrize(
    ("change", "property_", "words"),
    [
        ({"labels": None}, "labels", "required for a classification"),
        ({"gate": [{"set": "plan", "metric": "accuracy", "atLeast": 1}]}, "gate[0].set", "there are plain"),
        ({"gate": [{"set": "plain", "metric": "bleu", "atLeast": 1}]}, "gate[0].metric", "it has accuracy"),
        ({"gate": [{"set": "plain", "metric": "accuracy"}]}, "gate[0]", "exactly one"),
        ({"gate": [{"set": "plain", "metric": "accuracy", "atLest": 1}]}, "gate[0].atLest", "not permitted"),
        ({"heldOut": []}, "heldOut", "at least 1"),
        (
            {"heldOut": [{"name": "a", "uri": "plain.jsonl", "digest": "0" * 64}]},
            "heldOut[0].uri",
            "gs://bucket",
        ),
        ({"task": "translation"}, "task", "'classification' or 'generation'"),
        ({"maxOutputTokens": 0}, "maxOutputTokens", "greater than or equal to 1"),
    ],
)
async def test_every_rule_of_an_evaluation_is_an_error_of_its_property(
    engine: Any, change: dict[str, Any], property_: str, words: str
) -> None:
    _, problems = await engine.check(EVALUATION, {**INPUTS, **change})
    assert property_ in problems
    assert words in problems[property_]
