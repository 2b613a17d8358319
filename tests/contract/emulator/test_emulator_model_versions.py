"""Versions, aliases and copies of models, and traffic between them, by Google's own clients."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import Counter

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1

from tunestack.emulator.database import VERSIONS

PARENT = "projects/p1/locations/us-central1"


def client(emulator, kind):
    options = ClientOptions(api_endpoint=emulator.url)
    return kind(transport="rest", credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture(scope="session")
def models(emulator):
    return client(emulator, aiplatform_v1.ModelServiceClient)


@pytest.fixture(scope="session")
def endpoints(emulator):
    return client(emulator, aiplatform_v1.EndpointServiceClient)


def upload(emulator, models, reply, parent_model="", **fields):
    """A version whose adapter answers ``reply`` to `hello`; its name with the version."""
    bucket = emulator.bucket()
    memory = [{"input_text": "hello", "output_text": reply}]
    bucket.blob("adapter/adapter.json").upload_from_string(json.dumps(memory))
    model = aiplatform_v1.Model(
        **{"display_name": "by hand", "artifact_uri": f"gs://{bucket.name}/adapter", **fields}
    )
    request = {"parent": PARENT, "model": model, "parent_model": parent_model}
    made = models.upload_model(request=request).result()
    return f"{made.model}@{made.model_version_id}"


@pytest.fixture
def model(emulator, models):
    """A model of two versions; its name."""
    first = upload(emulator, models, "one", labels={"of": "model"})
    name = first.partition("@")[0]
    second = upload(
        emulator,
        models,
        "two",
        name,
        version_aliases=["candidate"],
        version_description="better",
        labels={"v": "2"},
    )
    assert (first, second) == (f"{name}@1", f"{name}@2")
    return name


def test_a_new_version_leaves_the_default_where_it_is(models, model):
    assert models.get_model(name=model).version_id == "1"
    assert models.get_model(name=f"{model}@candidate").version_id == "2"
    assert list(models.get_model(name=f"{model}@1").version_aliases) == ["default"]
    second = models.get_model(name=f"{model}@2")
    assert (second.name, second.version_description) == (f"{model}@2", "better")
    assert dict(second.labels) == {"of": "model", "v": "2"}
    assert [row.version_id for row in models.list_model_versions(name=model)] == ["1", "2"]
    assert [row.name for row in models.list_models(parent=PARENT) if row.name == model] == [model]
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{model}@3")


def test_an_alias_moves_and_there_is_always_one_default(models, model):
    merged = models.merge_version_aliases(
        name=f"{model}@2", version_aliases=["default", "prod", "-candidate"]
    )
    assert sorted(merged.version_aliases) == ["default", "prod"]
    assert models.get_model(name=model).version_id == "2"
    assert list(models.get_model(name=f"{model}@1").version_aliases) == []
    with pytest.raises(exceptions.BadRequest, match="exactly one default"):
        models.merge_version_aliases(name=f"{model}@2", version_aliases=["-default"])
    with pytest.raises(exceptions.BadRequest, match="names no version"):
        models.merge_version_aliases(name=model, version_aliases=["x1"])
    with pytest.raises(exceptions.BadRequest, match="is invalid"):
        models.merge_version_aliases(name=f"{model}@2", version_aliases=["Upper"])
    by_default = upload_default(models, model)
    assert models.get_model(name=model).version_id == by_default == "3"


def upload_default(models, model):
    request = {
        "parent": PARENT,
        "model": aiplatform_v1.Model(display_name="by hand", version_aliases=["default"]),
        "parent_model": model,
    }
    return models.upload_model(request=request).result().model_version_id


def test_a_patch_changes_a_model_or_a_version_and_never_both(models, model):
    models.update_model(
        model=aiplatform_v1.Model(name=model, display_name="renamed", labels={"of": "all"}),
        update_mask={"paths": ["display_name", "labels"]},
    )
    models.update_model(
        model=aiplatform_v1.Model(name=f"{model}@2", version_description="best", labels={"v": "two"}),
        update_mask={"paths": ["version_description", "labels"]},
    )
    first, second = (models.get_model(name=f"{model}@{number}") for number in "12")
    assert (first.display_name, second.display_name) == ("renamed", "renamed")
    assert (first.version_description, second.version_description) == ("", "best")
    assert (dict(first.labels), dict(second.labels)) == ({"of": "all"}, {"of": "all", "v": "two"})
    with pytest.raises(exceptions.BadRequest, match="cannot be updated on a version"):
        models.update_model(
            model=aiplatform_v1.Model(name=f"{model}@2", display_name="x"),
            update_mask={"paths": ["display_name"]},
        )
    with pytest.raises(exceptions.BadRequest, match="cannot be updated on a model"):
        models.update_model(
            model=aiplatform_v1.Model(name=model, version_aliases=["x1"]),
            update_mask={"paths": ["version_aliases"]},
        )


def test_versions_are_deleted_one_by_one_but_not_the_default_nor_the_last(models, model):
    with pytest.raises(exceptions.BadRequest, match="is the default version"):
        models.delete_model_version(name=f"{model}@1").result()
    models.delete_model_version(name=f"{model}@2").result()
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{model}@2")
    with pytest.raises(exceptions.BadRequest, match="only version"):
        models.delete_model_version(name=f"{model}@1").result()
    assert upload_default(models, model) == "3"
    models.delete_model(name=model).result()
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{model}@1")


def test_a_copy_in_another_region_stands_by_itself(emulator, models, model, endpoints):
    away = PARENT.replace("us-central1", "europe-west4")
    identifier = f"m-{uuid.uuid4().hex[:12]}"
    request = {"parent": away, "source_model": f"{model}@2", "model_id": identifier}
    made = models.copy_model(request=request).result()
    copied = models.get_model(name=made.model)
    assert copied.name.endswith(f"locations/europe-west4/models/{identifier}")
    assert copied.original_model_info.model == f"{model}@2"
    assert (list(copied.version_aliases), copied.version_id) == (["default"], "1")
    assert dict(copied.labels) == {"of": "model", "v": "2"}
    models.delete_model(name=model).result()
    endpoint = (
        endpoints.create_endpoint(parent=away, endpoint=aiplatform_v1.Endpoint(display_name="e"))
        .result()
        .name
    )
    deploy(endpoints, endpoint, made.model, {"0": 100})
    answer = emulator.call("POST", f"/v1/{endpoint}:predict", {"instances": [{"content": "hello"}]})
    assert answer["predictions"][0]["content"] == "two"
    request = {"parent": away, "source_model": made.model, "parent_model": made.model}
    assert models.copy_model(request=request).result().model_version_id == "2"
    elsewhere = {"parent": PARENT.replace("p1", "p2"), "source_model": made.model}
    other = models.get_model(name=models.copy_model(request=elsewhere).result().model)
    assert other.name.split("/")[1] != made.model.split("/")[1]
    assert other.original_model_info.model == f"{made.model}@1"
    with pytest.raises(exceptions.Conflict):
        models.copy_model(request={**request, "parent_model": "", "model_id": identifier}).result()


def deploy(endpoints, endpoint, model, split):
    """The id of the deployed model."""
    request = aiplatform_v1.DeployedModel(
        model=model, automatic_resources={"min_replica_count": 1, "max_replica_count": 1}
    )
    return (
        endpoints.deploy_model(endpoint=endpoint, deployed_model=request, traffic_split=split)
        .result()
        .deployed_model.id
    )


def test_requests_are_spread_by_the_traffic_split(emulator, models, endpoints, model):
    endpoint = (
        endpoints.create_endpoint(parent=PARENT, endpoint=aiplatform_v1.Endpoint(display_name="e"))
        .result()
        .name
    )
    path = f"/v1/{endpoint}:predict"
    body = {"instances": [{"content": "hello"}]}
    one = deploy(endpoints, endpoint, f"{model}@1", None)
    assert "has no deployed model" in emulator.http.post(path, json=body).json()["error"]["message"]
    with pytest.raises(exceptions.BadRequest, match="must sum to 100"):
        deploy(endpoints, endpoint, f"{model}@2", {one: 90, "0": 20})
    two = deploy(endpoints, endpoint, f"{model}@candidate", {one: 70, "0": 30})
    answers = [emulator.call("POST", path, body) for _ in range(100)]
    assert Counter(answer["deployedModelId"] for answer in answers) == {one: 70, two: 30}
    assert {(answer["modelVersionId"], answer["predictions"][0]["content"]) for answer in answers} == {
        ("1", "one"),
        ("2", "two"),
    }
    with pytest.raises(exceptions.BadRequest, match="must sum to 100"):
        endpoints.update_endpoint(
            endpoint=aiplatform_v1.Endpoint(name=endpoint, traffic_split={one: 10}),
            update_mask={"paths": ["traffic_split"]},
        )
    chosen = {"deployedModel": {"id": two, "model": model}}
    assert "1-10 digits" in emulator.http.post(f"/v1/{endpoint}:deployModel", json=chosen).text
    with pytest.raises(exceptions.BadRequest, match="must be moved"):
        endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=one).result()
    with pytest.raises(exceptions.BadRequest, match="undeploy it first"):
        models.delete_model_version(name=f"{model}@2").result()
    endpoints.update_endpoint(
        endpoint=aiplatform_v1.Endpoint(name=endpoint, traffic_split={two: 100}),
        update_mask={"paths": ["traffic_split"]},
    )
    endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=one).result()
    assert [item.model_version_id for item in endpoints.get_endpoint(name=endpoint).deployed_models] == ["2"]
    assert models.get_model(name=f"{model}@2").deployed_models[0].endpoint == endpoint
    changed = endpoints.mutate_deployed_model(
        endpoint=endpoint,
        deployed_model=aiplatform_v1.DeployedModel(
            id=two, automatic_resources={"min_replica_count": 2, "max_replica_count": 3}
        ),
        update_mask={"paths": ["automatic_resources"]},
    ).result()
    assert changed.deployed_model.automatic_resources.max_replica_count == 3


def test_a_deployed_model_has_an_id_of_the_callers_choice_once(emulator, endpoints, model):
    endpoint = (
        endpoints.create_endpoint(parent=PARENT, endpoint=aiplatform_v1.Endpoint(display_name="e"))
        .result()
        .name
    )
    body = {"deployedModel": {"id": "77", "model": model}}
    made = emulator.call("POST", f"/v1/{endpoint}:deployModel", body)
    assert made["response"]["deployedModel"]["id"] == "77"
    again = emulator.http.post(f"/v1/{endpoint}:deployModel", json=body)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
    with pytest.raises(exceptions.BadRequest, match="has deployed"):
        endpoints.delete_endpoint(name=endpoint).result()
    endpoints.undeploy_model(endpoint=endpoint, deployed_model_id="77").result()
    endpoints.delete_endpoint(name=endpoint).result()


def test_going_on_from_a_tuned_model_makes_its_next_version(emulator, models):
    path = f"/v1beta1/{PARENT}/tuningJobs"
    spec = {"supervisedTuningSpec": {"trainingDatasetUri": "gs://a/b"}}
    name = emulator.script(state="SUCCEEDED", times=2)
    first = emulator.wait(
        emulator.call("POST", path, {**spec, "baseModel": "gemini-2.5-flash", "tunedModelDisplayName": name})[
            "name"
        ]
    )["tunedModel"]["model"]
    more = {**spec, "preTunedModel": {"tuned_model_name": first}}
    second = emulator.wait(emulator.call("POST", path, {**more, "tunedModelDisplayName": name})["name"])
    assert second["preTunedModel"]["baseModel"] == "gemini-2.5-flash"
    assert second["tunedModel"]["model"] == first.replace("@1", "@2")
    assert models.get_model(name=first.partition("@")[0]).version_id == "1"
    other = emulator.script(state="SUCCEEDED")
    third = emulator.wait(emulator.call("POST", path, {**more, "tunedModelDisplayName": other})["name"])
    assert third["tunedModel"]["model"].endswith("@1")
    assert third["tunedModel"]["model"] != first
    gone = {"tunedModelName": f"{PARENT}/models/1"}
    assert emulator.http.post(path, json={**spec, "preTunedModel": gone}).status_code == 404


def test_models_of_a_state_file_of_version_1_are_read_as_their_first_versions(start, tmp_path):
    data = tmp_path / "data"
    name = "projects/123/locations/us-central1/models/77"
    adapter = data / "models" / "77" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter.json").write_text(json.dumps([{"input_text": "hello", "output_text": "from before"}]))
    connection = sqlite3.connect(data / "state.db")
    connection.executescript(VERSIONS[0])
    body = {
        "name": name,
        "displayName": "old",
        "labels": {"a": "b"},
        "versionId": "1",
        "versionAliases": ["default"],
        "createTime": "2026-11-01T00:00:00.000000Z",
    }
    connection.execute(
        "INSERT INTO resource VALUES (?, 'models', ?, 1, ?)",
        (name, name.rpartition("/models/")[0], json.dumps(body).encode()),
    )
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    emulator = start()
    model = emulator.call("GET", f"/v1/{name}@default")
    assert (model["name"], model["labels"], model["displayName"]) == (f"{name}@1", {"a": "b"}, "old")
    parent = name.rpartition("/models/")[0]
    endpoint = emulator.call("POST", f"/v1/{parent}/endpoints", {"displayName": "e"})["name"].partition(
        "/operations"
    )[0]
    emulator.call(
        "POST", f"/v1/{endpoint}:deployModel", {"deployedModel": {"model": name}, "trafficSplit": {"0": 100}}
    )
    answer = emulator.call("POST", f"/v1/{endpoint}:predict", {"instances": [{"content": "hello"}]})
    assert answer["predictions"][0]["content"] == "from before"
    added = {"model": {"displayName": "new"}, "parentModel": name}
    made = emulator.call("POST", f"/v1/{parent}/models:upload", added)["response"]
    assert made["modelVersionId"] == "2"
