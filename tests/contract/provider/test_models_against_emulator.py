"""Models, deployments and quotas against the emulator: the two must agree on everything that both know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.vertex.timing import Timing

VERSION = "tunestack:vertex:ModelVersion"
DEPLOYMENT = "tunestack:vertex:Deployment"
GRANT = "tunestack:quota:Grant"
TRAINER = Path(__file__).parents[1] / "emulator" / "trainer"
HERE, THERE = "projects/p1/locations/us-central1", "projects/p1/locations/europe-west4"
QUOTA = "CustomModelTrainingA10080GBGPUsPerProjectPerRegion"
DEDICATED = {"machineSpec": {"machineType": "g2-standard-12"}, "minReplicaCount": 1}


class BriskClock:
    """Real time, short pauses."""

    def timing(self) -> Timing:
        return Timing(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.05)))


@pytest.fixture
def clock() -> BriskClock:
    return BriskClock()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models-emulator")
    (folder / "base-model").mkdir()
    options = EmulatorOptions(
        data=folder / "data", port=0, trainer=TRAINER, base_model=folder / "base-model", parallel_jobs=1
    )
    http = httpx.Client(base_url=process.start(options).url, timeout=30)
    yield http
    http.close()
    process.stop(options.data)


@pytest.fixture
def model(emulator: httpx.Client, request: pytest.FixtureRequest) -> str:
    """A model with two versions, of its own for each test."""
    id_ = f"m{abs(hash(request.node.name)) % 10**8}"
    for parent in ({"modelId": id_}, {"parentModel": f"{HERE}/models/{id_}"}):
        body = {"model": {"displayName": "tuned", "labels": {"job": "sarcasm"}}, **parent}
        emulator.post(f"/v1/{HERE}/models:upload", json=body).raise_for_status()
    return f"{HERE}/models/{id_}"


@pytest.fixture
async def start(new_engine: Any, emulator: httpx.Client) -> Any:
    async def started() -> Any:
        engine = await new_engine()
        await engine.configure(project="p1", endpoint=str(emulator.base_url).rstrip("/"), accessToken="local")
        return engine

    return started


async def checked(engine: Any, type_: str, **inputs: Any) -> dict[str, Any]:
    found, problems = await engine.check(type_, inputs)
    assert problems == {}
    return dict(found)


def aliases(emulator: httpx.Client, name: str) -> set[str]:
    return set(emulator.get(f"/v1/{name}").raise_for_status().json()["versionAliases"])


async def test_an_alias_moves_between_versions_and_the_default_stays(
    start: Any, emulator: httpx.Client, model: str
) -> None:
    engine = await start()
    first = await checked(
        engine,
        VERSION,
        location="us-central1",
        sourceModel=f"{model}@1",
        aliases=["prod"],
        labels={"team": "ml"},
    )
    id_, outputs = await engine.create(VERSION, first)
    read_id, read, inputs = await engine.read(VERSION, id_, outputs, first)
    assert (read_id, inputs) == (id_, first)
    assert await engine.diff(VERSION, id_, read, first, first) == ({}, False)
    second = await checked(
        engine,
        VERSION,
        location="us-central1",
        sourceModel=f"{model}@2",
        aliases=["prod"],
        description="better",
    )
    new_id, new = await engine.create(VERSION, second)
    await engine.delete(VERSION, id_, outputs, first)
    assert (aliases(emulator, f"{model}@1"), aliases(emulator, f"{model}@2")) == ({"default"}, {"prod"})
    assert emulator.get(f"/v1/{model}@2").json()["versionDescription"] == "better"
    await (await start()).delete(VERSION, new_id, new, second)
    assert aliases(emulator, f"{model}@2") == set()


async def test_a_version_is_copied_to_another_region_once_and_its_next_one_beside_it(
    start: Any, emulator: httpx.Client, model: str
) -> None:
    engine = await start()
    place = {"location": "europe-west4", "deletionPolicy": "DELETE", "aliases": ["prod"]}
    first = await checked(engine, VERSION, sourceModel=f"{model}@1", **place)
    id_, outputs = await engine.create(VERSION, first)
    assert (outputs["copied"], outputs["adopted"]) == (True, False)
    assert id_.startswith(f"{THERE}/models/")
    again, adopted = await (await start()).create(VERSION, first)
    assert (again, adopted["adopted"]) == (id_, True)
    second = await checked(engine, VERSION, sourceModel=f"{model}@2", **place)
    new_id, new = await engine.create(VERSION, second)
    assert new_id == id_.replace("@1", "@2")
    assert (aliases(emulator, id_), aliases(emulator, new_id)) == ({"default"}, {"prod"})
    imported = await (await start()).read(VERSION, new_id, {}, {})
    assert imported[2]["sourceModel"].endswith("@2")
    fault = {"method": "aiplatform.projects.locations.models.deleteVersion", "truncateAfter": 0}
    emulator.post("/_local/faults", json=fault).raise_for_status()
    await (await start()).delete(VERSION, new_id, new, second)
    assert emulator.get(f"/v1/{new_id}").status_code == 404
    await (await start()).delete(VERSION, id_, outputs, first)
    assert emulator.get(f"/v1/{outputs['model']}").status_code == 404


async def test_a_version_is_copied_to_another_project_once_found_imported_and_taken_away(
    start: Any, emulator: httpx.Client, model: str
) -> None:
    engine = await start()
    place = {"project": "p2", "location": "us-central1", "deletionPolicy": "DELETE", "aliases": ["prod"]}
    inputs = await checked(engine, VERSION, sourceModel=f"{model}@2", **place)
    id_, outputs = await engine.create(VERSION, inputs)
    assert id_ == f"projects/p2/locations/us-central1/models/{outputs['model'].rsplit('/', 1)[1]}@1"
    assert (outputs["copied"], outputs["adopted"]) == (True, False)
    assert aliases(emulator, id_) == {"default", "prod"}
    assert aliases(emulator, f"{model}@2") == set()  # the source keeps to itself
    again, adopted = await (await start()).create(VERSION, inputs)
    assert (again, adopted["adopted"]) == (id_, True)
    read_id, read, kept = await engine.read(VERSION, id_, outputs, inputs)
    assert (read_id, kept) == (id_, inputs)
    assert await engine.diff(VERSION, id_, read, inputs, inputs) == ({}, False)
    _, _, imported = await (await start()).read(VERSION, id_, {}, {})
    assert imported["project"] == "p2"
    await (await start()).delete(VERSION, id_, outputs, inputs)
    assert emulator.get(f"/v1/{id_.partition('@')[0]}").status_code == 404
    emulator.get(f"/v1/{model}@2").raise_for_status()


@pytest.mark.parametrize("next_version", [False, True])
async def test_a_lost_answer_to_a_copy_is_one_copy_on_the_emulator_too(
    start: Any, emulator: httpx.Client, model: str, next_version: bool
) -> None:
    engine = await start()
    if next_version:
        await engine.create(
            VERSION, await checked(engine, VERSION, location="europe-west4", sourceModel=f"{model}@1")
        )
    fault = {"method": "aiplatform.projects.locations.models.copy", "truncateAfter": 0}
    emulator.post("/_local/faults", json=fault).raise_for_status()
    inputs = await checked(engine, VERSION, location="europe-west4", sourceModel=f"{model}@2")
    id_, outputs = await engine.create(VERSION, inputs)
    assert outputs["state"] == "READY"
    versions = emulator.get(f"/v1/{outputs['model']}:listVersions").json()["models"]
    assert len(versions) == 1 + next_version
    assert id_.endswith(f"@{1 + next_version}")


async def test_a_model_is_deployed_changed_behind_the_same_endpoint_and_taken_away(
    start: Any, emulator: httpx.Client, model: str
) -> None:
    engine = await start()
    first = await checked(
        engine, DEPLOYMENT, location="us-central1", model=f"{model}@1", dedicatedResources=DEDICATED
    )
    id_, outputs = await engine.create(DEPLOYMENT, first)
    assert outputs["trafficSplit"] == {outputs["deployedModelId"]: 100}
    assert await engine.diff(DEPLOYMENT, id_, outputs, first, first) == ({}, False)
    more = {**DEDICATED, "minReplicaCount": 2, "maxReplicaCount": 4}
    second = await checked(
        engine, DEPLOYMENT, location="us-central1", model=f"{model}@1", dedicatedResources=more
    )
    resized = await engine.update(DEPLOYMENT, id_, outputs, second)
    assert resized["deployedModelId"] == outputs["deployedModelId"]
    third = await checked(
        engine, DEPLOYMENT, location="us-central1", model=f"{model}@2", dedicatedResources=more
    )
    after = await engine.update(DEPLOYMENT, id_, resized, third)
    endpoint = emulator.get(f"/v1/{after['endpointName']}").json()
    assert [(one["id"], one["modelVersionId"]) for one in endpoint["deployedModels"]] == [
        (after["deployedModelId"], "2")
    ]
    assert endpoint["trafficSplit"] == {after["deployedModelId"]: 100}
    imported_id = f"{after['endpointName']}/deployedModels/{after['deployedModelId']}"
    _, _, imported = await (await start()).read(DEPLOYMENT, imported_id, {}, {})
    assert imported["model"] == f"{model}@2"
    assert imported["dedicatedResources"] == more
    emulator.patch(
        f"/v1/{after['endpointName']}", params={"updateMask": "trafficSplit"}, json={"trafficSplit": {}}
    ).raise_for_status()
    _, read, drifted = await engine.read(DEPLOYMENT, id_, after, third)
    assert drifted["traffic"] == 0
    mended = await engine.update(DEPLOYMENT, id_, read, third)
    await (await start()).delete(DEPLOYMENT, id_, mended, third)
    assert emulator.get(f"/v1/{after['endpointName']}").status_code == 404
    assert emulator.get(f"/v1/{model}@2").status_code == 200


@pytest.mark.parametrize("method", ["create", "deployModel", "patch", "undeployModel", "delete"])
async def test_a_lost_answer_leaves_one_endpoint_with_one_model_on_the_emulator_too(
    start: Any, emulator: httpx.Client, model: str, method: str
) -> None:
    fault = {"method": f"aiplatform.projects.locations.endpoints.{method}", "truncateAfter": 0}
    emulator.post("/_local/faults", json=fault).raise_for_status()
    engine = await start()
    inputs = await checked(
        engine, DEPLOYMENT, location="us-central1", model=f"{model}@1", dedicatedResources=DEDICATED
    )
    id_, outputs = await engine.create(DEPLOYMENT, inputs, f"lost-{method.lower()}")
    endpoints = emulator.get(f"/v1/{HERE}/endpoints").json()["endpoints"]
    assert [len(one["deployedModels"]) for one in endpoints] == [1]
    await (await start()).delete(DEPLOYMENT, id_, outputs, inputs, f"lost-{method.lower()}")
    assert not emulator.get(f"/v1/{HERE}/endpoints").json().get("endpoints")


async def test_a_quota_is_verified_asked_for_and_granted(start: Any, emulator: httpx.Client) -> None:
    engine = await start()
    quota = {"quotaId": QUOTA, "dimensions": {"region": "us-central1"}, "atLeast": 8}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await engine.create(GRANT, await checked(engine, GRANT, **quota))
    assert "need 8" in str(caught.value.details())
    ask = {"request": True, "contactEmail": "ml@acme.example", "justification": "tuning"}
    inputs = await checked(engine, GRANT, **quota, **ask)
    id_, outputs = await engine.create(GRANT, inputs)
    assert outputs["granted"] == 8
    again = await checked(engine, GRANT, **{**quota, "atLeast": 16}, **ask)
    assert (await engine.update(GRANT, id_, outputs, again))["granted"] == 16
    by_metric = await checked(
        engine,
        GRANT,
        metric="aiplatform.googleapis.com/restricted_image_training_tpu_v3_pod",
        dimensions={"region": "europe-west4"},
        atLeast=0,
    )
    assert "RestrictedImageTraining" in (await engine.create(GRANT, by_metric))[0]
