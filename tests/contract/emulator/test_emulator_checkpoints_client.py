"""Checkpoints of tuning jobs with Google's own clients: exported by epoch, served each by its endpoint, chosen."""

from __future__ import annotations

import pytest
from google import genai
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.genai import types
from google.oauth2.credentials import Credentials

PATH = "/v1/projects/p1/locations/us-central1"


@pytest.fixture(scope="module")
def gemini(emulator):
    return genai.Client(
        vertexai=True,
        project="p1",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    )


def tune(emulator, **fields):
    spec = {**emulator.tuning_data(16), "hyperParameters": {"epochCount": "3"}, **fields}
    body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec}
    return emulator.wait(emulator.call("POST", f"{PATH}/tuningJobs", body)["name"])


@pytest.fixture(scope="module")
def tuned(emulator):
    return tune(emulator)


def which(gemini, endpoint):
    return gemini.models.generate_content(model=endpoint, contents="which checkpoint").text


def test_each_epoch_leaves_a_checkpoint_that_its_endpoint_serves(emulator, gemini, tuned):
    job = gemini.tunings.get(name=tuned["name"])
    found = job.tuned_model.checkpoints
    assert [(row.checkpoint_id, row.epoch, row.step) for row in found] == [
        ("1", 1, 2),
        ("2", 2, 4),
        ("3", 3, 6),
    ]
    assert [which(gemini, row.endpoint) for row in found] == ["step 2", "step 4", "step 6"]
    assert job.tuned_model.endpoint in {row.endpoint for row in found}
    assert len({row.endpoint for row in found}) == 3
    models = emulator.google(aiplatform_v1.ModelServiceClient)
    listed = models.list_model_version_checkpoints(name=job.tuned_model.model)
    assert [row.checkpoint_id for row in listed] == ["1", "2", "3"]


def test_the_default_checkpoint_is_the_best_one_until_another_is_chosen(emulator, gemini, tuned):
    name, endpoint = tuned["tunedModel"]["model"], tuned["tunedModel"]["endpoint"]
    default = emulator.call("GET", f"/v1/{name}")["defaultCheckpointId"]
    [deployed] = emulator.call("GET", f"/v1/{endpoint}")["deployedModels"]
    assert deployed["checkpointId"] == default
    operation = emulator.call("POST", f"{PATH}/endpoints", {"displayName": "follows the default"})
    other = operation["name"].partition("/operations/")[0]
    body = {"deployedModel": {"model": name}, "trafficSplit": {"0": 100}}
    emulator.call("POST", f"/v1/{other}:deployModel", body)
    assert which(gemini, other) == which(gemini, endpoint)
    gemini.models.update(model=name, config=types.UpdateModelConfig(default_checkpoint_id="3"))
    assert which(gemini, other) == "step 6"
    assert which(gemini, endpoint) == f"step {2 * int(default)}"


def test_a_checkpoint_is_deployed_by_its_id_and_copied_with_its_model(emulator, gemini, tuned):
    models = emulator.google(aiplatform_v1.ModelServiceClient)
    endpoints = emulator.google(aiplatform_v1.EndpointServiceClient)
    copied = models.copy_model(
        parent="projects/p1/locations/europe-west4",
        source_model=tuned["tunedModel"]["model"],
    ).result()
    endpoint = endpoints.create_endpoint(
        parent="projects/p1/locations/europe-west4", endpoint=aiplatform_v1.Endpoint(display_name="e")
    ).result()

    def deploy(identifier):
        deployed = aiplatform_v1.DeployedModel(model=copied.model, checkpoint_id=identifier)
        endpoints.deploy_model(
            endpoint=endpoint.name, deployed_model=deployed, traffic_split={"0": 100}
        ).result()

    with pytest.raises(exceptions.BadRequest, match="no checkpoint 9; it has 1, 2, 3"):
        deploy("9")
    deploy("2")
    assert which(gemini, endpoint.name) == "step 4"


def test_only_the_last_is_exported_where_the_job_says_so(emulator):
    ended = tune(emulator, exportLastCheckpointOnly=True)
    assert "checkpoints" not in ended["tunedModel"]
    model = emulator.call("GET", f"/v1/{ended['tunedModel']['model']}")
    assert "checkpoints" not in model
    assert len(model["deployedModels"]) == 1


def test_of_many_epochs_ten_are_kept(emulator):
    ended = tune(emulator, hyperParameters={"epochCount": "25"})
    found = ended["tunedModel"]["checkpoints"]
    assert [int(row["epoch"]) for row in found] == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
