"""The typed resources in a Pulumi program, under Pulumi's own mocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, settings, stack
from pydantic.alias_generators import to_camel, to_snake

from tunestack.provider import Deployment, Evaluation, Grant, ModelVersion, PipelineJob, Provider
from tunestack.provider.declaring import wire_name

RULE = {"set": "plain", "metric": "accuracy", "at_least": 0.85}


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.inputs: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.inputs[args.typ] = dict(args.inputs)
        outputs = {
            "endpoint": "projects/p/locations/l/endpoints/e",
            "durationSeconds": 81.5,
            "verdict": "PASS",
        }
        return f"{args.name}-id", {**args.inputs, **outputs, "tuning": {"best_step": 60, "bestStep": 61}}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        return {}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    # Pulumi keeps its monitor and options in globals; each program gets a loop and globals of its own.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    recorder = Recorder()
    mocks.set_mocks(recorder)
    yield recorder
    settings.reset_options()
    loop.close()
    asyncio.set_event_loop(None)


def run(program: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def whole() -> None:
        outputs = program()
        await asyncio.gather(*[keep(name, output) for name, output in outputs.items()])

    async def keep(name: str, output: pulumi.Output[Any]) -> None:
        found[name] = await output.future()

    asyncio.get_event_loop().run_until_complete(stack.run_pulumi_func(whole))
    return found


def test_snake_case_in_the_program_camel_case_on_the_wire_and_no_key_inside_renamed(
    recorder: Recorder,
) -> None:
    def program() -> dict[str, pulumi.Output[Any]]:
        provider = Provider("p", project="acme", endpoint="http://127.0.0.1:1", access_token="hush")
        job = PipelineJob(
            "job",
            location="us-central1",
            display_name="d",
            template_uri="https://us-kfp.pkg.dev/a/b/c/d",
            parameter_values={"train_steps": 90, "service_account": "inner", "nested": {"display_name": "x"}},
            gcs_output_directory="gs://b/d",
            identity={"dataset_digest": "1"},
            deletion_policy="DELETE",
            opts=pulumi.ResourceOptions(provider=provider),
        )
        evaluation = Evaluation(
            "judged",
            location="us-central1",
            endpoint=job.endpoint,
            base_model="publishers/google/models/text-bison@001",
            task="classification",
            labels=["a", "b"],
            held_out=[{"name": "plain", "uri": pulumi.Output.from_input("gs://b/x"), "digest": "0" * 64}],
            gate=[RULE],
            max_output_tokens=8,
            report_directory="gs://b/r",
            opts=pulumi.ResourceOptions(provider=provider),
        )
        return {"seconds": job.duration_seconds, "tuning": job.tuning, "verdict": evaluation.verdict}

    found = run(program)
    job = recorder.inputs["tunestack:vertex:PipelineJob"]
    assert job["parameterValues"] == {
        "train_steps": 90,
        "service_account": "inner",
        "nested": {"display_name": "x"},
    }
    assert job["identity"] == {"dataset_digest": "1"}
    assert job["deletionPolicy"] == "DELETE"
    assert "serviceAccount" not in job
    judged = recorder.inputs["tunestack:vertex:Evaluation"]
    assert judged["endpoint"] == "projects/p/locations/l/endpoints/e"
    assert judged["heldOut"] == [{"name": "plain", "uri": "gs://b/x", "digest": "0" * 64}]
    assert judged["gate"] == [{"set": "plain", "metric": "accuracy", "atLeast": 0.85}]
    assert recorder.inputs["pulumi:providers:tunestack"]["endpoint"] == "http://127.0.0.1:1"
    assert found == {"seconds": 81.5, "tuning": {"best_step": 60, "bestStep": 61}, "verdict": "PASS"}


def test_models_deployments_and_quotas_are_declared_alike(recorder: Recorder) -> None:
    def program() -> dict[str, pulumi.Output[Any]]:
        grant = Grant("quota", quota_id="Q", dimensions={"region": "us-central1"}, at_least=8)
        version = ModelVersion(
            "version",
            location="us-central1",
            source_model="projects/p/locations/us-central1/models/m@1",
            aliases=["prod"],
            spec_hash="0" * 32,
            opts=pulumi.ResourceOptions(depends_on=[grant]),
        )
        served = Deployment(
            "served",
            location="us-central1",
            model=version.source,
            dedicated_resources={"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1},
        )
        return {"at": served.deployed_model_id, "aliases": version.version_aliases}

    run(program)
    assert recorder.inputs["tunestack:quota:Grant"] == {
        "quotaId": "Q",
        "dimensions": {"region": "us-central1"},
        "atLeast": 8,
    }
    version = recorder.inputs["tunestack:vertex:ModelVersion"]
    assert (version["aliases"], version["specHash"]) == (["prod"], "0" * 32)
    served = recorder.inputs["tunestack:vertex:Deployment"]
    assert served["dedicatedResources"]["machineSpec"] == {"machineType": "n1-standard-4"}


def test_the_package_gives_nothing_else() -> None:
    import tunestack.provider

    with pytest.raises(AttributeError, match="Managr"):
        _ = tunestack.provider.Managr


def test_the_programs_names_are_the_providers() -> None:
    """The provider reads its inputs with pydantic's conversion, which a program does not load."""
    schema = json.loads(files("tunestack.provider").joinpath("schema.json").read_text())
    names = {name for resource in schema["resources"].values() for name in resource["inputProperties"]}
    assert {to_camel(to_snake(name)) for name in names} == names
    assert {wire_name(to_snake(name)) for name in names} == names
