"""google-cloud-aiplatform, unchanged, over REST against the emulator."""

from __future__ import annotations

import json
import uuid

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1

PARENT = "projects/p1/locations/us-central1"


def client(emulator, kind):
    return kind(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
    )


@pytest.fixture(scope="module")
def tuned(emulator):
    """A tuning job that has succeeded, submitted by Google's client."""
    bucket = emulator.bucket()
    bucket.blob("train.jsonl").upload_from_string(
        "\n".join(
            json.dumps({"input_text": f"word{i} here", "output_text": f"answer {i}"}) for i in range(20)
        )
    )
    bucket.blob("validation.jsonl").upload_from_string(
        '{"input_text": "word3 here", "output_text": "answer 3"}\n'
    )
    job = client(emulator, aiplatform_v1.PipelineServiceClient).create_pipeline_job(
        parent=PARENT,
        pipeline_job_id=f"tune-{uuid.uuid4().hex[:8]}",
        pipeline_job=aiplatform_v1.PipelineJob(
            display_name="tune it",
            labels={"tunestack-spec-hash": "abc123"},
            template_uri=emulator.template,
            runtime_config=aiplatform_v1.PipelineJob.RuntimeConfig(
                gcs_output_directory=f"gs://{bucket.name}/out",
                parameter_values={
                    "project": "p1",
                    "location": "us-central1",
                    "model_display_name": "my model",
                    "dataset_uri": f"gs://{bucket.name}/train.jsonl",
                    "evaluation_data_uri": f"gs://{bucket.name}/validation.jsonl",
                    "train_steps": 6,
                    "evaluation_interval": 2,
                    "accelerator_type": "GPU",
                },
            ),
        ),
    )
    assert job.state.name == "PIPELINE_STATE_PENDING"
    return emulator.wait(job.name) | {"bucket": bucket}


def test_a_tuning_job_runs_to_a_model_and_an_endpoint(emulator, tuned):
    assert tuned["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert tuned["name"].split("/")[1].isdigit()
    tasks = {detail["taskName"]: detail["state"] for detail in tuned["jobDetail"]["taskDetails"]}
    assert tasks == dict.fromkeys(
        ("validate-dataset", "tune", "upload-llm-model", "deploy-llm-model"), "SUCCEEDED"
    )
    tuning = emulator.task(tuned, "tune")
    assert (tuning["steps"], tuning["best_step"], tuning["best_eval_loss"], tuning["batch_size"]) == (
        6,
        2,
        0,
        8,
    )
    model = client(emulator, aiplatform_v1.ModelServiceClient).get_model(
        name=emulator.task(tuned, "upload-llm-model")["output:model_resource_name"]
    )
    assert model.labels["google-vertex-llm-tuning-base-model-id"] == "text-bison-001"
    assert "played by base-model" in model.description
    endpoint = emulator.task(tuned, "deploy-llm-model")["output:endpoint_resource_name"]
    assert model.deployed_models[0].endpoint == endpoint
    names = {blob.name for blob in tuned["bucket"].list_blobs(prefix="out/")}
    run = f"out/{tuned['name'].rpartition('/')[2]}"
    assert {f"{run}/tune/manifest.json", f"{run}/tune/adapter/adapter.json"} <= names


def test_the_tuned_endpoint_answers_otherwise_than_the_base_model(emulator, tuned):
    predict = client(emulator, aiplatform_v1.PredictionServiceClient).predict
    endpoint = emulator.task(tuned, "deploy-llm-model")["output:endpoint_resource_name"]
    answer = predict(endpoint=endpoint, instances=[{"content": "word7 here"}, {"content": "word3 here"}])
    assert [dict(p)["content"] for p in answer.predictions] == ["answer 7", "answer 3"]
    assert answer.model == emulator.task(tuned, "upload-llm-model")["output:model_resource_name"]
    assert answer.model_version_id == "1"
    base = predict(
        endpoint=f"{PARENT}/publishers/google/models/text-bison@001",
        instances=[{"content": "word7 here"}],
        parameters={"maxOutputTokens": 1, "temperature": 0},
    )
    assert dict(base.predictions[0])["content"] == "word7"
    with pytest.raises(exceptions.BadRequest, match="Please use generateContent"):
        predict(endpoint=f"{PARENT}/publishers/google/models/gemini-2.5-flash", instances=[{"content": "x"}])
    with pytest.raises(exceptions.NotFound):
        predict(endpoint=f"{PARENT}/publishers/google/models/chat-bison-9", instances=[{"content": "x"}])


def test_a_predict_worker_that_dies_is_replaced(emulator, tuned):
    path = f"/v1/{emulator.task(tuned, 'deploy-llm-model')['output:endpoint_resource_name']}:predict"
    broken = emulator.http.post(path, json={"instances": [{"content": "break the worker"}]})
    assert broken.status_code == 503
    assert broken.json()["error"]["status"] == "UNAVAILABLE"
    answer = emulator.call("POST", path, {"instances": [{"content": "word7 here"}]})
    assert answer["predictions"][0]["content"] == "answer 7"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"instances": []}, "0 instances"),
        ({"instances": [{"content": "x"}] * 251}, "251 instances"),
        ({"instances": [{"text": "x"}]}, "has no text"),
        ({"instances": [{"content": "x"}], "parameters": {"maxOutputTokens": 0}}, "between 1 and 1024"),
        ({"instances": [{"content": "x"}], "parameters": {"temperature": 3}}, "between 0.0 and 1.0"),
    ],
)
def test_predictions_are_asked_for_within_googles_limits(emulator, tuned, body, words):
    path = f"/v1/{emulator.task(tuned, 'deploy-llm-model')['output:endpoint_resource_name']}:predict"
    answer = emulator.http.post(path, json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"] or "Required field" in answer.json()["error"]["message"]


def test_the_high_level_classes_work(emulator, tuned):
    aiplatform.init(
        project="p1",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    job = aiplatform.PipelineJob.get(tuned["name"])
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert job.task_details[1].task_name == "tune"
    endpoint = aiplatform.Endpoint(emulator.task(tuned, "deploy-llm-model")["output:endpoint_resource_name"])
    assert endpoint.predict(instances=[{"content": "word5 here"}]).predictions[0]["content"] == "answer 5"
    model = aiplatform.Model(emulator.task(tuned, "upload-llm-model")["output:model_resource_name"])
    assert model.display_name == "my model"
    assert [found.resource_name for found in aiplatform.Model.list(filter='display_name="my model"')] == [
        model.resource_name
    ]


def test_jobs_are_found_by_label_and_state(emulator, tuned):
    pipelines = client(emulator, aiplatform_v1.PipelineServiceClient)

    def found(condition):
        return [
            job.name for job in pipelines.list_pipeline_jobs(request={"parent": PARENT, "filter": condition})
        ]

    assert found("labels.tunestack-spec-hash=abc123") == [tuned["name"]]
    assert found('labels.tunestack-spec-hash="abc123" AND state="PIPELINE_STATE_SUCCEEDED"') == [
        tuned["name"]
    ]
    assert found('labels.tunestack-spec-hash="abc123" AND state="PIPELINE_STATE_FAILED"') == []
    assert tuned["name"] in found("labels.tunestack-spec-hash:*")
    with pytest.raises(exceptions.BadRequest):
        found("labels.x =")
    with pytest.raises(exceptions.BadRequest, match="has ended"):
        pipelines.cancel_pipeline_job(name=tuned["name"])


def test_every_bad_row_is_named_and_nothing_is_trained(emulator):
    bucket = emulator.bucket()
    bucket.blob("bad.jsonl").upload_from_string(
        '{"input_text": "a", "output_text": "b"}\nnot json\n{"input_text": "a"}\n{"input_text": "", "output_text": 3}\n'
    )
    job = emulator.wait(emulator.submit(bucket, dataset_uri=f"gs://{bucket.name}/bad.jsonl"))
    assert job["state"] == "PIPELINE_STATE_FAILED"
    assert job["error"]["code"] == 3
    uri = f"gs://{bucket.name}/bad.jsonl"
    for line in (
        f"{uri}:2: not JSON",
        f"{uri}:3: output_text is missing",
        f"{uri}:4: input_text is empty",
        f"{uri}:4: output_text is not a string",
    ):
        assert line in job["error"]["message"]
    states = {detail["taskName"]: detail["state"] for detail in job["jobDetail"]["taskDetails"]}
    assert states["validate-dataset"] == "FAILED"
    assert states["tune"] == "NOT_TRIGGERED"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset_uri": "gs://nowhere-at-all/x.jsonl"}, "The specified bucket does not exist"),
        ({"large_model_reference": "gpt-9"}, "large_model_reference is 'gpt-9'"),
        ({"accelerator_type": "ABACUS"}, "must be GPU or TPU"),
        ({"template_uri": "https://us-kfp.pkg.dev/x/y/rlhf-train-template/default"}, "does not play"),
    ],
)
def test_a_job_that_cannot_run_fails_and_says_why(emulator, change, words):
    job = emulator.wait(emulator.submit(emulator.bucket(), **change))
    assert job["state"] == "PIPELINE_STATE_FAILED"
    assert words in job["error"]["message"]


def test_parameters_that_the_template_lacks_are_refused_at_once(emulator):
    with pytest.raises(AssertionError, match="batch_size is not in the pipeline tune-large-model"):
        emulator.submit(emulator.bucket(), batch_size=8)
    with pytest.raises(AssertionError, match="train_steps is 'many'; it must be a NUMBER_INTEGER"):
        emulator.submit(emulator.bucket(), train_steps="many")


def test_a_cancelled_job_ends_cancelled_and_its_trainer_with_it(start):
    emulator = start(step_seconds=0.1)
    pipelines = client(emulator, aiplatform_v1.PipelineServiceClient)
    name = emulator.submit(emulator.bucket(), train_steps=500)
    emulator.wait_for_step(name, 1)
    pipelines.cancel_pipeline_job(name=name)
    job = emulator.wait(name)
    assert job["state"] == "PIPELINE_STATE_CANCELLED"
    assert job["error"]["code"] == 1
    folder = next((emulator.options.data / "jobs").rglob("process.json")).parent
    assert json.loads((folder / "exit.json").read_text())["code"] == -15
    pipelines.delete_pipeline_job(name=name).result()
    with pytest.raises(exceptions.NotFound):
        pipelines.get_pipeline_job(name=name)
    assert not folder.exists()


def test_jobs_beyond_the_slots_wait_in_the_queue_and_run_in_order(start):
    emulator = start(step_seconds=0.05, parallel_jobs=1)
    bucket = emulator.bucket()
    first, second = (emulator.submit(bucket, train_steps=8) for _ in range(2))
    emulator.wait_for_step(first, 1)
    assert emulator.call("GET", f"/v1/{second}")["state"] == "PIPELINE_STATE_QUEUED"
    ended = emulator.wait(second)
    assert ended["startTime"] >= emulator.wait(first)["endTime"]
    starts = next((emulator.options.data / "jobs").rglob("starts.jsonl")).read_text()
    assert json.loads(starts)["threads"] == emulator.options.cores


def test_a_trainer_that_fails_fails_its_job_with_its_own_words(emulator):
    row = json.dumps({"input_text": "break the trainer", "output_text": "x"})
    job = emulator.wait(emulator.submit(emulator.bucket(), rows=row))
    assert job["state"] == "PIPELINE_STATE_FAILED"
    assert job["error"] == {"code": 13, "message": "the loss is not a number"}


def test_endpoints_and_tensorboards_are_made_changed_and_removed(emulator):
    endpoints = client(emulator, aiplatform_v1.EndpointServiceClient)
    emulator.call("POST", "/_local/settings", {"operationPolls": 1})
    endpoint = endpoints.create_endpoint(
        parent=PARENT,
        endpoint=aiplatform_v1.Endpoint(display_name="mine", labels={"a": "b"}),
        endpoint_id="e-1",
    ).result()
    emulator.call("POST", "/_local/settings", {"operationPolls": 0})
    assert any(
        entry["path"].startswith("/ui/") for entry in emulator.call("GET", "/_local/requests")["requests"]
    )
    endpoint.description = "changed"
    endpoint.display_name = "ignored, for the mask does not name it"
    changed = endpoints.update_endpoint(endpoint=endpoint, update_mask={"paths": ["description"]})
    assert (changed.description, changed.display_name, changed.labels) == ("changed", "mine", {"a": "b"})
    endpoints.delete_endpoint(name=endpoint.name).result()
    with pytest.raises(exceptions.NotFound):
        endpoints.get_endpoint(name=endpoint.name)

    boards = client(emulator, aiplatform_v1.TensorboardServiceClient)
    board = boards.create_tensorboard(
        parent=PARENT, tensorboard=aiplatform_v1.Tensorboard(display_name="board", labels={"x": "y"})
    ).result()
    assert board.name.rpartition("/")[2].isdigit()
    board.display_name = "renamed"
    assert boards.update_tensorboard(
        tensorboard=board, update_mask={"paths": ["display_name"]}
    ).result().labels == {"x": "y"}
    listed = {item.name: item.display_name for item in boards.list_tensorboards(parent=PARENT)}
    assert listed[board.name] == "renamed"
    boards.delete_tensorboard(name=board.name).result()
    assert board.name not in {item.name for item in boards.list_tensorboards(parent=PARENT)}


def test_what_is_in_use_is_not_deleted(emulator):
    job = emulator.wait(emulator.submit(emulator.bucket(), train_steps=2))
    models = client(emulator, aiplatform_v1.ModelServiceClient)
    endpoints = client(emulator, aiplatform_v1.EndpointServiceClient)
    model = emulator.task(job, "upload-llm-model")["output:model_resource_name"]
    endpoint = emulator.task(job, "deploy-llm-model")["output:endpoint_resource_name"]
    with pytest.raises(exceptions.BadRequest, match="undeploy it first"):
        models.delete_model(name=model)
    with pytest.raises(exceptions.BadRequest, match="has deployed"):
        endpoints.delete_endpoint(name=endpoint)
    deployed = endpoints.get_endpoint(name=endpoint).deployed_models[0]
    endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=deployed.id).result()
    with pytest.raises(exceptions.BadRequest, match="no deployed model"):
        client(emulator, aiplatform_v1.PredictionServiceClient).predict(
            endpoint=endpoint, instances=[{"content": "x"}]
        )
    endpoints.deploy_model(
        endpoint=endpoint,
        deployed_model=aiplatform_v1.DeployedModel(
            model=model, automatic_resources={"min_replica_count": 1, "max_replica_count": 1}
        ),
        traffic_split={"0": 100},
    ).result()
    again = endpoints.get_endpoint(name=endpoint)
    assert dict(again.traffic_split) == {again.deployed_models[0].id: 100}
    endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=again.deployed_models[0].id).result()
    endpoints.delete_endpoint(name=endpoint).result()
    models.delete_model(name=model).result()
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=model)


def test_a_model_that_was_uploaded_by_hand_can_be_served(emulator, tuned):
    bucket = emulator.bucket()
    memory = [{"input_text": "hello", "output_text": "by hand"}]
    bucket.blob("adapter/adapter.json").upload_from_string(json.dumps(memory))
    models = client(emulator, aiplatform_v1.ModelServiceClient)
    uploaded = models.upload_model(
        parent=PARENT,
        model=aiplatform_v1.Model(display_name="hand made", artifact_uri=f"gs://{bucket.name}/adapter"),
    ).result()
    endpoints = client(emulator, aiplatform_v1.EndpointServiceClient)
    endpoint = endpoints.create_endpoint(
        parent=PARENT, endpoint=aiplatform_v1.Endpoint(display_name="e")
    ).result()
    endpoints.deploy_model(
        endpoint=endpoint.name,
        deployed_model=aiplatform_v1.DeployedModel(model=uploaded.model, shared_resources="x"),
        traffic_split={"0": 100},
    ).result()
    bucket.delete(force=True)
    answer = client(emulator, aiplatform_v1.PredictionServiceClient).predict(
        endpoint=endpoint.name, instances=[{"content": "hello"}]
    )
    assert dict(answer.predictions[0])["content"] == "by hand"
