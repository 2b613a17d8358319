"""Deployment over gRPC, in the engine's order, against scripted endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

DEPLOYMENT = "tunestack:vertex:Deployment"
PLACE = "projects/acme/locations/us-central1"
MODEL = f"{PLACE}/models/tuned"
SHARED = f"{PLACE}/endpoints/7"
MACHINE = {"machineType": "g2-standard-12", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}
DEDICATED = {"machineSpec": MACHINE, "minReplicaCount": 1}


class Endpoints:
    """Endpoints as Google keeps them; ``story``: what changed, in the order in which it did."""

    def __init__(self, vertex: Any) -> None:
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.story: list[str] = []
        self.methods: set[str] = set()
        self.fails = ""
        self.pending = 2
        self.operations: dict[str, list[Any]] = {}
        self.served: Callable[[], None] = lambda: None
        self._beyond = vertex.answer
        vertex.answer = self.answer

    def add(self, name: str, **more: Any) -> dict[str, Any]:
        self.endpoints[name] = {"name": name, "deployedModels": [], "trafficSplit": {}, "etag": "1", **more}
        return self.endpoints[name]

    def running(self, carry_out: Callable[[], None]) -> tuple[int, Any]:
        name = f"{PLACE}/operations/{len(self.operations)}"
        self.operations[name] = [self.pending, carry_out]
        return 200, {"name": name, "done": False}

    def look(self, name: str) -> tuple[int, Any]:
        operation = self.operations[name]
        operation[0] -= 1
        if operation[0] > 0:
            return 200, {"name": name, "done": False}
        if self.fails and operation[0] == 0:
            return 200, {"name": name, "done": True, "error": {"code": 8, "message": self.fails}}
        if operation[0] == 0:
            operation[1]()
        return 200, {"name": name, "done": True, "response": {}}

    def answer(self, method: str, path: str, query: Any, body: bytes) -> tuple[int, Any]:
        self.methods.add(method)
        name, given = path.removeprefix("/v1/"), json.loads(body) if body else {}
        if name in self.operations:
            return self.look(name)
        if name.partition("@")[0] == MODEL:
            deployed = [{"endpoint": SHARED, "deployedModelId": "77"}] if name.endswith("@1") else []
            return 200, {"name": MODEL, "versionId": name.partition("@")[2], "deployedModels": deployed}
        if method == "POST" and name.endswith("/endpoints"):
            full = f"{name}/{query['endpointId'][0]}"
            if full in self.endpoints:
                return 409, refusal("ALREADY_EXISTS", "it exists")
            self.add(full, **given)
            self.story.append("made")
            return 200, {"name": f"{PLACE}/operations/made", "done": True, "response": {"name": full}}
        name, _, verb = name.partition(":")
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            return self._beyond(method, path, query, body)
        if verb == "deployModel":
            return self.deploy(endpoint, given["deployedModel"])
        if verb == "undeployModel":
            return self.undeploy(endpoint, given["deployedModelId"])
        if verb == "mutateDeployedModel":
            kind, count = given["updateMask"].split(".")
            found = next(
                one for one in endpoint["deployedModels"] if one["id"] == given["deployedModel"]["id"]
            )
            found[kind][count] = given["deployedModel"][kind][count]
            self.story.append(f"resized {found[kind][count]}")
            return self.running(lambda: None)
        if method == "PATCH":
            if given.get("etag") not in (None, endpoint["etag"]):
                return 409, refusal("ABORTED", "the etag is old")
            endpoint.update({key: given[key] for key in query["updateMask"][0].split(",")})
            endpoint["etag"] += "1"
            if "trafficSplit" in given:
                split = {self.version(endpoint, id_): share for id_, share in given["trafficSplit"].items()}
                self.story.append(f"traffic {json.dumps(split)}")
        elif method == "DELETE":
            assert not endpoint["deployedModels"]
            del self.endpoints[name]
            self.story.append("deleted")
            return 200, {"name": f"{PLACE}/operations/d", "done": True, "response": {}}
        return 200, endpoint

    def version(self, endpoint: dict[str, Any], id_: str) -> str:
        found = [one for one in endpoint["deployedModels"] if one["id"] == id_]
        assert found, f"traffic to {id_}, which does not serve"
        return str(found[0]["model"].rpartition("@")[2])

    def deploy(self, endpoint: dict[str, Any], deployed: dict[str, Any]) -> tuple[int, Any]:
        if any(one["id"] == deployed["id"] for one in endpoint["deployedModels"]):
            return 400, refusal("FAILED_PRECONDITION", "that id is deployed")

        def carry_out() -> None:
            if all(one["id"] != deployed["id"] for one in endpoint["deployedModels"]):
                endpoint["deployedModels"].append(deployed)
                self.story.append(f"deployed {deployed['model'].rpartition('@')[2]}")
                self.served()

        return self.running(carry_out)

    def undeploy(self, endpoint: dict[str, Any], id_: str) -> tuple[int, Any]:
        if all(one["id"] != id_ for one in endpoint["deployedModels"]):
            return 400, refusal("FAILED_PRECONDITION", "it is not deployed")
        if endpoint["trafficSplit"].get(id_):
            return 400, refusal("FAILED_PRECONDITION", "it has traffic")
        self.story.append(f"undeployed {self.version(endpoint, id_)}")
        endpoint["deployedModels"] = [one for one in endpoint["deployedModels"] if one["id"] != id_]
        return 200, {"name": f"{PLACE}/operations/u", "done": True, "response": {}}


def refusal(status: str, message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "status": status, "message": message}}


@pytest.fixture
def cloud(vertex: Any) -> Endpoints:
    return Endpoints(vertex)


@pytest.fixture
def later(new_engine: Any, vertex: Any) -> Any:
    """The provider of the next command: it knows only what is in the state."""

    async def start() -> Any:
        engine = await new_engine()
        await engine.configure(project="acme", endpoint=vertex.endpoint)
        return engine

    return start


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs = {"location": "us-central1", "model": f"{MODEL}@2", "dedicatedResources": DEDICATED, **changes}
    checked, problems = await engine.check(DEPLOYMENT, {k: v for k, v in inputs.items() if v is not None})
    assert problems == {}
    return dict(checked)


async def refused(operation: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    return str(caught.value.details())


async def partial(engine: Any, operation: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await operation
    return engine.partial(caught.value)


async def test_an_endpoint_is_made_and_gets_its_requests_after_the_model_serves(
    engine: Any, cloud: Endpoints, later: Any
) -> None:
    inputs = await declared(engine, labels={"team": "ml"})
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    assert cloud.story == ["made", "deployed 2", 'traffic {"2": 100}']
    assert id_ == f"{outputs['endpointName']}/deployedModels/{outputs['deployedModelId']}"
    assert (outputs["state"], outputs["endpointCreated"]) == ("SERVING", True)
    assert outputs["trafficSplit"] == {outputs["deployedModelId"]: 100}
    endpoint = cloud.endpoints[outputs["endpointName"]]
    assert endpoint["labels"]["team"] == "ml"
    assert endpoint["deployedModels"][0]["dedicatedResources"] == DEDICATED
    assert await engine.diff(DEPLOYMENT, id_, outputs, inputs, inputs) == ({}, False)
    cloud.story.clear()
    await (await later()).delete(DEPLOYMENT, id_, outputs, inputs)
    assert cloud.story == ["traffic {}", "undeployed 2", "deleted"]
    await (await later()).delete(DEPLOYMENT, id_, outputs, inputs)


async def test_another_model_is_deployed_before_the_old_one_goes_and_the_endpoint_stays(
    engine: Any, cloud: Endpoints
) -> None:
    old = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, old)
    cloud.story.clear()
    new = await declared(engine, model=f"{MODEL}@3")
    assert await engine.diff(DEPLOYMENT, id_, outputs, old, new) == ({"model": "UPDATE"}, False)
    preview = await engine.update(DEPLOYMENT, id_, outputs, new, preview=True)
    assert preview["endpointName"] == outputs["endpointName"]
    after = await engine.update(DEPLOYMENT, id_, outputs, new)
    assert cloud.story == ["deployed 3", 'traffic {"3": 100}', "undeployed 2"]
    assert after["endpointName"] == outputs["endpointName"]
    assert after["deployedModelId"] != outputs["deployedModelId"]
    assert (await engine.read(DEPLOYMENT, id_, after, new))[2] == new


async def test_a_new_model_that_cannot_be_deployed_takes_nothing_from_the_old_one(
    engine: Any, cloud: Endpoints
) -> None:
    old = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, old)
    cloud.story.clear()
    cloud.fails = "no NVIDIA_L4 in us-central1"
    new = await declared(engine, model=f"{MODEL}@3")
    failure = await partial(engine, engine.update(DEPLOYMENT, id_, outputs, new))
    assert "no NVIDIA_L4" in failure.reasons[0]
    assert cloud.story == []
    assert cloud.endpoints[outputs["endpointName"]]["trafficSplit"] == {outputs["deployedModelId"]: 100}
    changes, _ = await engine.diff(DEPLOYMENT, id_, failure.outputs, old, new)
    assert changes == {"model": "UPDATE", "state": "UPDATE"}
    cloud.fails = ""
    newest = await declared(engine, model=f"{MODEL}@4")
    await engine.update(DEPLOYMENT, id_, failure.outputs, newest)
    assert cloud.story == ["deployed 4", 'traffic {"4": 100}', "undeployed 2"]


async def test_an_interrupted_deployment_is_gone_on_with_and_never_made_twice(
    engine: Any, cloud: Endpoints, later: Any
) -> None:
    cloud.pending = 60
    inputs = await declared(engine)
    failure = await partial(engine, engine.create(DEPLOYMENT, inputs, timeout=30))
    assert failure.outputs["state"] == "DEPLOYING"
    assert failure.outputs["operation"]
    read = await partial(engine, engine.read(DEPLOYMENT, failure.id, failure.outputs, inputs))
    assert "does not serve" in read.reasons[0]
    for operation in cloud.operations.values():
        operation[0] = 2
    engine = await later()
    changes, replace = await engine.diff(DEPLOYMENT, failure.id, failure.outputs, inputs, inputs)
    assert (changes, replace) == ({"state": "UPDATE"}, False)
    outputs = await engine.update(DEPLOYMENT, failure.id, failure.outputs, inputs)
    assert cloud.story == ["made", "deployed 2", 'traffic {"2": 100}']
    assert outputs["state"] == "SERVING"
    assert "operation" not in outputs


async def test_what_was_begun_and_then_changed_again_is_taken_off_too(
    engine: Any, cloud: Endpoints, vertex: Any, later: Any
) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    cloud.story.clear()
    second = await declared(engine, model=f"{MODEL}@3")
    interrupt = []

    def stop(method: str, path: str, answered: bool) -> None:
        if "/operations/" in path and answered:
            vertex.faults.remove(stop)
            interrupt.append(asyncio.ensure_future(engine.cancel()))

    cloud.pending = 9
    vertex.faults.append(stop)
    failure = await partial(engine, engine.update(DEPLOYMENT, id_, outputs, second))
    assert "interrupted" in failure.reasons[0]
    await interrupt[0]
    third = await declared(engine, model=f"{MODEL}@4")
    after = await (await later()).update(DEPLOYMENT, id_, failure.outputs, third)
    assert cloud.story[:3] == ["deployed 3", "deployed 4", 'traffic {"4": 100}']
    assert sorted(cloud.story[3:]) == ["undeployed 2", "undeployed 3"]
    assert [one["id"] for one in cloud.endpoints[after["endpointName"]]["deployedModels"]] == [
        after["deployedModelId"]
    ]


async def test_the_answer_to_each_request_may_be_lost(
    engine: Any, cloud: Endpoints, vertex: Any, later: Any
) -> None:
    lost: set[str] = set()

    def lose(method: str, path: str, answered: bool) -> None:
        if method in ("POST", "PATCH", "DELETE") and answered and f"{method} {path}" not in lost:
            lost.add(f"{method} {path}")
            raise vertex.drop

    vertex.faults.append(lose)
    cloud.pending = 1
    inputs = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    assert outputs["state"] == "SERVING"
    new = await declared(engine, model=f"{MODEL}@3")
    after = await engine.update(DEPLOYMENT, id_, outputs, new)
    assert [one["model"] for one in cloud.endpoints[after["endpointName"]]["deployedModels"]] == [
        f"{MODEL}@3"
    ]
    await (await later()).delete(DEPLOYMENT, id_, after, new)
    assert cloud.endpoints == {}
    assert len(lost) >= 5


async def test_two_deployments_share_an_endpoint_and_each_takes_only_its_own_away(
    engine: Any, cloud: Endpoints, later: Any
) -> None:
    cloud.add(SHARED)
    one = await declared(engine, endpoint=SHARED, traffic=90)
    two = await declared(engine, endpoint=SHARED, traffic=10, model=f"{MODEL}@3")
    id_one, first = await engine.create(DEPLOYMENT, one, "one")
    assert first["trafficSplit"] == {first["deployedModelId"]: 100}
    id_two, second = await engine.create(DEPLOYMENT, two, "two")
    assert sorted(cloud.endpoints[SHARED]["trafficSplit"].values()) == [10, 90]
    read = await engine.read(DEPLOYMENT, id_one, first, one, "one")
    assert read[2] == one
    new = await declared(engine, endpoint=SHARED, traffic=90, model=f"{MODEL}@4")
    cloud.story.clear()
    await engine.update(DEPLOYMENT, id_one, first, new, "one")
    assert cloud.story == ["deployed 4", 'traffic {"3": 10, "4": 90}', "undeployed 2"]
    await (await later()).delete(DEPLOYMENT, id_two, second, two, "two")
    assert list(cloud.endpoints[SHARED]["trafficSplit"].values()) == [100]
    assert len(cloud.endpoints[SHARED]["deployedModels"]) == 1


async def test_traffic_that_was_moved_by_hand_is_found_and_moved_back(engine: Any, cloud: Endpoints) -> None:
    cloud.add(SHARED, deployedModels=[{"id": "5", "model": f"{MODEL}@9"}], trafficSplit={"5": 100})
    inputs = await declared(engine, endpoint=SHARED, traffic=60)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    ours = outputs["deployedModelId"]
    assert outputs["trafficSplit"] == {"5": 40, ours: 60}
    cloud.endpoints[SHARED]["trafficSplit"] = {"5": 100}
    _, read, found = await engine.read(DEPLOYMENT, id_, outputs, inputs)
    assert found["traffic"] == 0
    assert await engine.diff(DEPLOYMENT, id_, read, found, inputs) == ({"traffic": "UPDATE"}, False)
    await engine.update(DEPLOYMENT, id_, read, inputs)
    assert cloud.endpoints[SHARED]["trafficSplit"] == {"5": 40, ours: 60}


async def test_a_split_that_someone_else_changes_meanwhile_is_not_overwritten(
    engine: Any, cloud: Endpoints, vertex: Any
) -> None:
    others = [{"id": "5", "model": f"{MODEL}@9"}, {"id": "6", "model": f"{MODEL}@8"}]
    cloud.add(SHARED, deployedModels=others, trafficSplit={"5": 100})

    def meddle(method: str, path: str, answered: bool) -> None:
        if method == "PATCH" and not answered:
            vertex.faults.remove(meddle)
            cloud.endpoints[SHARED] |= {"trafficSplit": {"6": 100}, "etag": "other"}

    vertex.faults.append(meddle)
    _, outputs = await engine.create(DEPLOYMENT, await declared(engine, endpoint=SHARED, traffic=20))
    assert outputs["trafficSplit"] == {"6": 80, outputs["deployedModelId"]: 20}


async def test_more_replicas_deploy_nothing(engine: Any, cloud: Endpoints) -> None:
    old = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, old)
    cloud.story.clear()
    new = await declared(engine, dedicatedResources={**DEDICATED, "minReplicaCount": 3})
    changes, replace = await engine.diff(DEPLOYMENT, id_, outputs, old, new)
    assert (list(changes), replace) == (["dedicatedResources"], False)
    after = await engine.update(DEPLOYMENT, id_, outputs, new)
    assert cloud.story == ["resized 3"]
    assert after["deployedModelId"] == outputs["deployedModelId"]


async def test_a_shared_adapter_is_looked_up_and_nothing_is_done(engine: Any, cloud: Endpoints) -> None:
    inputs = await declared(engine, model=f"{MODEL}@1", dedicatedResources=None)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    assert (id_, outputs["endpointName"], outputs["state"]) == (
        f"{SHARED}/deployedModels/77",
        SHARED,
        "SHARED",
    )
    await engine.delete(DEPLOYMENT, id_, outputs, inputs)
    assert cloud.methods == {"GET"}
    assert any("nothing is deployed" in line for line in engine.lines)
    nowhere = await declared(engine, dedicatedResources=None)
    assert "dedicatedResources" in await refused(engine.create(DEPLOYMENT, nowhere))


async def test_an_endpoint_of_someone_else_is_named_or_refused(
    engine: Any, cloud: Endpoints, later: Any
) -> None:
    cloud.add(SHARED)
    inputs = await declared(engine, endpoint=SHARED)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    assert outputs["endpointCreated"] is False
    await (await later()).delete(DEPLOYMENT, id_, outputs, inputs)
    assert cloud.endpoints[SHARED]["deployedModels"] == []
    missing = await declared(engine, endpoint=f"{PLACE}/endpoints/8")
    assert "there is no" in await refused(engine.create(DEPLOYMENT, missing))
    _, made = await engine.create(DEPLOYMENT, await declared(engine), "made")
    cloud.endpoints[made["endpointName"]]["labels"] = {}
    assert "not ours" in await refused(engine.create(DEPLOYMENT, await declared(engine), "made"))


async def test_an_endpoint_on_which_others_are_deployed_is_kept(
    engine: Any, cloud: Endpoints, later: Any
) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    cloud.endpoints[outputs["endpointName"]]["deployedModels"].append({"id": "5", "model": f"{MODEL}@9"})
    engine = await later()
    await engine.delete(DEPLOYMENT, id_, outputs, inputs)
    assert [one["id"] for one in cloud.endpoints[outputs["endpointName"]]["deployedModels"]] == ["5"]
    assert any("others are deployed" in line for line in engine.lines)


async def test_a_forced_replacement_leaves_the_new_generation_serving(engine: Any, cloud: Endpoints) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(DEPLOYMENT, inputs)
    await engine.create(DEPLOYMENT, inputs)
    await engine.delete(DEPLOYMENT, id_, outputs, inputs)
    assert cloud.story == ["made", "deployed 2", 'traffic {"2": 100}']


async def test_an_import_by_id_is_clean_and_what_is_gone_is_forgotten(engine: Any, cloud: Endpoints) -> None:
    cloud.add(SHARED)
    program = await declared(engine, endpoint=SHARED, displayName="served")
    id_, _ = await engine.create(DEPLOYMENT, program)
    read_id, outputs, inputs = await engine.read(DEPLOYMENT, id_, {}, {})
    checked, problems = await engine.check(DEPLOYMENT, inputs)
    assert (read_id, problems) == (id_, {})
    assert checked == program
    assert await engine.diff(DEPLOYMENT, read_id, outputs, inputs, checked) == ({}, False)
    assert (await engine.read(DEPLOYMENT, f"{SHARED}/deployedModels/1", {}, {}))[0] == ""
    cloud.endpoints[SHARED]["deployedModels"] = []
    assert (await engine.read(DEPLOYMENT, id_, outputs, inputs))[0] == ""
    del cloud.endpoints[SHARED]
    assert (await engine.read(DEPLOYMENT, id_, outputs, inputs))[0] == ""


KEY = "projects/acme/locations/europe-west4/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("changes", "property_", "word"),
    [
        ({"model": MODEL}, "model", "pinned"),
        ({"model": f"{MODEL}@prod"}, "model", "alias moves"),
        ({"model": "projects/acme/locations/europe-west4/models/m@1"}, "model", "ModelVersion"),
        ({"endpoint": "7"}, "endpoint", "pattern"),
        ({"endpoint": "projects/a/locations/europe-west4/endpoints/7"}, "endpoint", "not in us-central1"),
        ({"traffic": 101}, "traffic", "100"),
        ({"automaticResources": {}}, "automaticResources", "give one of"),
        ({"dedicatedResources": None, "traffic": 10}, "traffic", "shared adapter"),
        ({"dedicatedResources": None, "endpoint": SHARED}, "endpoint", "shared adapter"),
        (
            {"dedicatedResources": {**DEDICATED, "minReplicaCount": 0}},
            "dedicatedResources.minReplicaCount",
            "1",
        ),
        (
            {"dedicatedResources": {**DEDICATED, "minReplicaCount": 3, "maxReplicaCount": 2}},
            "dedicatedResources",
            "below",
        ),
        ({"dedicatedResources": {**DEDICATED, "machineSpec": {}}}, "dedicatedResources", "machineType"),
        (
            {"dedicatedResources": {**DEDICATED, "machineSpec": {"machineType": "m", "acceleratorCount": 1}}},
            "dedicatedResources",
            "acceleratorType",
        ),
        ({"endpoint": SHARED, "labels": {"a": "b"}}, "labels", "exists"),
        ({"encryptionSpec": {"kmsKeyName": KEY}}, "encryptionSpec.kmsKeyName", "us-central1"),
        ({"serviceAccount": "me"}, "serviceAccount", "pattern"),
    ],
)
async def test_what_google_would_refuse_is_a_problem_of_its_property(
    engine: Any, changes: dict[str, Any], property_: str, word: str
) -> None:
    inputs = {"location": "us-central1", "model": f"{MODEL}@2", "dedicatedResources": DEDICATED, **changes}
    _, problems = await engine.check(DEPLOYMENT, {k: v for k, v in inputs.items() if v is not None})
    assert list(problems) == [property_]
    assert word in problems[property_]
