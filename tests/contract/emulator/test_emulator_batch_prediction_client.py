"""Batch prediction with Google's own clients: files of instances in, files of predictions and errors out."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from google import genai
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1, bigquery
from google.genai import types
from google.oauth2.credentials import Credentials

PARENT = "projects/p24/locations/us-central1"
PALM = "publishers/google/models/text-bison@001"


@pytest.fixture(scope="module")
def jobs(emulator):
    return emulator.google(aiplatform_v1.JobServiceClient)


@pytest.fixture
def bucket(emulator):
    return emulator.bucket()


def job(bucket, *lines, model=PALM, **more):
    bucket.blob("in/a.jsonl").upload_from_string(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return {
        "displayName": more.pop("display_name", "a batch"),
        "model": model,
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket.name}/in/*.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket.name}/out"},
        },
        **more,
    }


def create(jobs, body):
    return jobs.create_batch_prediction_job(
        parent=PARENT,
        batch_prediction_job=aiplatform_v1.BatchPredictionJob.from_json(json.dumps(body)),
    )


def lines(bucket, ended, name):
    prefix = ended["outputInfo"]["gcsOutputDirectory"].removeprefix(f"gs://{bucket.name}/")
    return [json.loads(line) for line in bucket.blob(f"{prefix}/{name}").download_as_text().splitlines()]


def test_every_instance_is_answered_or_told_as_an_error(emulator, jobs, bucket):
    body = job(
        bucket,
        {"prompt": "one two three"},
        {"prompt": "four"},
        {"text": "no prompt"},
        "not json",
        modelParameters={"maxOutputTokens": 2},
    )
    ended = emulator.wait(create(jobs, body).name)
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    assert ended["completionStats"] == {"successfulCount": "2", "failedCount": "2", "incompleteCount": "0"}
    first, second = lines(bucket, ended, "predictions_0001.jsonl")
    assert first["instance"] == {"prompt": "one two three"}
    assert [prediction["content"] for prediction in first["predictions"]] == ["one two"]
    assert second["predictions"][0]["content"] == "four"
    no_prompt, not_json = lines(bucket, ended, "errors_0001.jsonl")
    assert no_prompt["text"] == "no prompt"
    assert "has no text" in no_prompt["error"]["message"]
    assert (not_json["instance"], not_json["error"]["code"]) == ("not json", 3)


def test_the_high_level_class_waits_for_a_tuned_model_and_reads_its_output(emulator, bucket, monkeypatch):
    aiplatform.init(
        project="p24",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    bucket.blob("adapter/adapter.json").upload_from_string(
        json.dumps([{"input_text": "word1 of a text", "output_text": "label1"}])
    )
    model = emulator.call(
        "POST",
        f"/v1/{PARENT}/models:upload",
        {"model": {"displayName": "mine", "artifactUri": f"gs://{bucket.name}/adapter"}},
    )["response"]
    bucket.blob("in.jsonl").upload_from_string('{"prompt": "word1", "id": 7}')
    batch = aiplatform.Model(model["model"]).batch_predict(
        job_display_name="tuned",
        gcs_source=f"gs://{bucket.name}/in.jsonl",
        gcs_destination_prefix=f"gs://{bucket.name}/out",
        instances_format="jsonl",
        sync=True,
    )
    assert batch.state.name == "JOB_STATE_SUCCEEDED"
    [blob] = batch.iter_outputs()
    assert json.loads(blob.download_as_text())["predictions"][0]["content"] == "label1"
    assert "prediction-mine-" in blob.name


def test_gemini_requests_are_answered_each_with_its_status(emulator, bucket, monkeypatch):
    gemini = genai.Client(
        vertexai=True,
        project="p24",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    )
    request = {"contents": [{"role": "user", "parts": [{"text": "one two"}]}]}
    bucket.blob("in.jsonl").upload_from_string(
        "\n".join(json.dumps({"request": body}) for body in (request, {"contents": []}))
    )
    made = gemini.batches.create(
        model="gemini-2.5-flash",
        src=f"gs://{bucket.name}/in.jsonl",
        config=types.CreateBatchJobConfig(dest=f"gs://{bucket.name}/out"),
    )
    emulator.wait(made.name)
    ended = gemini.batches.get(name=made.name)
    assert ended.state == types.JobState.JOB_STATE_SUCCEEDED
    row = emulator.call("GET", f"/v1/{made.name}")
    answered, failed = lines(bucket, row, "predictions.jsonl")
    assert (answered["status"], answered["request"]) == ("", request)
    assert answered["response"]["candidates"][0]["content"]["parts"][0]["text"] == "one two"
    assert failed["status"].startswith("INVALID_ARGUMENT")
    assert failed["response"] == {}
    assert made.name in {job.name for job in gemini.batches.list()}


def test_a_job_is_found_cancelled_and_deleted(emulator, jobs, bucket):
    name = emulator.script(kind="batchPredictionJobs", state="RUNNING")
    made = create(jobs, job(bucket, {"prompt": "x"}, display_name=name))
    emulator.wait(made.name, lambda row: row["state"] == "JOB_STATE_RUNNING")
    request = {"parent": PARENT, "filter": f'display_name="{name}" AND state="JOB_STATE_RUNNING"'}
    assert [row.name for row in jobs.list_batch_prediction_jobs(request=request)] == [made.name]
    with pytest.raises(exceptions.BadRequest, match="cancel it before"):
        jobs.delete_batch_prediction_job(name=made.name)
    jobs.cancel_batch_prediction_job(name=made.name)
    assert emulator.wait(made.name)["error"]["code"] == 1
    jobs.delete_batch_prediction_job(name=made.name).result()
    with pytest.raises(exceptions.NotFound):
        jobs.get_batch_prediction_job(name=made.name)


def test_a_scripted_stockout_ends_a_job(emulator, jobs, bucket):
    name = emulator.script(kind="batchPredictionJobs", cause="stockout")
    ended = emulator.wait(create(jobs, job(bucket, {"prompt": "x"}, display_name=name)).name)
    assert (ended["state"], ended["error"]["code"]) == ("JOB_STATE_FAILED", 8)
    assert not list(bucket.list_blobs(prefix="out"))


def test_a_job_killed_in_the_middle_is_done_again_to_the_same_folder(start):
    local = start()
    bucket = local.bucket()
    jobs = local.google(aiplatform_v1.JobServiceClient)
    made = create(jobs, job(bucket, *({"prompt": f"word{i}"} for i in range(400))))
    local.wait(made.name, lambda row: int(row.get("completionStats", {}).get("successfulCount", 0)) > 0)
    local.kill()
    local.start_again()
    ended = local.wait(made.name)
    assert ended["completionStats"]["successfulCount"] == "400"
    found = [
        json.loads(line)
        for blob in local.storage().list_blobs(bucket.name, prefix="out")
        for line in blob.download_as_text().splitlines()
    ]
    assert [line["instance"]["prompt"] for line in found] == [f"word{i}" for i in range(400)]


@pytest.mark.parametrize(
    ("key", "shown"),
    [({"keyField": "id"}, {"key": 7}), ({"excludedFields": ["id"]}, {"instance": {"prompt": "x", "id": 7}})],
)
def test_instances_are_named_in_the_output_as_the_job_says(emulator, jobs, bucket, key, shown):
    ended = emulator.wait(create(jobs, job(bucket, {"prompt": "x", "id": 7}, instanceConfig=key)).name)
    [line] = lines(bucket, ended, "predictions_0001.jsonl")
    assert {name: line.get(name) for name in shown} == shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": ""}, "none is set"),
        (
            {"unmanagedContainerModel": {"containerSpec": {"imageUri": "x"}}},
            "have model, unmanagedContainerModel",
        ),
        (
            {"inputConfig": {"instancesFormat": "bigquery", "gcsSource": {"uris": ["gs://a/b"]}}},
            "bigquery with bigquerySource, and only with it",
        ),
        ({"inputConfig": {"instancesFormat": "xml", "gcsSource": {"uris": ["gs://a/b"]}}}, "is xml"),
    ],
)
def test_a_job_that_google_would_refuse_is_refused(jobs, bucket, change, words):
    body = job(bucket, {"prompt": "x"}) | change
    if not body["model"]:
        del body["model"]
    with pytest.raises(exceptions.BadRequest, match=words):
        create(jobs, body)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (f"{PARENT}/models/1", 404),
        ("publishers/google/models/none-bison@001", 404),
        ("projects/p24/locations/europe-west4/models/1", 400),
    ],
)
def test_a_model_that_is_not_there_is_refused_at_once(jobs, bucket, model, code):
    with pytest.raises(exceptions.ClientError) as refused:
        create(jobs, job(bucket, {"prompt": "x"}, model=model))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://nowhere-at-all/x"]}}},
            "bucket",
        ),
        (
            {
                "outputConfig": {
                    "predictionsFormat": "bigquery",
                    "bigqueryDestination": {"outputUri": "bq://p24.nowhere"},
                }
            },
            "Not found: Dataset p24:nowhere",
        ),
        (
            {
                "inputConfig": {
                    "instancesFormat": "bigquery",
                    "bigquerySource": {"inputUri": "bq://p24.nowhere.t"},
                }
            },
            "Not found: Dataset p24:nowhere",
        ),
        ({"generateExplanation": True}, "generateExplanation"),
    ],
)
def test_a_job_that_cannot_run_fails_and_says_so(emulator, jobs, bucket, change, words):
    ended = emulator.wait(create(jobs, job(bucket, {"prompt": "x"}) | change).name)
    assert ended["state"] == "JOB_STATE_FAILED"
    assert words in ended["error"]["message"]


@pytest.fixture(scope="module")
def warehouse(emulator):
    return bigquery.Client(
        project="p24", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )


def table(warehouse, schema, *rows):
    dataset = warehouse.create_dataset(f"d_{uuid.uuid4().hex[:12]}")
    made = warehouse.create_table(bigquery.Table(dataset.table("instances"), schema))
    assert warehouse.insert_rows_json(made, rows) == []
    return dataset, f"bq://{made.full_table_id.replace(':', '.')}"


def rows_of(warehouse, ended, name=None):
    output = ended["outputInfo"]
    dataset = output["bigqueryOutputDataset"].removeprefix("bq://")
    return [dict(row) for row in warehouse.list_rows(f"{dataset}.{name or output['bigqueryOutputTable']}")]


def test_rows_of_a_table_are_answered_in_tables_of_a_new_dataset(emulator, jobs, bucket, warehouse):
    fields = [bigquery.SchemaField("prompt", "STRING", "REQUIRED"), bigquery.SchemaField("id", "INTEGER")]
    _, source = table(warehouse, fields, {"prompt": "one two", "id": 7}, {"prompt": "", "id": 8})
    places = {
        "inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source}},
        "outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": "bq://p24"}},
        "instanceConfig": {"excludedFields": ["id"]},
    }
    ended = emulator.wait(create(jobs, job(bucket) | places).name)
    assert ended["completionStats"] == {"successfulCount": "1", "failedCount": "1", "incompleteCount": "0"}
    name = ended["outputInfo"]["bigqueryOutputDataset"]
    assert re.fullmatch(r"bq://p24\.prediction_text_bison_001_\d{4}_\d\d_\d\dT\d\d_\d\d_\d\d_\d{3}Z", name)
    (answered,) = rows_of(warehouse, ended)
    assert (answered["prompt"], answered["id"], answered["status"]) == ("one two", 7, "")
    assert answered["predictions"][0]["content"] == "one two"
    (failed,) = rows_of(warehouse, ended, "errors")
    assert (failed["id"], failed["errors"]["code"]) == (8, 3)


@pytest.mark.parametrize("kind", ["JSON", "STRING"])
def test_gemini_answers_rows_beside_their_columns(emulator, jobs, bucket, warehouse, kind):
    request = json.dumps({"contents": [{"role": "user", "parts": [{"text": "one two"}]}]})
    fields = [bigquery.SchemaField("request", kind), bigquery.SchemaField("split", "STRING")]
    dataset, source = table(
        warehouse, fields, {"request": request, "split": "a"}, {"request": "{}", "split": "b"}
    )
    target = f"bq://p24.{dataset.dataset_id}.answers"
    places = {
        "inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source}},
        "outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": target}},
    }
    body = job(bucket, model="publishers/google/models/gemini-2.5-flash") | places
    ended = emulator.wait(create(jobs, body).name)
    assert ended["outputInfo"]["bigqueryOutputTable"] == "answers"
    answered, failed = rows_of(warehouse, ended)
    assert (answered["split"], answered["status"]) == ("a", "")
    assert answered["response"]["candidates"][0]["content"]["parts"][0]["text"] == "one two"
    assert failed["status"].startswith("INVALID_ARGUMENT")


def test_files_are_answered_in_a_table_of_a_dataset_that_is_there(emulator, jobs, bucket, warehouse):
    dataset = warehouse.create_dataset(f"d_{uuid.uuid4().hex[:12]}")
    target = {"outputUri": f"bq://p24.{dataset.dataset_id}"}
    output = {"outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": target}}
    ended = emulator.wait(create(jobs, job(bucket, {"prompt": "one"}) | output).name)
    assert ended["outputInfo"]["bigqueryOutputTable"].startswith("predictions_")
    (row,) = rows_of(warehouse, ended)
    assert row["instance"] == {"prompt": "one"}


def test_a_job_may_not_read_a_table_that_its_account_may_not(start):
    local = start(enforce_iam=True)
    client = bigquery.Client(
        project="p24", credentials=AnonymousCredentials(), client_options={"api_endpoint": local.url}
    )
    _, source = table(client, [bigquery.SchemaField("prompt", "STRING")], {"prompt": "x"})
    source_of = {"inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source}}}
    local.call("POST", "/v1/projects/p24/serviceAccounts", {"accountId": "runner", "serviceAccount": {}})
    account = {"serviceAccount": "runner@p24.iam.gserviceaccount.com"}
    jobs = local.google(aiplatform_v1.JobServiceClient)
    ended = local.wait(create(jobs, job(local.bucket()) | source_of | account).name)
    assert ended["state"] == "JOB_STATE_FAILED"
    assert "does not have permission bigquery.tables.getData" in ended["error"]["message"]
