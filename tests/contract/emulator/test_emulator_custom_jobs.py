"""Custom jobs, by Google's own client; and scripts for every kind of job."""

from __future__ import annotations

import json

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1

PARENT = "projects/p1/locations/us-central1"
PATH = f"/v1/{PARENT}/customJobs"


@pytest.fixture(scope="session")
def jobs(emulator):
    return aiplatform_v1.JobServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
    )


def body(
    display_name="a job", image="europe-docker.pkg.dev/p1/trainers/tunestack-trainer-hf:1", arguments=()
):
    pool = {
        "machineSpec": {"machineType": "a2-highgpu-1g", "acceleratorType": 8, "acceleratorCount": 1},
        "replicaCount": "1",
        "containerSpec": {"imageUri": image, "args": list(arguments)},
    }
    return {"displayName": display_name, "jobSpec": {"workerPoolSpecs": [pool]}}


def test_googles_client_makes_finds_cancels_and_deletes_custom_jobs(emulator, jobs):
    name = emulator.script(kind="customJobs", state="RUNNING")
    job = jobs.create_custom_job(
        parent=PARENT, custom_job=aiplatform_v1.CustomJob.from_json(json.dumps(body(name)))
    )
    emulator.wait(job.name, lambda row: row["state"] == "JOB_STATE_RUNNING")
    read = jobs.get_custom_job(name=job.name)
    assert read.job_spec == job.job_spec
    assert read.job_spec.worker_pool_specs[0].machine_spec.accelerator_type.name == "NVIDIA_TESLA_A100"
    request = {"parent": PARENT, "filter": f'displayName="{name}"'}
    assert [row.name for row in jobs.list_custom_jobs(request=request)] == [job.name]
    with pytest.raises(exceptions.BadRequest, match="cancel it before"):
        jobs.delete_custom_job(name=job.name).result()
    jobs.cancel_custom_job(name=job.name)
    assert emulator.wait(job.name)["error"]["code"] == 1
    jobs.delete_custom_job(name=job.name).result()
    with pytest.raises(exceptions.NotFound):
        jobs.get_custom_job(name=job.name)


def test_the_projects_own_trainer_really_runs(emulator):
    bucket = emulator.bucket()
    rows = [json.dumps({"input_text": f"word{i}", "output_text": f"label{i}"}) for i in range(8)]
    bucket.blob("train.jsonl").upload_from_string("\n".join(rows))
    spec = {
        "contract": 1,
        "method": "supervised",
        "base_model": "/gcs/models/a-base",
        "train": f"/gcs/{bucket.name}/train.jsonl",
        "validation": None,
        "train_steps": 2,
        "batch_size": 4,
        "learning_rate_multiplier": 1.0,
        "evaluation_interval": 2,
        "early_stopping": False,
        "seed": 0,
        "recipe": {},
        "output": f"/gcs/{bucket.name}/output",
    }
    bucket.blob("spec.json").upload_from_string(json.dumps(spec))
    job = body(arguments=["--spec", f"/gcs/{bucket.name}/spec.json"])
    job["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": f"gs://{bucket.name}/base"}
    ended = emulator.wait(emulator.call("POST", PATH, job)["name"])
    assert ended["state"] == "JOB_STATE_SUCCEEDED", ended
    names = {blob.name for blob in bucket.list_blobs()}
    assert {"output/manifest.json", "output/adapter/adapter.json", "base/model/adapter.json"} <= names


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (body(image="python:3.11"), "does not run python:3.11"),
        (body(), "have no --spec"),
        (body(arguments=["--spec", "/gcs/nowhere-at-all/spec.json"]), "bucket does not exist"),
    ],
)
def test_a_custom_job_that_is_not_played_fails_and_says_so(emulator, job, words):
    ended = emulator.wait(emulator.call("POST", PATH, job)["name"])
    assert ended["state"] == "JOB_STATE_FAILED"
    assert words in ended["error"]["message"]


def test_a_pool_with_both_or_no_program_is_refused(emulator):
    job = body()
    del job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    answer = emulator.http.post(PATH, json=job)
    assert answer.status_code == 400
    assert "container_spec and python_package_spec" in answer.json()["error"]["message"]


def test_a_script_is_for_the_kinds_that_can_come_to_it(emulator):
    name = emulator.script(state="EXPIRED", times=2)
    pipeline = emulator.submit(emulator.bucket(), display_name=name, train_steps=2)
    custom = emulator.call("POST", PATH, body(name))["name"]
    assert emulator.wait(custom)["state"] == "JOB_STATE_EXPIRED"
    assert emulator.wait(pipeline)["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_a_scripted_pipeline_job_ends_without_data_or_training(emulator):
    bucket = emulator.bucket()
    uri = f"gs://{bucket.name}/not-there.jsonl"
    name = emulator.script(state="SUCCEEDED")
    job = emulator.wait(emulator.submit(bucket, display_name=name, dataset_uri=uri))
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED"
    model = emulator.task(job, "upload-llm-model")["output:model_resource_name"]
    assert emulator.call("GET", f"/v1/{model}")["pipelineJob"] == job["name"]
    endpoint = emulator.task(job, "deploy-llm-model")["output:endpoint_resource_name"]
    answer = emulator.http.post(f"/v1/{endpoint}:predict", json={"instances": [{"content": "x"}]})
    assert "has no adapter" in answer.json()["error"]["message"]


def test_hundreds_of_scripted_jobs_are_live_at_once(emulator):
    name = emulator.script(state="RUNNING", times=100)
    made = {emulator.call("POST", PATH, body(name))["name"] for _ in range(100)}
    running = f'displayName="{name}" AND state="JOB_STATE_RUNNING"'
    page = emulator.call("GET", PATH, filter=running, pageSize=1000)
    assert {row["name"] for row in page["customJobs"]} == made
    moved = emulator.call("POST", "/_local/jobs", {"displayName": name, "cause": "stockout"})["moved"]
    assert set(moved) == made
    assert {emulator.wait(job)["error"]["code"] for job in made} == {8}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ({"state": "SLEEPING"}, "state is one of"),
        ({"cause": "bad luck"}, "cause is one of"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"status": "NO"}, "status is one of"),
        ({"times": "often"}, "Expected `int`"),
        ({"state": "SUCCEEDED", "afterStep": 3}, "afterStep goes with"),
    ],
)
def test_a_script_that_means_nothing_is_refused(emulator, outcome, words):
    answer = emulator.http.post("/_local/outcomes", json=outcome)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
