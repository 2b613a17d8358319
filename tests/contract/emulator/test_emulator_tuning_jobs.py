"""Tuning jobs, driven by Google's own clients, unchanged."""

from __future__ import annotations

import json
import uuid

import pytest
from google import genai
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1
from google.genai import types
from google.oauth2.credentials import Credentials

PARENT = "projects/p1/locations/us-central1"
PATH = f"/v1beta1/{PARENT}/tuningJobs"
BASE = "gemini-2.5-flash"
PARAMETERS = {"epochCount": 2, "adapterSize": "ADAPTER_SIZE_FOUR", "learningRateMultiplier": 0.5}


@pytest.fixture(scope="session")
def tuning(emulator):
    return aiplatform_v1.GenAiTuningServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
    )


@pytest.fixture(scope="session")
def gemini(emulator):
    return genai.Client(
        vertexai=True,
        project="p1",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    )


@pytest.fixture(scope="session")
def tuned(emulator):
    """A tuning job that really trained, as v1beta1 has it."""
    body = {
        "baseModel": BASE,
        "tunedModelDisplayName": "really tuned",
        "labels": {"tunestack-spec-hash": uuid.uuid4().hex},
        "supervisedTuningSpec": {**emulator.tuning_data(), "hyperParameters": PARAMETERS},
    }
    created = emulator.call("POST", PATH, body)
    assert created["state"] == "JOB_STATE_PENDING"
    return emulator.wait(created["name"])


def test_a_supervised_tuning_job_trains_to_a_model_and_an_endpoint(emulator, tuned):
    assert tuned["state"] == "JOB_STATE_SUCCEEDED"
    assert tuned["tuningDataStats"]["supervisedTuningDataStats"]["tuningDatasetExampleCount"] == "16"
    assert tuned["tuningDataStats"]["supervisedTuningDataStats"]["tuningStepCount"] == "4"
    assert tuned["tuningJobMetadata"]["completedEpochCount"] == "2"
    assert "tuningJobState" not in tuned
    model = emulator.call("GET", f"/v1/{tuned['tunedModel']['model']}")
    assert (model["displayName"], model["versionId"]) == ("really tuned", "1")
    assert model["labels"]["tunestack-spec-hash"] == tuned["labels"]["tunestack-spec-hash"]
    assert f"{BASE} is played by base-model" in model["description"]
    endpoint = emulator.call("GET", f"/v1/{tuned['tunedModel']['endpoint']}")
    assert endpoint["deployedModels"][0]["model"] == tuned["tunedModel"]["model"].partition("@")[0]
    narrow = emulator.call("GET", f"/v1/{tuned['name']}")
    assert "tuningJobMetadata" not in narrow
    assert narrow["tunedModel"] == tuned["tunedModel"]


def test_the_trainer_gets_the_hyperparameters(emulator, tuned):
    folder = next((emulator.options.data / "jobs").rglob(f"{tuned['name'].rpartition('/')[2]}/spec.json"))
    spec = json.loads(folder.read_text())
    assert (spec["train_steps"], spec["batch_size"], spec["evaluation_interval"]) == (4, 8, 2)
    assert (spec["recipe"], spec["learning_rate_multiplier"]) == ({"rank": 4}, 0.5)


def test_the_tuned_endpoint_generates_otherwise_than_the_base_model(emulator, gemini, tuned):
    endpoint = tuned["tunedModel"]["endpoint"]
    config = types.GenerateContentConfig(max_output_tokens=20, temperature=0, system_instruction="Be terse.")
    answer = gemini.models.generate_content(model=endpoint, contents="word7 of a text", config=config)
    assert answer.text == "label7"
    assert answer.candidates[0].finish_reason.name == "STOP"
    assert answer.usage_metadata.total_token_count > 0
    pieces = gemini.models.generate_content_stream(model=endpoint, contents="word3 of a text", config=config)
    assert "".join(piece.text for piece in pieces) == "label3"
    base = gemini.models.generate_content(
        model=BASE, contents="word7 of a text", config=types.GenerateContentConfig(max_output_tokens=1)
    )
    assert base.text == "word7"
    assert base.candidates[0].finish_reason.name == "MAX_TOKENS"
    listed = emulator.call(
        "POST", f"/v1/{endpoint}:streamGenerateContent", {"contents": [turn("user", "word3 x")]}, alt="json"
    )
    assert isinstance(listed, list)


def turn(role, text):
    return {"role": role, "parts": [{"text": text}]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"contents": [turn("model", "x")]}, "The last turn must be a user's"),
        (
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [{"fileData": {"fileUri": "gs://a/b", "mimeType": "image/png"}}],
                    }
                ]
            },
            "text alone",
        ),
        ({"contents": [turn("user", "x")], "tools": [{"codeExecution": {}}]}, "tools are not played"),
        ({"contents": [turn("user", "x")], "generationConfig": {"candidateCount": 2}}, "one candidate"),
        ({"contents": [turn("user", "x")], "generationConfig": {"temperature": 3}}, "from 0 to 2"),
        ({"contents": [turn("user", "x")], "generationConfig": {"maxOutputTokens": 0}}, "must be positive"),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(emulator, tuned, body, words):
    answer = emulator.http.post(f"/v1/{tuned['tunedModel']['endpoint']}:generateContent", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_tuned_gemini_endpoint_does_not_predict(emulator, tuned):
    path = f"/v1/{tuned['tunedModel']['endpoint']}:predict"
    answer = emulator.http.post(path, json={"instances": [{"content": "x"}]})
    assert answer.status_code == 400
    assert "Gemini cannot be accessed through Vertex Predict" in answer.json()["error"]["message"]


def test_googles_client_makes_finds_and_cancels_tuning_jobs(emulator, tuning):
    name = emulator.script(state="RUNNING")
    mark = uuid.uuid4().hex
    job = tuning.create_tuning_job(
        parent=PARENT,
        tuning_job=aiplatform_v1.TuningJob(
            base_model=BASE,
            tuned_model_display_name=name,
            labels={"mark": mark},
            supervised_tuning_spec=aiplatform_v1.SupervisedTuningSpec(
                training_dataset_uri="gs://nowhere/x.jsonl",
                hyper_parameters=aiplatform_v1.SupervisedHyperParameters(
                    epoch_count=3,
                    adapter_size=aiplatform_v1.SupervisedHyperParameters.AdapterSize.ADAPTER_SIZE_FOUR,
                ),
            ),
        ),
    )
    assert job.state.name == "JOB_STATE_PENDING"
    emulator.wait(job.name, lambda row: row["state"] == "JOB_STATE_RUNNING")
    read = tuning.get_tuning_job(name=job.name)
    assert read.supervised_tuning_spec.hyper_parameters == job.supervised_tuning_spec.hyper_parameters
    assert read.start_time

    def found(condition):
        return [row.name for row in tuning.list_tuning_jobs(request={"parent": PARENT, "filter": condition})]

    assert found(f"labels.mark={mark}") == [job.name]
    assert found(f'labels.mark="{mark}" AND state="JOB_STATE_RUNNING"') == [job.name]
    assert found(f'labels.mark="{mark}" AND state="JOB_STATE_FAILED"') == []
    tuning.cancel_tuning_job(name=job.name)
    ended = emulator.wait(job.name)
    assert (ended["state"], ended["error"]["code"]) == ("JOB_STATE_CANCELLED", 1)
    with pytest.raises(exceptions.NotFound):
        tuning.get_tuning_job(name=f"{PARENT}/tuningJobs/1")


def test_pages_hold_every_job_once(emulator, tuning):
    mark = uuid.uuid4().hex
    made = set()
    for _ in range(5):
        display_name = emulator.script(state="EXPIRED")
        body = {"baseModel": BASE, "tunedModelDisplayName": display_name, "labels": {"mark": mark}}
        made.add(
            emulator.call("POST", PATH, {**body, "supervisedTuningSpec": {"trainingDatasetUri": "gs://a/b"}})[
                "name"
            ]
        )
    pages = tuning.list_tuning_jobs(
        request={"parent": PARENT, "filter": f"labels.mark={mark}", "page_size": 2}
    ).pages
    sizes = [[job.name for job in page.tuning_jobs] for page in pages]
    assert [len(page) for page in sizes] == [2, 2, 1]
    assert {name for page in sizes for name in page} == made


def test_genai_tunes_and_cancels(emulator, gemini):
    data = emulator.tuning_data()
    name = emulator.script(state="SUCCEEDED")
    job = gemini.tunings.tune(
        base_model=BASE,
        training_dataset=types.TuningDataset(gcs_uri=data["trainingDatasetUri"]),
        config=types.CreateTuningJobConfig(
            tuned_model_display_name=name,
            epoch_count=1,
            adapter_size="ADAPTER_SIZE_FOUR",
            labels={"env": "dev"},
            validation_dataset=types.TuningValidationDataset(gcs_uri=data["validationDatasetUri"]),
        ),
    )
    emulator.wait(job.name)
    job = gemini.tunings.get(name=job.name)
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert job.has_succeeded
    assert job.tuned_model.endpoint
    assert job.name in [found.name for found in gemini.tunings.list(config={"filter": "labels.env=dev"})]
    held = gemini.tunings.tune(
        base_model=BASE,
        training_dataset=types.TuningDataset(gcs_uri=data["trainingDatasetUri"]),
        config=types.CreateTuningJobConfig(
            tuned_model_display_name=emulator.script(state="PAUSED"), epoch_count=1
        ),
    )
    emulator.wait(held.name, lambda row: row["state"] == "JOB_STATE_PAUSED")
    gemini.tunings.cancel(name=held.name)
    assert emulator.wait(held.name)["state"] == "JOB_STATE_CANCELLED"


@pytest.mark.parametrize(
    ("outcome", "state", "code"),
    [
        ({"cause": "stockout"}, "FAILED", 8),
        ({"cause": "preemption"}, "FAILED", 10),
        ({"cause": "internal"}, "FAILED", 13),
        ({"cause": "data"}, "FAILED", 3),
        ({"state": "CANCELLED", "cause": None}, "CANCELLED", 1),
        ({"state": "EXPIRED"}, "EXPIRED", None),
        ({"state": "PARTIALLY_SUCCEEDED"}, "PARTIALLY_SUCCEEDED", None),
        ({"state": "SUCCEEDED"}, "SUCCEEDED", None),
    ],
)
def test_a_script_ends_a_tuning_job_without_training(emulator, outcome, state, code):
    body = {
        "baseModel": BASE,
        "tunedModelDisplayName": emulator.script(**outcome),
        "preferenceOptimizationSpec": {
            "trainingDatasetUri": "gs://nowhere/x",
            "hyperParameters": {"beta": 0.1},
        },
    }
    job = emulator.wait(emulator.call("POST", PATH, body)["name"])
    assert job["state"] == f"JOB_STATE_{state}"
    assert job.get("error", {}).get("code") == code
    assert ("tunedModel" in job) == state.endswith("SUCCEEDED")
    assert "endTime" in job


@pytest.mark.parametrize("held", ["QUEUED", "PENDING", "RUNNING", "PAUSED", "UPDATING"])
def test_a_held_job_is_moved_on_when_told(emulator, held):
    name = emulator.script(state=held)
    body = {
        "baseModel": BASE,
        "tunedModelDisplayName": name,
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://a/b"},
    }
    job = emulator.call("POST", PATH, body)["name"]
    row = emulator.wait(job, lambda row: row["state"] == f"JOB_STATE_{held}")
    assert ("startTime" in row) == (held not in ("QUEUED", "PENDING"))
    assert job in [row["name"] for row in emulator.call("GET", "/_local/jobs")["jobs"]]
    assert emulator.call("POST", "/_local/jobs", {"displayName": name, "state": "SUCCEEDED"})["moved"] == [
        job
    ]
    assert emulator.wait(job)["state"] == "JOB_STATE_SUCCEEDED"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseModel": None}, "Exactly one of base_model and pre_tuned_model"),
        ({"baseModel": "text-bison@001"}, "Base model text-bison@001 is not supported"),
        ({"supervisedTuningSpec": None}, "Exactly one tuning spec must be set; none is set"),
        (
            {"preferenceOptimizationSpec": {"trainingDatasetUri": "gs://a/b"}},
            "have preferenceOptimizationSpec, superv",
        ),
        ({"tunedModelDisplayName": "x" * 129}, "more than 128"),
        ({"labels": {"Upper": "x"}}, 'Label key "Upper" is invalid'),
        (
            {"encryptionSpec": {"kmsKeyName": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"}},
            "region",
        ),
        (
            {
                "supervisedTuningSpec": {
                    "trainingDatasetUri": "gs://a/b",
                    "hyperParameters": {"epochCount": "0"},
                }
            },
            "above 0",
        ),
        ({"supervisedTuningSpec": {}}, "Required field is not set: training_dataset_uri"),
    ],
)
def test_a_tuning_job_that_google_would_refuse_is_refused(emulator, change, words):
    body = {"baseModel": BASE, "supervisedTuningSpec": {"trainingDatasetUri": "gs://a/b"}, **change}
    answer = emulator.http.post(PATH, json={key: value for key, value in body.items() if value is not None})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_what_only_v1beta1_knows_is_refused_by_v1(emulator):
    body = {"baseModel": BASE, "distillationSpec": {"promptDatasetUri": "gs://a/b"}}
    answer = emulator.http.post(PATH.replace("v1beta1", "v1"), json=body)
    assert answer.status_code == 400
    assert 'Unknown name "distillationSpec"' in answer.json()["error"]["message"]


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
def test_tuning_jobs_have_neither_patch_nor_delete(emulator, tuned, verb):
    assert emulator.http.request(verb, f"/v1/{tuned['name']}", json={"labels": {}}).status_code == 404


def test_what_is_not_played_fails_and_says_so(emulator):
    body = {"baseModel": BASE, "preferenceOptimizationSpec": {"trainingDatasetUri": "gs://nowhere/x"}}
    job = emulator.wait(emulator.call("POST", PATH, body)["name"])
    assert (job["state"], job["error"]["code"]) == ("JOB_STATE_FAILED", 12)
    assert "does not play preferenceOptimizationSpec" in job["error"]["message"]


def test_every_bad_row_of_a_tuning_file_is_named(emulator):
    bucket = emulator.bucket()
    bucket.blob("bad.jsonl").upload_from_string(
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
        'not json\n{"contents": []}\n{"contents": [{"role": "user", "parts": [{"text": "a"}]}]}\n'
    )
    uri = f"gs://{bucket.name}/bad.jsonl"
    body = {"baseModel": BASE, "supervisedTuningSpec": {"trainingDatasetUri": uri}}
    job = emulator.wait(emulator.call("POST", PATH, body)["name"])
    assert (job["state"], job["error"]["code"]) == ("JOB_STATE_FAILED", 3)
    for line in (f"{uri}:2: not JSON", f"{uri}:3: contents is missing", f"{uri}:4: the last two turns"):
        assert line in job["error"]["message"]


def test_submissions_are_counted_by_spec_hash(emulator, tuned):
    counted = emulator.call("GET", "/_local/submissions")
    assert counted["bySpecHash"][tuned["labels"]["tunestack-spec-hash"]] == 1
    assert tuned["name"] in [entry["name"] for entry in counted["submissions"]]


def test_tuning_jobs_and_scripts_survive_a_killed_emulator(start):
    emulator = start(step_seconds=0.05)
    body = {"baseModel": BASE, "supervisedTuningSpec": emulator.tuning_data(16)}
    body["supervisedTuningSpec"]["hyperParameters"] = {"epochCount": 10}
    running = emulator.call("POST", PATH, body)["name"]
    held = emulator.call("POST", PATH, {**body, "tunedModelDisplayName": emulator.script(state="PAUSED")})[
        "name"
    ]
    later = emulator.script(cause="stockout")
    emulator.wait(running, lambda row: row.get("tuningJobMetadata", {}).get("completedEpochCount", "0") > "0")
    emulator.wait(held, lambda row: row["state"] == "JOB_STATE_PAUSED")
    emulator.kill()
    emulator.start_again()
    assert emulator.wait(running)["state"] == "JOB_STATE_SUCCEEDED"
    assert emulator.call("GET", f"/v1/{held}")["state"] == "JOB_STATE_PAUSED"
    failed = emulator.call("POST", PATH, {**body, "tunedModelDisplayName": later})["name"]
    assert emulator.wait(failed)["error"]["code"] == 8
    assert len(emulator.call("GET", "/_local/submissions")["submissions"]) == 3
