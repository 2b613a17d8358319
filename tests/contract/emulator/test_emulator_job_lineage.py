"""What jobs leave in the metadata store, asked for by Google's own client."""

from __future__ import annotations

import uuid

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1

MODEL = "output:model_resource_name"


@pytest.fixture(scope="module")
def metadata(emulator):
    return emulator.google(aiplatform_v1.MetadataServiceClient)


@pytest.fixture(scope="module")
def job(emulator):
    return emulator.wait(emulator.submit(emulator.bucket(), train_steps=2, evaluation_interval=1))


def test_a_pipeline_run_is_a_context_with_its_executions_and_artifacts(emulator, metadata, job):
    detail = job["jobDetail"]
    run = metadata.get_context(name=detail["pipelineRunContext"]["name"])
    assert run.schema_title == "system.PipelineRun"
    assert list(run.parent_contexts) == [detail["pipelineContext"]["name"]]
    graph = metadata.query_context_lineage_subgraph(context=run.name)
    states = {row.display_name: row.state.name for row in graph.executions}
    assert states == dict.fromkeys((*tasks(job), job["name"].rpartition("/")[2]), "COMPLETE")
    titles = sorted(row.schema_title for row in graph.artifacts)
    assert titles == [
        *(
            "google.VertexEndpoint",
            "google.VertexModel",
            "system.Artifact",
            "system.Dataset",
            "system.Dataset",
        ),
        *("system.Metrics", "system.Model"),
    ]
    assert {row.uri.partition("://")[0] for row in graph.artifacts} == {"gs", "https"}


def tasks(job):
    return [task["taskName"] for task in job["jobDetail"]["taskDetails"]]


def test_a_model_is_traced_to_the_file_it_was_tuned_on(emulator, metadata, job):
    name = emulator.task(job, "upload-llm-model")[MODEL]
    store = job["jobDetail"]["pipelineContext"]["name"].partition("/contexts/")[0]
    request = {"parent": store, "filter": f'metadata.resourceName.string_value="{name}"'}
    [model] = metadata.list_artifacts(request=request)
    graph = metadata.query_artifact_lineage_subgraph(artifact=model.name)
    parameters = job["runtimeConfig"]["parameterValues"]
    assert parameters["dataset_uri"] in {row.uri for row in graph.artifacts}
    near = metadata.query_artifact_lineage_subgraph(request={"artifact": model.name, "max_hops": 1})
    assert {row.display_name for row in near.executions} == {"upload-llm-model", "deploy-llm-model"}


def test_a_task_names_the_artifacts_it_used_and_made(job):
    found = {task["taskName"]: task for task in job["jobDetail"]["taskDetails"]}
    assert set(found["tune"]["inputs"]) == {"dataset_uri", "evaluation_data_uri"}
    [saved] = found["tune"]["outputs"]["saved_model"]["artifacts"]
    assert found["upload-llm-model"]["inputs"]["saved_model"]["artifacts"][0]["name"] == saved["name"]


def test_a_pipeline_run_is_compared_with_others_in_an_experiment(emulator, job):
    name = f"experiment-{uuid.uuid4().hex[:8]}"
    aiplatform.init(
        project="p1",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    experiment = aiplatform.Experiment.create(name)
    experiment._log_experiment_loggable(aiplatform.PipelineJob.get(job["name"]))
    [row] = experiment.get_data_frame().to_dict("records")
    assert (row["run_type"], row["state"]) == ("system.PipelineRun", "COMPLETE")
    assert row["param.train_steps"] == 2
    assert row["metric.best_eval_loss"] == emulator.task(job, "tune")["best_eval_loss"]


def test_a_tuning_job_leaves_the_experiment_that_it_names(emulator, metadata):
    data = emulator.tuning_data(8)
    body = {
        "baseModel": "gemini-2.5-flash",
        "supervisedTuningSpec": {**data, "hyperParameters": {"epochCount": "1"}},
    }
    ended = emulator.wait(
        emulator.call("POST", "/v1/projects/p1/locations/us-central1/tuningJobs", body)["name"]
    )
    assert metadata.get_context(name=ended["experiment"]).schema_title == "system.Experiment"
    graph = metadata.query_context_lineage_subgraph(context=ended["experiment"])
    [execution] = graph.executions
    assert execution.state.name == "COMPLETE"
    assert execution.metadata["input:epochCount"] == "1"
    kinds = {event.artifact: event.type_.name for event in graph.events}
    found = {row.schema_title: kinds[row.name] for row in graph.artifacts}
    assert found == {"system.Dataset": "INPUT", "google.VertexModel": "OUTPUT"}


@pytest.mark.parametrize(("end", "state"), [("FAILED", "FAILED"), ("CANCELLED", "CANCELLED")])
def test_a_run_that_ended_red_is_red_in_the_store(emulator, metadata, end, state):
    name = emulator.script(state=end, task="tune")
    job = emulator.wait(emulator.submit(emulator.bucket(), display_name=name))
    graph = metadata.query_context_lineage_subgraph(context=job["jobDetail"]["pipelineRunContext"]["name"])
    states = {row.display_name: row.state.name for row in graph.executions}
    assert states["tune"] == states[job["name"].rpartition("/")[2]] == state
    assert states["deploy-llm-model"] == "NEW"
