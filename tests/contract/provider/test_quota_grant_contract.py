"""Grant over gRPC, in the engine's order, against a scripted Cloud Quotas."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from tunestack.provider.values import Secret

GRANT = "tunestack:quota:Grant"
QUOTA = "CustomModelTrainingA10080GBGPUsPerProjectPerRegion"
METRIC = "aiplatform.googleapis.com/custom_model_training_nvidia_a100_80gb_gpus"
SERVICE = "aiplatform.googleapis.com"
PARENT = "projects/acme/locations/global"
PREFERENCES = f"{PARENT}/quotaPreferences"
REGION = {"region": "us-central1"}
ASK = {"request": True, "contactEmail": "ml@acme.example", "justification": "tuning in the EU"}


class Quotas:
    """One quota by region, and what people decide: ``decide(asked)`` gives what is granted, None while they think."""

    def __init__(self, vertex: Any) -> None:
        self.granted = {"us-central1": 0, "europe-west4": 16}
        self.preferences: dict[str, dict[str, Any]] = {}
        self.decide: Callable[[int], int | None] = lambda asked: asked
        self.asked: list[dict[str, Any]] = []
        self.fixed = False
        self._beyond = vertex.answer
        vertex.answer = self.answer

    def info(self) -> dict[str, Any]:
        def of(region: str, value: int) -> dict[str, Any]:
            return {
                "dimensions": {"region": region},
                "details": {"value": str(value)},
                "applicableLocations": [region],
            }

        return {
            "quotaId": QUOTA,
            "metric": METRIC,
            "dimensions": ["region"],
            "isFixed": self.fixed,
            "dimensionsInfos": [of(region, value) for region, value in self.granted.items()],
        }

    def answer(self, method: str, path: str, query: Any, body: bytes) -> tuple[int, Any]:
        name, given = path.removeprefix("/v1/"), json.loads(body) if body else {}
        if name == f"{PARENT}/services/{SERVICE}/quotaInfos":
            return 200, {"quotaInfos": [{"quotaId": "Other", "metric": "x/y"}, self.info()]}
        if name == f"{PARENT}/services/{SERVICE}/quotaInfos/{QUOTA}":
            return 200, self.info()
        if name == PREFERENCES and method == "GET":
            return 200, {"quotaPreferences": list(self.preferences.values())}
        if name == PREFERENCES:
            name = f"{PREFERENCES}/{query['quotaPreferenceId'][0]}"
            if self.preferences:
                return 409, {"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "there is one"}}
        elif method == "GET" and name in self.preferences:
            self.settle(self.preferences[name])
            return 200, self.preferences[name]
        elif name not in self.preferences:
            return self._beyond(method, path, query, body)
        self.asked.append(given)
        row = {**self.preferences.get(name, {}), **given, "name": name, "etag": "e", "reconciling": True}
        row["quotaConfig"] = {**given["quotaConfig"], "grantedValue": "0", "stateDetail": "under review"}
        del row["contactEmail"]
        self.preferences[name] = row
        return 200, row

    def settle(self, row: dict[str, Any]) -> None:
        decided = self.decide(int(row["quotaConfig"]["preferredValue"]))
        if decided is not None:
            row["reconciling"] = False
            row["quotaConfig"] |= {"grantedValue": str(decided), "stateDetail": f"decided: {decided}"}
            self.granted[row["dimensions"]["region"]] = decided


@pytest.fixture
def quotas(vertex: Any) -> Quotas:
    return Quotas(vertex)


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs = {"quotaId": QUOTA, "dimensions": REGION, "atLeast": 8, **changes}
    checked, problems = await engine.check(GRANT, {k: v for k, v in inputs.items() if v is not None})
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


@pytest.mark.parametrize("name", [{}, {"quotaId": None, "metric": METRIC}])
async def test_what_is_granted_is_verified_and_nothing_is_asked(
    engine: Any, quotas: Quotas, name: dict[str, Any]
) -> None:
    inputs = await declared(engine, dimensions={"region": "europe-west4"}, **name)
    id_, outputs = await engine.create(GRANT, inputs)
    assert id_ == f"{PARENT}/services/{SERVICE}/quotaInfos/{QUOTA}?region=europe-west4"
    assert outputs["granted"] == 16
    assert await engine.diff(GRANT, id_, outputs, inputs, inputs) == ({}, False)
    await engine.delete(GRANT, id_, outputs, inputs)
    assert any("withdraws nothing" in line for line in engine.lines)
    assert quotas.asked == []


async def test_what_is_missing_is_red_and_names_have_need_and_the_way(engine: Any, quotas: Quotas) -> None:
    message = await refused(engine.create(GRANT, await declared(engine)))
    assert "have 0, need 8" in message
    assert "console.cloud.google.com/iam-admin/quotas?project=acme" in message
    assert (
        "gcloud beta quotas preferences create --service=aiplatform.googleapis.com --project=acme "
        f"--quota-id={QUOTA} --preferred-value=8 --dimensions=region=us-central1"
    ) in message
    assert quotas.asked == []


async def test_a_request_is_filed_once_and_waited_for(engine: Any, quotas: Quotas) -> None:
    looks = iter([None, None, None, 8])
    quotas.decide = lambda asked: next(looks)
    inputs = await declared(engine, **ASK)
    id_, outputs = await engine.create(GRANT, inputs)
    assert (outputs["granted"], outputs["reconciling"]) == (8, False)
    assert quotas.asked == [
        {
            "service": SERVICE,
            "quotaId": QUOTA,
            "dimensions": REGION,
            "quotaConfig": {"preferredValue": "8"},
            "contactEmail": "ml@acme.example",
            "justification": "tuning in the EU",
        }
    ]
    assert await engine.diff(GRANT, id_, outputs, inputs, inputs) == ({}, False)


async def test_a_request_under_review_at_the_deadline_is_red_and_never_asked_again(
    engine: Any, quotas: Quotas
) -> None:
    quotas.decide = lambda asked: None
    inputs = await declared(engine, **ASK)
    failure = await partial(engine, engine.create(GRANT, inputs, timeout=100))
    assert "under review" in failure.reasons[0]
    assert "have 0, need 8" in failure.reasons[0]
    assert failure.outputs["reconciling"] is True
    changes, replace = await engine.diff(GRANT, failure.id, failure.outputs, inputs, inputs)
    assert (changes, replace) == ({"granted": "UPDATE"}, False)
    read = await partial(engine, engine.read(GRANT, failure.id, failure.outputs, inputs))
    assert "have 0" in read.reasons[0]
    quotas.decide = lambda asked: asked
    outputs = await engine.update(GRANT, failure.id, failure.outputs, inputs)
    assert outputs["granted"] == 8
    assert len(quotas.asked) == 1


@pytest.mark.parametrize("granted", [0, 4])
async def test_a_request_that_is_refused_or_granted_in_part_is_red(
    engine: Any, quotas: Quotas, granted: int
) -> None:
    quotas.decide = lambda asked: granted
    failure = await partial(engine, engine.create(GRANT, await declared(engine, **ASK)))
    assert f"have {granted}, need 8" in failure.reasons[0]
    assert f"Google granted {granted} of the 8 asked for (decided: {granted})" in failure.reasons[0]
    inputs = await declared(engine, **ASK, atLeast=16)
    failure = await partial(engine, engine.update(GRANT, failure.id, failure.outputs, inputs))
    assert [asked["quotaConfig"]["preferredValue"] for asked in quotas.asked] == ["8", "16"]
    assert len(quotas.preferences) == 1


async def test_a_preference_that_someone_filed_is_taken_over(engine: Any, quotas: Quotas) -> None:
    quotas.preferences[f"{PREFERENCES}/by-hand"] = {
        "name": f"{PREFERENCES}/by-hand",
        "service": SERVICE,
        "quotaId": QUOTA,
        "dimensions": REGION,
        "reconciling": True,
        "quotaConfig": {"preferredValue": "32", "grantedValue": "0"},
    }
    _, outputs = await engine.create(GRANT, await declared(engine, **ASK))
    assert outputs["preference"] == f"{PREFERENCES}/by-hand"
    assert (outputs["granted"], quotas.asked) == (32, [])


async def test_a_lost_answer_to_the_request_asks_for_nothing_twice(
    engine: Any, quotas: Quotas, vertex: Any
) -> None:
    lost = []

    def lose(method: str, path: str, answered: bool) -> None:
        if method == "POST" and answered and not lost:
            lost.append(path)
            raise vertex.drop

    vertex.faults.append(lose)
    _, outputs = await engine.create(GRANT, await declared(engine, **ASK))
    assert (outputs["granted"], len(quotas.asked), len(lost)) == (8, 1, 1)


async def test_a_quota_that_shrinks_is_drift_and_red(engine: Any, quotas: Quotas) -> None:
    inputs = await declared(engine, dimensions={"region": "europe-west4"})
    id_, outputs = await engine.create(GRANT, inputs)
    assert (await engine.read(GRANT, id_, outputs, inputs))[2] == inputs
    quotas.granted["europe-west4"] = 4
    failure = await partial(engine, engine.read(GRANT, id_, outputs, inputs))
    changes, _ = await engine.diff(GRANT, id_, failure.outputs, inputs, inputs)
    assert changes == {"granted": "UPDATE"}
    assert "have 4, need 8" in await refused(engine.update(GRANT, id_, failure.outputs, inputs))


async def test_a_quota_that_cannot_grow_is_not_asked_for(engine: Any, quotas: Quotas) -> None:
    quotas.fixed = True
    assert "its value is fixed" in await refused(engine.create(GRANT, await declared(engine, **ASK)))
    assert quotas.asked == []


async def test_what_is_not_there_is_named(engine: Any, quotas: Quotas) -> None:
    assert "no quota NoSuchQuota" in await refused(
        engine.create(GRANT, await declared(engine, quotaId="NoSuchQuota"))
    )
    other = await declared(engine, quotaId=None, metric="a.b/c")
    assert "metric a.b/c" in await refused(engine.create(GRANT, other))
    elsewhere = await declared(engine, dimensions={"region": "asia-east1"})
    assert "no value for region=asia-east1" in await refused(engine.create(GRANT, elsewhere))


async def test_another_quota_is_another_grant_and_another_need_is_not(engine: Any, quotas: Quotas) -> None:
    old = await declared(engine, dimensions={"region": "europe-west4"})
    id_, outputs = await engine.create(GRANT, old)
    more = await declared(engine, dimensions={"region": "europe-west4"}, atLeast=12)
    assert await engine.diff(GRANT, id_, outputs, old, more) == ({"atLeast": "UPDATE"}, False)
    assert (await engine.diff(GRANT, id_, outputs, old, await declared(engine)))[1]


async def test_an_import_by_id_is_clean(engine: Any, quotas: Quotas) -> None:
    id_ = f"{PARENT}/services/{SERVICE}/quotaInfos/{QUOTA}?region=europe-west4"
    read_id, outputs, inputs = await engine.read(GRANT, id_, {}, {})
    checked, problems = await engine.check(GRANT, inputs)
    assert (read_id, problems) == (id_, {})
    assert checked["atLeast"] == 16
    assert await engine.diff(GRANT, id_, outputs, inputs, checked) == ({}, False)
    assert "is no grant" in await refused(engine.read(GRANT, "quota", {}, {}))


async def test_a_secret_address_stays_secret_in_the_outputs(engine: Any, quotas: Quotas) -> None:
    inputs = await declared(engine, **{**ASK, "contactEmail": Secret("ml@acme.example")})
    _, outputs = await engine.create(GRANT, inputs)
    assert outputs["contactEmail"] == Secret("ml@acme.example")
    assert quotas.asked[0]["contactEmail"] == "ml@acme.example"


@pytest.mark.parametrize(
    ("changes", "property_", "word"),
    [
        ({"quotaId": None}, "quotaId", "quotaId or metric"),
        ({"metric": METRIC}, "quotaId", "not both"),
        ({"atLeast": -2}, "atLeast", "-1"),
        ({"atLeast": 1.5}, "atLeast", "integer"),
        ({"dimensions": {"region": "here"}}, "dimensions", "no region"),
        ({"dimensions": {"user": "me"}}, "dimensions", "cannot be chosen"),
        ({"service": "vertex"}, "service", "pattern"),
        ({**ASK, "contactEmail": None}, "contactEmail", "required"),
        ({**ASK, "justification": None}, "justification", "required"),
        ({**ASK, "contactEmail": "me"}, "contactEmail", "pattern"),
    ],
)
async def test_a_wrong_grant_is_a_problem_of_its_property(
    engine: Any, changes: dict[str, Any], property_: str, word: str
) -> None:
    inputs = {"quotaId": QUOTA, "dimensions": REGION, "atLeast": 8, **changes}
    _, problems = await engine.check(GRANT, {k: v for k, v in inputs.items() if v is not None})
    assert list(problems) == [property_]
    assert word in problems[property_]
