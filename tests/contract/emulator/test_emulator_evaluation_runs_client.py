"""Evaluation runs: candidates really answer, metrics are really computed, results are kept.

Google's one client of them takes ten seconds to import, so it drives one test, and plain HTTP the others.
"""

from __future__ import annotations

import json

import pytest
from google.oauth2.credentials import Credentials

LOCATION = "projects/p26/locations/us-central1"
PATH = f"/v1beta1/{LOCATION}"
EXACT = {"metric": "exact_match", "computationBasedMetricSpec": {"type": "EXACT_MATCH"}}
GEMINI = f"{LOCATION}/publishers/google/models/gemini-2.5-flash"


@pytest.fixture
def bucket(emulator):
    return emulator.bucket()


def request(prompt, golden, **replies):
    return {
        "prompt": {"text": prompt},
        "goldenResponse": {"text": golden},
        "candidateResponses": [{"candidate": name, "text": text} for name, text in replies.items()],
    }


def evaluation_set(emulator, *requests):
    items = [
        emulator.call(
            "POST",
            f"{PATH}/evaluationItems",
            {"displayName": "an item", "evaluationItemType": "REQUEST", "evaluationRequest": body},
        )["name"]
        for body in requests
    ]
    return emulator.call("POST", f"{PATH}/evaluationSets", {"displayName": "a set", "evaluationItems": items})


def finished(emulator, found, *metrics, **more):
    body = {
        "displayName": "a run",
        "dataSource": {"evaluationSet": found["name"]},
        "evaluationConfig": {"metrics": list(metrics), **more.pop("config", {})},
        **more,
    }
    run = emulator.call("POST", f"{PATH}/evaluationRuns", body)
    assert run["state"] == "PENDING"
    return emulator.wait(run["name"], lambda row: row["state"] in ("SUCCEEDED", "FAILED"))


def averages(run):
    metrics = run["evaluationResults"]["summaryMetrics"]["metrics"]
    return {
        name.removesuffix("/AVERAGE"): value for name, value in metrics.items() if name.endswith("AVERAGE")
    }


def test_replies_are_scored_and_every_result_is_kept(emulator, bucket):
    found = evaluation_set(
        emulator, request("a", "x", one="x", two="y"), request("b", "x y", one="x y", two="x y z")
    )
    bleu = {"metric": "bleu", "metricConfig": {"bleuSpec": {"useEffectiveOrder": True}}}
    destination = {"outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://{bucket.name}/out"}}}
    ended = finished(emulator, found, EXACT, bleu, config=destination)
    assert ended["state"] == "SUCCEEDED", ended
    found_averages = averages(ended)
    assert 0 < found_averages.pop("two/bleu") < 1
    assert found_averages == {
        "one/exact_match": 1,
        "two/exact_match": 0,
        "one/bleu": pytest.approx(1),
    }
    summary = ended["evaluationResults"]["summaryMetrics"]
    assert (summary["totalItems"], summary["failedItems"]) == (2, 0)
    results = emulator.call("GET", f"/v1beta1/{ended['evaluationResults']['evaluationSet']}")
    rows = [emulator.call("GET", f"/v1beta1/{name}") for name in results["evaluationItems"]]
    assert {row["evaluationItemType"] for row in rows} == {"RESULT"}
    assert {row["evaluationResponse"]["evaluationRequest"] for row in rows} == set(found["evaluationItems"])
    kept = {f"gs://{bucket.name}/{blob.name}" for blob in bucket.list_blobs(prefix="out")}
    assert kept == {row["gcsUri"] for row in rows}


def test_candidates_are_asked_by_their_prompt_template(emulator):
    values = {"word": {"role": "user", "parts": [{"text": "hello"}]}}
    found = evaluation_set(
        emulator,
        {
            "prompt": {"promptTemplateData": {"values": values}},
            "goldenResponse": {"text": "say hello"},
        },
    )
    candidates = {
        "base": {"model": GEMINI, "promptTemplate": {"promptTemplate": "say {word}"}},
        "nobody": {"model": f"{LOCATION}/endpoints/1"},
    }
    ended = finished(emulator, found, EXACT, inferenceConfigs=candidates)
    assert averages(ended) == {"base/exact_match": 1}
    summary = ended["evaluationResults"]["summaryMetrics"]
    assert (summary["totalItems"], summary["failedItems"]) == (1, 1)


def test_a_run_without_anything_to_judge_by_fails_and_says_so(emulator):
    judged = {"metric": "quality", "llmBasedMetricSpec": {"metricPromptTemplate": "rate {response}"}}
    ended = finished(emulator, evaluation_set(emulator, request("a", "x", one="x")), judged)
    assert ended["state"] == "FAILED"
    assert "as a judge" in ended["error"]["message"]


@pytest.mark.slow
def test_googles_client_makes_a_run_and_reads_its_results(emulator, bucket, monkeypatch):
    import agentplatform
    from agentplatform._genai import types

    # The client's own storage client asks the environment, as it does for any emulator.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    evals = agentplatform.Client(
        project="p26",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    ).evals
    bucket.blob("0.json").upload_from_string(json.dumps(request("a", "x", one="x")))
    item = evals.create_evaluation_item(
        evaluation_item_type="REQUEST", gcs_uri=f"gs://{bucket.name}/0.json", display_name="an item"
    )
    found = evals.create_evaluation_set(evaluation_items=[item.name], display_name="a set")
    run = evals.create_evaluation_run(
        dataset=types.EvaluationRunDataSource(evaluation_set=found.name),
        dest=f"gs://{bucket.name}/out",
        metrics=[
            types.EvaluationRunMetric(
                metric="exact_match",
                metric_config=types.UnifiedMetric(computation_based_metric_spec={"type": "EXACT_MATCH"}),
            )
        ],
        labels={"a": "b"},
    )
    emulator.wait(run.name, lambda row: row["state"] in ("SUCCEEDED", "FAILED"))
    ended = evals.get_evaluation_run(name=run.name, include_evaluation_items=True)
    assert ended.state == "SUCCEEDED", ended.error
    assert ended.evaluation_run_results.summary_metrics.metrics["one/exact_match/AVERAGE"] == 1
    [case] = ended.evaluation_item_results.eval_case_results
    assert case.response_candidate_results[0].metric_results["exact_match"].score == 1


def body_of_run(emulator, name="a run", **more):
    item = emulator.call(
        "POST",
        f"{PATH}/evaluationItems",
        {
            "displayName": "i",
            "evaluationItemType": "REQUEST",
            "evaluationRequest": {"prompt": {"text": "a"}},
        },
    )
    found = emulator.call(
        "POST", f"{PATH}/evaluationSets", {"displayName": "s", "evaluationItems": [item["name"]]}
    )
    metrics = [{"metric": "m", "metricConfig": {"exactMatchSpec": {}}}]
    return {
        "displayName": name,
        "dataSource": {"evaluationSet": found["name"]},
        "evaluationConfig": {"metrics": metrics},
        **more,
    }


def test_a_run_is_found_cancelled_and_deleted(emulator):
    name = emulator.script(kind="evaluationRuns", state="RUNNING")
    run = emulator.call("POST", f"{PATH}/evaluationRuns", body_of_run(emulator, name))
    emulator.wait(run["name"], lambda row: row["state"] == "RUNNING")
    found = emulator.call("GET", f"{PATH}/evaluationRuns", filter=f'display_name="{name}"')
    assert [row["name"] for row in found["evaluationRuns"]] == [run["name"]]
    emulator.call("POST", f"/v1beta1/{run['name']}:cancel")
    ended = emulator.wait(run["name"], lambda row: row["state"] == "CANCELLED")
    assert ended["error"]["code"] == 1
    assert ended["completionTime"] >= ended["createTime"]
    emulator.call("DELETE", f"/v1beta1/{run['name']}")
    assert emulator.http.get(f"/v1beta1/{run['name']}").status_code == 404


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"dataSource": {}}, 400, "data_source"),
        ({"dataSource": {"evaluationSet": f"{LOCATION}/evaluationSets/1"}}, 404, "not found"),
        ({"evaluationConfig": {}}, 400, "metrics"),
    ],
)
def test_a_run_that_means_nothing_is_refused(emulator, change, code, words):
    answer = emulator.http.post(f"{PATH}/evaluationRuns", json=body_of_run(emulator) | change)
    assert answer.status_code == code
    assert words in answer.text


def test_items_are_requests_sets_are_of_items_and_metrics_are_for_judges(emulator):
    refused = [
        (
            "evaluationItems",
            {"displayName": "i", "evaluationItemType": "RESULT", "gcsUri": "gs://a/b"},
            "REQUEST",
        ),
        ("evaluationItems", {"displayName": "i", "evaluationItemType": "REQUEST"}, "Exactly one"),
        (
            "evaluationItems",
            {"displayName": "i", "evaluationItemType": "REQUEST", "evaluationRequest": {}},
            "Either prompt",
        ),
        (
            "evaluationItems",
            {
                "displayName": "i",
                "evaluationItemType": "REQUEST",
                "evaluationRequest": {"prompt": {"text": "a"}, "candidateResponses": [{"text": "b"}]},
            },
            "candidate_responses[0].candidate",
        ),
        (
            "evaluationSets",
            {"displayName": "s", "evaluationItems": [f"{LOCATION}/evaluationItems/1"]},
            "not found",
        ),
        ("evaluationMetrics", {"displayName": "m", "metric": {"exactMatchSpec": {}}}, "Only LLMMetric"),
    ]
    for collection, body, words in refused:
        answer = emulator.http.post(f"{PATH}/{collection}", json=body)
        assert answer.status_code in (400, 404)
        assert words in answer.json()["error"]["message"]


def test_a_metric_of_ones_own_is_registered_and_listed(emulator):
    body = {
        "displayName": "mine",
        "metric": {"llmBasedMetricSpec": {"metricPromptTemplate": "rate {response}"}},
    }
    made = emulator.call("POST", f"{PATH}/evaluationMetrics", body, evaluationMetricId="mine")
    assert made["name"].endswith("/evaluationMetrics/mine")
    listed = emulator.call("GET", f"{PATH}/evaluationMetrics")["evaluationMetrics"]
    assert made["name"] in {row["name"] for row in listed}
    emulator.call("DELETE", f"/v1beta1/{made['name']}")
    assert emulator.http.get(f"/v1beta1/{made['name']}").status_code == 404


def test_a_run_joins_the_experiment_that_it_names(emulator):
    made = emulator.call("POST", f"{PATH}/evaluationExperiments", {"displayName": "e"})
    run = emulator.call(
        "POST", f"{PATH}/evaluationRuns", body_of_run(emulator, evaluationExperiment=made["name"])
    )
    assert emulator.call("GET", f"/v1beta1/{made['name']}")["evaluationRuns"] == [run["name"]]
