"""ModelVersion over gRPC, in the engine's order, against a scripted model registry."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

VERSION = "tunestack:vertex:ModelVersion"
HERE = "projects/acme/locations/us-central1"
THERE = "projects/acme/locations/europe-west4"
SOURCE = f"{HERE}/models/tuned"
BY_NUMBER = "projects/123/locations/us-central1/models/tuned@2"
HASH = "0123456789abcdef0123456789abcdef"


class Registry:
    """Models with versions as Google keeps them: an alias is on one version, ``default`` always on one."""

    def __init__(self, vertex: Any) -> None:
        self.models: dict[str, dict[str, dict[str, Any]]] = {}
        self.copies = 0
        self.flips_default = False
        self.pending = 2
        self.fails = ""
        self.operations: dict[str, dict[str, Any]] = {}
        self._beyond = vertex.answer
        vertex.answer = self.answer

    def add(self, model: str, aliases: tuple[str, ...] = (), **more: Any) -> str:
        versions = self.models.setdefault(model, {})
        number = str(len(versions) + 1)
        versions[number] = {
            "name": model,
            "versionId": number,
            "versionAliases": [*aliases, *(["default"] if number == "1" else [])],
            "labels": {"tunestack-spec-hash": HASH},
            **more,
        }
        return number

    def aliases(self, model: str, version: str) -> set[str]:
        return set(self.models[model][version]["versionAliases"])

    def merge(self, model: str, version: str, wanted: list[str]) -> None:
        for alias in wanted:
            for number, other in self.models[model].items():
                if alias.lstrip("-") in other["versionAliases"] and (
                    not alias.startswith("-") or number == version
                ):
                    other["versionAliases"].remove(alias.lstrip("-"))
            if not alias.startswith("-"):
                self.models[model][version]["versionAliases"].append(alias)

    def version(self, name: str) -> dict[str, Any] | None:
        model, _, wanted = name.partition("@")
        for number, version in self.models.get(model, {}).items():
            if (wanted or "default") in (number, *version["versionAliases"]):
                return version
        return None

    def answer(self, method: str, path: str, query: Any, body: bytes) -> tuple[int, Any]:
        name = path.removeprefix("/v1/")
        given = json.loads(body) if body else {}
        if name in self.operations:
            operation = self.operations[name]
            operation["looks"] -= 1
            if operation["looks"] > 0:
                return 200, {"name": name, "done": False}
            if self.fails:
                return 200, {"name": name, "done": True, "error": {"code": 8, "message": self.fails}}
            operation["carry_out"]()
            return 200, {"name": name, "done": True, "response": {}}
        if "/models" not in name:
            return self._beyond(method, path, query, body)
        if name.endswith("/models:copy"):
            return self.copy(name.removesuffix("/models:copy"), given)
        if method == "GET" and name.endswith("/models"):
            found = [
                v
                for model, versions in self.models.items()
                if model.startswith(name)
                for v in versions.values()
            ]
            return 200, {"models": [v for v in found if "default" in v["versionAliases"]]}
        target, _, verb = name.partition(":")
        if verb == "listVersions" and target in self.models:
            return 200, {"models": list(self.models[target].values())}
        found = self.version(target)
        if found is None:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": f"{name} not found"}}
        model, number = found["name"], found["versionId"]
        if verb == "mergeVersionAliases":
            self.merge(model, number, given["versionAliases"])
        elif verb == "deleteVersion":
            del self.models[model][number]
            return 200, {"name": f"{HERE}/operations/d", "done": True, "response": {}}
        elif method == "DELETE":
            del self.models[model]
            return 200, {"name": f"{HERE}/operations/d", "done": True, "response": {}}
        elif method == "PATCH":
            found.update({key: given[key] for key in query["updateMask"][0].split(",")})
        return 200, found

    def copy(self, parent: str, given: dict[str, Any]) -> tuple[int, Any]:
        model = given.get("parentModel") or f"{parent}/models/{given['modelId']}"
        if "modelId" in given and (
            model in self.models or any(o["model"] == model for o in self.operations.values())
        ):
            return 409, {"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "the model exists"}}
        self.copies += 1
        operation = f"{parent}/operations/{self.copies}"
        state = {"done": False}

        def carry_out() -> None:
            if not state["done"]:
                state["done"] = True
                number = self.add(model, originalModelInfo={"model": given["sourceModel"]})
                if self.flips_default:
                    self.merge(model, number, ["default"])

        self.operations[operation] = {"looks": self.pending, "carry_out": carry_out, "model": model}
        return 200, {"name": operation, "done": False}

    def settle(self) -> None:
        for operation in self.operations.values():
            operation["carry_out"]()


@pytest.fixture
def registry(vertex: Any) -> Registry:
    registry = Registry(vertex)
    registry.add(SOURCE, ("dev",))
    registry.add(SOURCE)
    return registry


def forbid_aliases(method: str, path: str, answered: bool) -> int | None:
    return 403 if path.endswith(":mergeVersionAliases") and not answered else None


@pytest.fixture
def later(new_engine: Any, vertex: Any) -> Any:
    """The provider of the next command: it knows only what is in the state."""

    async def start() -> Any:
        engine = await new_engine()
        await engine.configure(project="acme", endpoint=vertex.endpoint)
        return engine

    return start


async def declared(engine: Any, **changes: Any) -> dict[str, Any]:
    inputs = {"location": "us-central1", "sourceModel": f"{SOURCE}@2", "aliases": ["prod"], **changes}
    checked, problems = await engine.check(VERSION, {k: v for k, v in inputs.items() if v is not None})
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


async def test_an_alias_a_label_and_a_description_are_put_on_the_version_and_the_default_stays(
    engine: Any, registry: Registry
) -> None:
    inputs = await declared(engine, labels={"team": "ml"}, description="passed on Monday")
    id_, outputs = await engine.create(VERSION, inputs)
    assert id_ == outputs["name"] == f"{SOURCE}@2"
    assert (outputs["versionId"], outputs["copied"], outputs["adopted"]) == ("2", False, True)
    assert outputs["versionAliases"] == ["prod"]
    assert outputs["defaultVersion"] == "1"
    version = registry.models[SOURCE]["2"]
    assert version["labels"] == {"tunestack-spec-hash": HASH, "team": "ml"}
    assert version["versionDescription"] == "passed on Monday"
    assert registry.aliases(SOURCE, "1") == {"dev", "default"}
    assert await engine.diff(VERSION, id_, outputs, inputs, inputs) == ({}, False)
    assert registry.copies == 0


async def test_an_alias_moves_and_the_delete_of_the_old_generation_leaves_it(
    engine: Any, registry: Registry
) -> None:
    first = await declared(engine, sourceModel=f"{SOURCE}@1")
    id_, outputs = await engine.create(VERSION, first)
    second = await declared(engine)
    changes, replace = await engine.diff(VERSION, id_, outputs, first, second)
    assert (changes, replace) == ({"sourceModel": "UPDATE_REPLACE"}, True)
    new_id, _ = await engine.create(VERSION, second)
    assert registry.aliases(SOURCE, "2") == {"prod"}
    await engine.delete(VERSION, id_, outputs, first)
    assert new_id == f"{SOURCE}@2"
    assert registry.aliases(SOURCE, "1") == {"dev", "default"}
    assert registry.aliases(SOURCE, "2") == {"prod"}


async def test_a_renamed_resource_keeps_its_alias(engine: Any, registry: Registry) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(VERSION, inputs, "old")
    await engine.create(VERSION, inputs, "new")
    await engine.delete(VERSION, id_, outputs, inputs, "old")
    assert registry.aliases(SOURCE, "2") == {"prod"}


async def test_two_resources_of_one_version_each_take_only_their_own_aliases_off(
    engine: Any, registry: Registry, later: Any
) -> None:
    inputs, other = await declared(engine), await declared(engine, aliases=["staging"])
    id_, outputs = await engine.create(VERSION, inputs, "one")
    _, kept = await engine.create(VERSION, other, "two")
    engine = await later()
    await engine.check(VERSION, other, "two")
    await engine.diff(VERSION, id_, kept, other, other, "two")
    await engine.delete(VERSION, id_, outputs, inputs, "one")
    assert registry.aliases(SOURCE, "2") == {"staging"}


async def test_aliases_labels_and_description_change_in_place(engine: Any, registry: Registry) -> None:
    old = await declared(engine, aliases=["prod", "best"], labels={"team": "ml"}, description="a")
    id_, outputs = await engine.create(VERSION, old)
    new = await declared(engine, aliases=["gold", "prod"], labels={"owner": "x"}, description=None)
    changes, replace = await engine.diff(VERSION, id_, outputs, old, new)
    assert not replace
    assert changes == {"aliases": "UPDATE", "labels": "UPDATE", "description": "DELETE"}
    preview = await engine.update(VERSION, id_, outputs, new, preview=True)
    assert preview["name"] == id_
    outputs = await engine.update(VERSION, id_, outputs, new)
    assert registry.aliases(SOURCE, "2") == {"prod", "gold"}
    assert outputs["versionAliases"] == ["gold", "prod"]
    version = registry.models[SOURCE]["2"]
    assert version["labels"] == {"tunestack-spec-hash": HASH, "owner": "x"}
    assert version["versionDescription"] == ""
    reordered = await declared(engine, aliases=["prod", "gold"], labels={"owner": "x"})
    assert await engine.diff(VERSION, id_, outputs, new, reordered) == ({}, False)


async def test_the_default_moves_only_when_asked(engine: Any, registry: Registry, later: Any) -> None:
    inputs = await declared(engine, default=True)
    id_, outputs = await engine.create(VERSION, inputs)
    assert registry.aliases(SOURCE, "2") == {"prod", "default"}
    assert outputs["defaultVersion"] == "2"
    assert registry.aliases(SOURCE, "1") == {"dev"}
    await (await later()).delete(VERSION, id_, outputs, inputs)
    assert registry.aliases(SOURCE, "2") == {"default"}


async def test_a_copy_to_another_region_keeps_the_hash_and_is_made_once(
    engine: Any, registry: Registry
) -> None:
    inputs = await declared(engine, location="europe-west4")
    id_, outputs = await engine.create(VERSION, inputs)
    assert id_ == f"{THERE}/models/tuned@1"
    assert (outputs["copied"], outputs["adopted"], outputs["state"]) == (True, False, "READY")
    assert outputs["source"] == f"{SOURCE}@2"
    assert "operation" not in outputs
    copy = registry.models[f"{THERE}/models/tuned"]["1"]
    assert copy["labels"]["tunestack-spec-hash"] == HASH
    assert copy["originalModelInfo"] == {"model": f"{SOURCE}@2"}
    again, found = await engine.create(VERSION, inputs)
    assert (again, found["adopted"], registry.copies) == (id_, True, 1)
    assert await engine.diff(VERSION, id_, outputs, inputs, inputs) == ({}, False)


async def test_the_next_version_of_a_copied_model_does_not_take_the_default_by_accident(
    engine: Any, registry: Registry
) -> None:
    first = await declared(engine, location="europe-west4", sourceModel=f"{SOURCE}@1")
    await engine.create(VERSION, first)
    registry.flips_default = True
    id_, outputs = await engine.create(VERSION, await declared(engine, location="europe-west4"))
    target = f"{THERE}/models/tuned"
    assert id_ == f"{target}@2"
    assert registry.aliases(target, "1") == {"default"}
    assert registry.aliases(target, "2") == {"prod"}
    assert outputs["defaultVersion"] == "1"
    assert any("moved to @2 unasked" in line for line in engine.lines)


async def test_a_copy_that_someone_made_under_another_name_is_adopted(
    engine: Any, registry: Registry
) -> None:
    registry.add(
        f"{THERE}/models/by-hand",
        originalModelInfo={"model": "projects/123/locations/us-central1/models/tuned@2"},
    )
    id_, outputs = await engine.create(VERSION, await declared(engine, location="europe-west4"))
    assert id_ == f"{THERE}/models/by-hand@1"
    assert (outputs["copied"], outputs["adopted"], registry.copies) == (True, True, 0)


async def test_nothing_is_put_under_a_model_of_another_origin_unless_it_is_named(
    engine: Any, registry: Registry
) -> None:
    registry.add(f"{THERE}/models/tuned")
    message = await refused(engine.create(VERSION, await declared(engine, location="europe-west4")))
    assert "exists and is no copy" in message
    assert "modelId" in message
    id_, _ = await engine.create(VERSION, await declared(engine, location="europe-west4", modelId="tuned"))
    assert id_ == f"{THERE}/models/tuned@2"


@pytest.mark.parametrize("next_version", [False, True])
@pytest.mark.parametrize("arrived", [False, True])
async def test_a_lost_answer_to_the_copy_is_looked_up_and_nothing_is_copied_twice(
    engine: Any, registry: Registry, vertex: Any, next_version: bool, arrived: bool
) -> None:
    if next_version:
        registry.add(f"{THERE}/models/tuned", originalModelInfo={"model": f"{SOURCE}@1"})
    lost = []

    def lose(method: str, path: str, answered: bool) -> None:
        if path.endswith(":copy") and answered == arrived and not lost:
            lost.append(path)
            if arrived:
                registry.settle()
            raise vertex.drop

    vertex.faults.append(lose)
    inputs = await declared(engine, location="europe-west4")
    create = engine.create(VERSION, inputs)
    if next_version and not arrived:
        # Nothing keeps the server from making two: surely not there, so it is said to have failed.
        assert "no answer" in await refused(create)
        id_, _ = await engine.create(VERSION, inputs)
    else:
        id_, _ = await create
    assert id_ == f"{THERE}/models/tuned@{2 if next_version else 1}"
    assert registry.copies == 1
    assert len(registry.models[f"{THERE}/models/tuned"]) == (2 if next_version else 1)


async def test_an_interrupted_copy_is_known_and_the_next_up_waits_for_the_same_one(
    engine: Any, registry: Registry, later: Any
) -> None:
    registry.pending = 50
    inputs = await declared(engine, location="europe-west4")
    failure = await partial(engine, engine.create(VERSION, inputs, timeout=20))
    assert failure.outputs["state"] == "COPYING"
    assert failure.id.startswith(f"{THERE}/models/tuned@unconfirmed-")
    changes, _ = await engine.diff(VERSION, failure.id, failure.outputs, inputs, inputs)
    assert changes == {"state": "UPDATE"}
    read = await partial(engine, engine.read(VERSION, failure.id, failure.outputs, inputs))
    assert "is being copied" in read.reasons[0]
    registry.pending = 1
    for operation in registry.operations.values():
        operation["looks"] = 1
    outputs = await engine.update(VERSION, failure.id, failure.outputs, inputs)
    assert (outputs["name"], outputs["state"]) == (f"{THERE}/models/tuned@1", "READY")
    assert registry.copies == 1
    await (await later()).delete(VERSION, failure.id, outputs, inputs)
    assert registry.aliases(f"{THERE}/models/tuned", "1") == {"default"}


async def test_a_copy_that_fails_leaves_nothing_behind_and_says_why(engine: Any, registry: Registry) -> None:
    registry.fails = "no capacity in europe-west4"
    inputs = await declared(engine, location="europe-west4")
    assert "no capacity" in await refused(engine.create(VERSION, inputs))
    registry.fails = ""
    registry.operations.clear()
    id_, _ = await engine.create(VERSION, inputs)
    assert id_ == f"{THERE}/models/tuned@1"


async def test_an_alias_that_cannot_be_set_on_a_finished_copy_keeps_the_copy(
    engine: Any, registry: Registry, vertex: Any
) -> None:
    vertex.faults.append(
        lambda m, path, answered: 403 if path.endswith(":mergeVersionAliases") and not answered else None
    )
    inputs = await declared(engine, location="europe-west4")
    failure = await partial(engine, engine.create(VERSION, inputs))
    assert failure.id == f"{THERE}/models/tuned@1"
    assert "PERMISSION" in failure.reasons[0] or "scripted" in failure.reasons[0]
    vertex.faults.clear()
    outputs = await engine.update(VERSION, failure.id, failure.outputs, inputs)
    assert outputs["versionAliases"] == ["default", "prod"]
    assert registry.copies == 1


async def test_an_alias_that_cannot_be_set_in_place_leaves_nothing_in_the_state(
    engine: Any, registry: Registry, vertex: Any
) -> None:
    vertex.faults.append(
        lambda m, path, answered: 403 if path.endswith(":mergeVersionAliases") and not answered else None
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await engine.create(VERSION, await declared(engine))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_drift_is_found_by_a_read_and_mended_by_the_next_up(engine: Any, registry: Registry) -> None:
    inputs = await declared(engine, labels={"team": "ml"}, default=True, description="d")
    id_, outputs = await engine.create(VERSION, inputs)
    assert (await engine.read(VERSION, id_, outputs, inputs))[2] == inputs
    registry.merge(SOURCE, "1", ["prod", "default"])
    registry.models[SOURCE]["2"]["labels"] = {"team": "else"}
    registry.models[SOURCE]["2"]["versionDescription"] = "changed by hand"
    _, read, found = await engine.read(VERSION, id_, outputs, inputs)
    changes, replace = await engine.diff(VERSION, id_, read, found, inputs)
    assert (changes, replace) == (
        {"aliases": "ADD", "labels": "UPDATE", "default": "UPDATE", "description": "UPDATE"},
        False,
    )
    await engine.update(VERSION, id_, read, inputs)
    assert registry.aliases(SOURCE, "2") == {"prod", "default"}
    assert registry.models[SOURCE]["2"]["labels"]["team"] == "ml"
    assert registry.models[SOURCE]["2"]["versionDescription"] == "d"


async def test_a_version_that_is_gone_is_forgotten_and_its_delete_is_fine(
    engine: Any, registry: Registry
) -> None:
    inputs = await declared(engine)
    id_, outputs = await engine.create(VERSION, inputs)
    del registry.models[SOURCE]["2"]
    assert (await engine.read(VERSION, id_, outputs, inputs))[0] == ""
    await engine.delete(VERSION, id_, outputs, inputs)
    assert "refresh" in await refused(engine.update(VERSION, id_, outputs, inputs))


@pytest.mark.parametrize("policy", ["ABANDON", "DELETE"])
@pytest.mark.parametrize("copied", [False, True])
async def test_a_delete_takes_the_alias_off_and_only_a_copy_that_is_to_be_deleted_away(
    engine: Any, registry: Registry, later: Any, policy: str, copied: bool
) -> None:
    place = "europe-west4" if copied else "us-central1"
    inputs = await declared(engine, location=place, deletionPolicy=policy)
    id_, outputs = await engine.create(VERSION, inputs)
    await (await later()).delete(VERSION, id_, outputs, inputs)
    model, _, number = id_.partition("@")
    if copied and policy == "DELETE":
        assert model not in registry.models
    else:
        assert "prod" not in registry.aliases(model, number)
    assert SOURCE in registry.models


async def test_one_version_of_several_is_deleted_alone(engine: Any, registry: Registry, later: Any) -> None:
    place = {"location": "europe-west4", "deletionPolicy": "DELETE"}
    await engine.create(VERSION, await declared(engine, **place, sourceModel=f"{SOURCE}@1"))
    inputs = await declared(engine, **place)
    id_, outputs = await engine.create(VERSION, inputs)
    await (await later()).delete(VERSION, id_, outputs, inputs)
    assert registry.models[f"{THERE}/models/tuned"].keys() == {"1"}


async def test_the_default_one_of_several_versions_is_not_deleted_and_it_is_said_why(
    engine: Any, registry: Registry, later: Any
) -> None:
    place = {"location": "europe-west4", "deletionPolicy": "DELETE"}
    old = await declared(engine, **place, sourceModel=f"{SOURCE}@1")
    id_, outputs = await engine.create(VERSION, old)
    new_id, _ = await engine.create(VERSION, await declared(engine, **place))
    message = await refused((await later()).delete(VERSION, id_, outputs, old))
    assert "default: true" in message
    registry.merge(f"{THERE}/models/tuned", "2", ["default"])
    await (await later()).delete(VERSION, id_, outputs, old)
    assert f"{THERE}/models/tuned@2" == new_id
    assert registry.models[f"{THERE}/models/tuned"].keys() == {"2"}


@pytest.mark.parametrize("copied", [False, True])
async def test_an_import_by_id_is_clean(engine: Any, registry: Registry, copied: bool) -> None:
    program = await declared(
        engine, location="europe-west4" if copied else "us-central1", labels={"team": "ml"}, description="d"
    )
    id_, _ = await engine.create(VERSION, program)
    read_id, outputs, inputs = await engine.read(VERSION, id_, {}, {})
    assert read_id == id_
    if copied:
        program = {**program, "default": True}
    checked, problems = await engine.check(VERSION, inputs)
    assert problems == {}
    assert checked == program
    assert await engine.diff(VERSION, read_id, outputs, inputs, checked) == ({}, False)
    assert (await engine.read(VERSION, f"{SOURCE}@9", {}, {}))[0] == ""


async def test_the_bytes_of_another_run_are_refused(engine: Any, registry: Registry) -> None:
    await engine.create(VERSION, await declared(engine, specHash=HASH))
    message = await refused(engine.create(VERSION, await declared(engine, specHash="f" * 32)))
    assert HASH in message
    assert "f" * 32 in message
    assert "there is no" in await refused(
        engine.create(VERSION, await declared(engine, sourceModel=f"{SOURCE}@7"))
    )


async def test_a_source_without_a_number_is_pinned_to_the_default_of_the_day(
    engine: Any, registry: Registry
) -> None:
    inputs = await declared(engine, sourceModel=SOURCE)
    id_, outputs = await engine.create(VERSION, inputs)
    assert (id_, outputs["source"]) == (f"{SOURCE}@1", f"{SOURCE}@1")
    registry.merge(SOURCE, "2", ["default"])
    await engine.update(VERSION, id_, outputs, inputs)
    assert "prod" in registry.aliases(SOURCE, "1")
    pinned = await declared(engine, sourceModel=f"{SOURCE}@1")
    assert await engine.diff(VERSION, id_, outputs, inputs, pinned) == ({"sourceModel": "UPDATE"}, False)
    other = await declared(engine, sourceModel=f"{SOURCE}@2")
    assert (await engine.diff(VERSION, id_, outputs, inputs, other))[1]


KEY = "projects/acme/locations/us-central1/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("changes", "property_", "word"),
    [
        ({"aliases": ["default"]}, "aliases", "default: true"),
        ({"aliases": ["Prod"]}, "aliases", "lowercase"),
        ({"aliases": ["7"]}, "aliases", "lowercase"),
        ({"aliases": ["p" * 129]}, "aliases", "lowercase"),
        ({"aliases": ["prod", "prod"]}, "aliases", "twice"),
        ({"sourceModel": f"{SOURCE}@dev"}, "sourceModel", "an alias moves"),
        ({"sourceModel": "tuned"}, "sourceModel", "full name"),
        ({"location": "europe"}, "location", "pattern"),
        ({"labels": {"tunestack-x": "y"}}, "labels", "set for you"),
        ({"labels": {"Team": "y"}}, "labels", "lowercase"),
        ({"labels": {"team": "Y"}}, "labels", "a-z"),
        ({"modelId": "9lives", "location": "europe-west4"}, "modelId", "pattern"),
        ({"modelId": "copy"}, "modelId", "leave it out"),
        ({"serviceAccount": "a@b"}, "serviceAccount", "leave it out"),
        (
            {"encryptionSpec": {"kmsKeyName": KEY}, "location": "europe-west4"},
            "encryptionSpec.kmsKeyName",
            "europe",
        ),
        ({"specHash": "abc"}, "specHash", "pattern"),
        ({"deletionPolicy": "KEEP"}, "deletionPolicy", "ABANDON"),
        ({"alias": ["x"]}, "alias", "aliases"),
    ],
)
async def test_what_the_registry_would_refuse_is_a_problem_of_its_property(
    engine: Any, changes: dict[str, Any], property_: str, word: str
) -> None:
    inputs = {"location": "us-central1", "sourceModel": f"{SOURCE}@2", **changes}
    _, problems = await engine.check(VERSION, inputs)
    assert list(problems) == [property_]
    assert word in problems[property_]
