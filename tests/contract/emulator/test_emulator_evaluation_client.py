"""evaluateInstances with Google's own clients: metrics that are really computed, and a judge that is really asked."""

from __future__ import annotations

import json

import pandas
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1, aiplatform_v1beta1
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1beta1 import types as beta

LOCATION = "projects/p25/locations/us-central1"


@pytest.fixture(scope="module")
def evaluation(emulator):
    return emulator.google(aiplatform_v1.EvaluationServiceClient)


@pytest.fixture(scope="module")
def judging(emulator):
    """v1's protos have no ``autorater_config`` and no trajectories yet."""
    return emulator.google(aiplatform_v1beta1.EvaluationServiceClient)


@pytest.fixture(scope="module")
def judge(emulator):
    """A tuned model on an endpoint, which has learnt what to say of two replies."""
    bucket = emulator.bucket()
    learnt = [
        {"input_text": "rate GOOD", "output_text": '{"score": 5, "explanation": "it is good"}'},
        {"input_text": "rate BAD", "output_text": '{"score": 1, "explanation": "it is bad"}'},
        {"input_text": "compare first GOOD second BAD", "output_text": '{"pairwise_choice": "CANDIDATE"}'},
        {"input_text": "mumble", "output_text": "well well"},
    ]
    lines = [
        {
            "contents": [
                {"role": "user", "parts": [{"text": row["input_text"]}]},
                {"role": "model", "parts": [{"text": row["output_text"]}]},
            ]
        }
        for row in learnt
    ]
    bucket.blob("train.jsonl").upload_from_string("\n".join(map(json.dumps, lines)))
    spec = {"trainingDatasetUri": f"gs://{bucket.name}/train.jsonl", "hyperParameters": {"epochCount": "1"}}
    body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec}
    ended = emulator.wait(emulator.call("POST", f"/v1/{LOCATION}/tuningJobs", body)["name"])
    return ended["tunedModel"]["endpoint"]


def test_texts_are_scored_one_by_one(evaluation):
    def instances(kind):
        pairs = [("the cat", "the cat"), ("the dog", "the cat")]
        return [kind(prediction=prediction, reference=reference) for prediction, reference in pairs]

    answer = evaluation.evaluate_instances(
        request=types.EvaluateInstancesRequest(
            location=LOCATION,
            exact_match_input=types.ExactMatchInput(
                metric_spec=types.ExactMatchSpec(), instances=instances(types.ExactMatchInstance)
            ),
        )
    )
    assert [value.score for value in answer.exact_match_results.exact_match_metric_values] == [1, 0]
    answer = evaluation.evaluate_instances(
        request=types.EvaluateInstancesRequest(
            location=LOCATION,
            rouge_input=types.RougeInput(
                metric_spec=types.RougeSpec(rouge_type="rouge1"), instances=instances(types.RougeInstance)
            ),
        )
    )
    assert [value.score for value in answer.rouge_results.rouge_metric_values] == [1, 0.5]
    answer = evaluation.evaluate_instances(
        request=types.EvaluateInstancesRequest(
            location=LOCATION,
            tool_name_match_input=types.ToolNameMatchInput(
                metric_spec=types.ToolNameMatchSpec(), instances=instances(types.ToolNameMatchInstance)
            ),
        )
    )
    assert [value.score for value in answer.tool_name_match_results.tool_name_match_metric_values] == [0, 0]


def test_a_trajectory_is_compared_with_its_reference(judging):
    def trajectory(*names):
        return beta.Trajectory(tool_calls=[beta.ToolCall(tool_name=name, tool_input="{}") for name in names])

    answer = judging.evaluate_instances(
        request=beta.EvaluateInstancesRequest(
            location=LOCATION,
            trajectory_recall_input=beta.TrajectoryRecallInput(
                metric_spec=beta.TrajectoryRecallSpec(),
                instances=[
                    beta.TrajectoryRecallInstance(
                        predicted_trajectory=trajectory("a"), reference_trajectory=trajectory("a", "b")
                    )
                ],
            ),
        )
    )
    assert answer.trajectory_recall_results.trajectory_recall_metric_values[0].score == 0.5


def pointwise(judge, template, **fields):
    return beta.EvaluateInstancesRequest(
        location=LOCATION,
        pointwise_metric_input=beta.PointwiseMetricInput(
            metric_spec=beta.PointwiseMetricSpec(metric_prompt_template=template),
            instance=beta.PointwiseMetricInstance(json_instance=json.dumps(fields)),
        ),
        autorater_config={"autorater_model": judge, "sampling_count": 2},
    )


def test_a_judge_of_ones_own_is_asked_and_believed(judging, judge):
    for reply, score in (("GOOD", 5), ("BAD", 1)):
        answer = judging.evaluate_instances(request=pointwise(judge, "rate {response}", response=reply))
        assert answer.pointwise_metric_result.score == score
    assert answer.pointwise_metric_result.explanation == "it is bad"


def test_a_judge_compares_two_replies_and_half_the_samples_see_them_exchanged(emulator, judge):
    template = "compare first {one} second {two}"
    spec = {
        "metricPromptTemplate": template,
        "candidateResponseFieldName": "one",
        "baselineResponseFieldName": "two",
    }
    instance = {"jsonInstance": json.dumps({"one": "GOOD", "two": "BAD"})}
    body = {
        "pairwiseMetricInput": {"metricSpec": spec, "instance": instance},
        "autoraterConfig": {"autoraterModel": judge, "samplingCount": 1},
    }
    answer = emulator.call("POST", f"/v1beta1/{LOCATION}:evaluateInstances", body)
    assert answer["pairwiseMetricResult"]["pairwiseChoice"] == "CANDIDATE"
    # This judge says CANDIDATE whatever it sees; exchanged that means the other.
    body["autoraterConfig"]["samplingCount"] = 2
    answer = emulator.call("POST", f"/v1beta1/{LOCATION}:evaluateInstances", body)
    assert answer["pairwiseMetricResult"]["pairwiseChoice"] == "TIE"


def test_without_a_judge_nothing_is_judged(judging):
    with pytest.raises(exceptions.NotFound, match="as a judge"):
        judging.evaluate_instances(request=pointwise("", "rate {response}", response="GOOD"))


@pytest.mark.parametrize(
    ("template", "words"),
    [("rate {reply}", "has no reply"), ("mumble {response}", "no verdict that can be read")],
)
def test_what_cannot_be_judged_is_told(judging, judge, template, words):
    with pytest.raises(exceptions.GoogleAPICallError, match=words):
        judging.evaluate_instances(request=pointwise(judge, template, response="mumble"))


def test_the_first_of_several_metrics_is_evaluated_on_an_instance(emulator):
    body = {
        "metrics": [
            {"computationBasedMetricSpec": {"type": "ROUGE", "parameters": {"rouge_type": "rouge1"}}},
            {"exactMatchSpec": {}},
        ],
        "instance": {"response": {"text": "the cat"}, "reference": {"text": "the cat sat down"}},
    }
    answer = emulator.call("POST", f"/v1beta1/{LOCATION}:evaluateInstances", body)
    assert answer == {"metricResults": [{"score": 0.5}]}
    body["instance"] = {"response": {"text": "x"}}
    answer = emulator.http.post(f"/v1beta1/{LOCATION}:evaluateInstances", json=body)
    assert "has no reference" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, 400, "have none"),
        ({"fluencyInput": {"metricSpec": {}, "instance": {"prediction": "x"}}}, 404, "not available"),
        (
            {
                "rougeInput": {
                    "metricSpec": {"rougeType": "rouge12"},
                    "instances": [{"prediction": "a", "reference": "b"}],
                }
            },
            400,
            "rouge_type is rouge12",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(emulator, body, code, words):
    answer = emulator.http.post(f"/v1/{LOCATION}:evaluateInstances", json=body)
    assert answer.status_code == code
    assert words in answer.json()["error"]["message"]


def test_a_file_of_replies_is_evaluated_and_its_scores_aggregated(emulator, judging):
    bucket = emulator.bucket()
    rows = [{"response": "the cat", "reference": "the cat"}, {"response": "a dog", "reference": "the dog"}]
    bucket.blob("replies.jsonl").upload_from_string("\n".join(map(json.dumps, rows)))
    operation = judging.evaluate_dataset(
        request=beta.EvaluateDatasetRequest(
            location=LOCATION,
            dataset={"gcs_source": {"uris": [f"gs://{bucket.name}/replies.jsonl"]}},
            metrics=[
                {"exact_match_spec": {}, "aggregation_metrics": ["AVERAGE", "MAXIMUM"]},
                {"bleu_spec": {"use_effective_order": True}},
            ],
            output_config={"gcs_destination": {"output_uri_prefix": f"gs://{bucket.name}/out"}},
        )
    )
    answer = emulator.call("GET", f"/ui/{operation.operation.name}")["response"]
    exact, most, bleu = answer["aggregationOutput"]["aggregationResults"]
    assert exact == {"aggregationMetric": "AVERAGE", "exactMatchMetricValue": {"score": 0.5}}
    assert most["exactMatchMetricValue"]["score"] == 1
    assert 0.5 < bleu["bleuMetricValue"]["score"] < 1
    folder = answer["outputInfo"]["gcsOutputDirectory"].removeprefix(f"gs://{bucket.name}/")
    lines = bucket.blob(f"{folder}/evaluation_results.jsonl").download_as_text().splitlines()
    assert [json.loads(line)["results"][0]["score"] for line in lines] == [1, 0]
    broken = {"dataset": {"gcsSource": {"uris": ["gs://nowhere/x"]}}, "metrics": [{"exactMatchSpec": {}}]}
    broken["outputConfig"] = {"gcsDestination": {"outputUriPrefix": "gs://nowhere/out"}}
    assert emulator.http.post(f"/v1/{LOCATION}:evaluateDataset", json=broken).status_code == 404


def test_an_eval_task_scores_a_table(emulator):
    import vertexai
    from vertexai.evaluation import EvalTask

    vertexai.init(
        project="p25",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    table = pandas.DataFrame({"response": ["the cat", "a dog"], "reference": ["the cat", "the dog"]})
    result = EvalTask(dataset=table, metrics=["exact_match", "rouge_1"]).evaluate()
    assert result.summary_metrics["exact_match/mean"] == 0.5
    assert list(result.metrics_table["rouge_1/score"]) == [1, 0.5]
