"""The provider as a plugin: its process, its handshake, its schema, its words to what it does not offer."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

import tunestack.provider.plugin
from tunestack.provider import program, values
from tunestack.provider.configuration import Configuration
from tunestack.provider.custom_job_inputs import CustomJobInputs
from tunestack.provider.deployment_inputs import DeploymentInputs
from tunestack.provider.evaluation import EvaluationInputs
from tunestack.provider.inputs import Inputs
from tunestack.provider.model_version_inputs import ModelVersionInputs
from tunestack.provider.pipeline_job_inputs import PipelineJobInputs
from tunestack.provider.quota_grant_inputs import GrantInputs
from tunestack.provider.registry import RESOURCES
from tunestack.provider.tuning_job_inputs import TuningJobInputs
from tunestack.provider.values import Secret, decode, encode

PLUGIN = Path(next(iter(tunestack.provider.plugin.__path__)))


async def start_plugin(*arguments: str) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PLUGIN),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


async def test_the_port_is_all_that_the_plugin_prints_and_a_signal_ends_it() -> None:
    process, port = await start_plugin("127.0.0.1:9")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        answer = await stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:9"))
        assert answer.accept_secrets
        assert (await stub.GetPluginInfo(empty_pb2.Empty())).version == "0.1.0"
        await stub.Cancel(empty_pb2.Empty())
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def test_the_plugin_does_not_outlive_the_engine_that_started_it() -> None:
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, sys.argv[1], '127.0.0.1:9'], "
        "stdout=subprocess.PIPE); print(int(p.stdout.readline()), flush=True); import time; time.sleep(60)"
    )
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(PLUGIN), stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    port = int(await engine.stdout.readline())
    engine.kill()
    await engine.wait()
    while await listens(port):
        await asyncio.sleep(0.1)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_an_engine_that_attaches_does_not_inherit_a_cancellation(engine: Any, vertex: Any) -> None:
    inputs = {
        "location": "us-central1",
        "displayName": "d",
        "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
        "parameterValues": {},
        "gcsOutputDirectory": "gs://acme-pipelines",
    }
    await engine.cancel()
    await engine.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:9"))
    checked, _ = await engine.check("tunestack:vertex:PipelineJob", inputs)
    _, outputs = await engine.create("tunestack:vertex:PipelineJob", checked)
    assert outputs["state"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Invoke", provider_pb2.InvokeRequest(tok="tunestack:vertex:getJob")),
        ("Construct", provider_pb2.ConstructRequest(type="tunestack:vertex:Thing")),
        ("Call", provider_pb2.CallRequest(tok="tunestack:vertex:Thing/run")),
        ("Parameterize", provider_pb2.ParameterizeRequest()),
    ],
)
async def test_what_is_not_offered_is_refused_by_name(engine: Any, method: str, request_: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(engine.stub, method)(request_)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "there" in str(caught.value.details()) or "cannot" in str(caught.value.details())


async def test_an_unknown_resource_and_a_missing_configuration_are_named(new_engine: Any) -> None:
    engine = await new_engine()
    for type_, word in (
        ("tunestack:vertex:TuneJob", "PipelineJob"),
        ("tunestack:vertex:Evaluation", "configured"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await engine.check(type_, {})
        assert word in str(caught.value.details())


@pytest.mark.parametrize(
    ("args", "property_"),
    [
        ({"endpoint": "http://example.com"}, "endpoint"),
        ({"endpoint": "127.0.0.1:8571"}, "endpoint"),
        ({"projekt": "x"}, "projekt"),
        ({"project": "Not A Project"}, "project"),
    ],
)
async def test_a_wrong_configuration_is_an_error_of_its_property(
    new_engine: Any, args: dict[str, str], property_: str
) -> None:
    engine = await new_engine()
    answer = await engine.stub.CheckConfig(
        provider_pb2.CheckRequest(urn="u", news=encode({**args, "version": "1"}))
    )
    assert [failure.property for failure in answer.failures] == [property_]


async def test_a_token_in_the_configuration_becomes_a_secret(new_engine: Any) -> None:
    engine = await new_engine()
    answer = await engine.stub.CheckConfig(
        provider_pb2.CheckRequest(urn="u", news=encode({"accessToken": "t"}))
    )
    assert decode(answer.inputs) == {"accessToken": Secret("t")}


async def test_the_schema_the_models_and_the_python_classes_say_the_same(engine: Any) -> None:
    schema = json.loads((await engine.stub.GetSchema(provider_pb2.GetSchemaRequest())).schema)
    models: dict[str, type[Inputs]] = {
        "tunestack:vertex:PipelineJob": PipelineJobInputs,
        "tunestack:vertex:TuningJob": TuningJobInputs,
        "tunestack:vertex:CustomJob": CustomJobInputs,
        "tunestack:vertex:Evaluation": EvaluationInputs,
        "tunestack:vertex:ModelVersion": ModelVersionInputs,
        "tunestack:vertex:Deployment": DeploymentInputs,
        "tunestack:quota:Grant": GrantInputs,
    }
    assert schema["resources"].keys() == {cls.token for cls in RESOURCES} == models.keys()
    assert schema["provider"]["inputProperties"].keys() == aliases(Configuration)
    for cls in RESOURCES:
        described, model = schema["resources"][cls.token], models[cls.token]
        assert described["inputProperties"].keys() == aliases(model)
        required = {str(field.alias) for field in model.model_fields.values() if field.is_required()}
        # The provider's project stands in for the resource's.
        assert set(described["requiredInputs"]) == required - {"project"}
        assert described["properties"].keys() == aliases(model) | set(cls.computed)
        python = getattr(program, cls.token.rsplit(":", 1)[1]).__init__.__annotations__
        assert python.keys() - {"resource_name", "opts", "return"} == model.model_fields.keys()


def aliases(model: type[Inputs]) -> set[str]:
    return {str(field.alias) for field in model.model_fields.values()}


def test_the_constants_of_the_wire_are_pulumis() -> None:
    assert rpc._special_sig_key == values.SIGNATURE_KEY
    assert rpc._special_secret_sig == values.SECRET
    assert rpc._special_resource_sig == values.RESOURCE
    assert rpc._special_output_value_sig == values.OUTPUT_VALUE
    assert rpc._special_asset_sig == values.ASSET
    assert rpc._special_archive_sig == values.ARCHIVE
    assert rpc.UNKNOWN == values.UNKNOWN_TEXT


def test_a_recorded_secret_of_the_real_engine_is_read() -> None:
    recorded = {
        "password": {
            "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
            "value": "SECRET",
        },
        "label": "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "size": 3.0,
    }
    properties = decode(ParseDict(recorded, Struct()))
    assert properties == {"password": Secret("SECRET"), "label": values.UNKNOWN, "size": 3}
    assert encode(properties) == ParseDict(recorded, Struct())
