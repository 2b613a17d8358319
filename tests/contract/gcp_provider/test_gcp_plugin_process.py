"""The plugin as an engine meets it: found, started, configured or refused, and gone afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tunestack.emulator.gcp_provider import values
from tunestack.emulator.gcp_provider.install import install
from tunestack.spec.errors import TunestackError

BUCKET = "gcp:storage/bucket:Bucket"


def started(plugin: Path, folder: Path) -> tuple[subprocess.Popen[str], int]:
    """The plugin as engines start it: its address as the argument, stdin closed, the port on the first line."""
    process = subprocess.Popen(
        [str(plugin), "127.0.0.1:1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_the_installed_plugin_says_its_port_answers_and_goes(tmp_path):
    import pulumi_gcp._utilities as sdk

    plugin = install(tmp_path / "home", Path(sys.executable))
    assert plugin == tmp_path / "home/plugins" / f"resource-gcp-v{sdk._version_str}" / "pulumi-resource-gcp"
    # A program's folder may hold modules of any name.
    (tmp_path / "tunestack.py").write_text("raise SystemExit('shadowed')")
    process, port = started(plugin, tmp_path)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        handshake = stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
        assert handshake.accept_secrets
        assert stub.GetPluginInfo(Empty()).version == sdk._version_str
        stub.Cancel(Empty())
        stub.Cancel(Empty())
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert (rest, process.returncode) == ("", 0)


def test_the_plugin_does_not_outlive_an_engine_that_was_killed(tmp_path):
    plugin = install(tmp_path, Path(sys.executable))
    script = f"{shlex.quote(str(plugin))} 127.0.0.1:1 & echo $!; wait"
    engine = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    child = psutil.Process(int(engine.stdout.readline()))
    engine.stdout.readline()
    assert child.is_running()
    engine.kill()
    engine.wait()
    child.wait(timeout=20)


def test_installing_twice_leaves_one_plugin_and_another_python_takes_its_place(tmp_path):
    first = install(tmp_path, Path("/usr/bin/python-one"))
    before = first.stat().st_mtime_ns
    assert install(tmp_path, Path("/usr/bin/python-one")).stat().st_mtime_ns == before
    assert "/usr/bin/python-two" in install(tmp_path, Path("/usr/bin/python-two")).read_text()
    assert [entry.name for entry in first.parent.iterdir()] == ["pulumi-resource-gcp"]
    assert os.access(first, os.X_OK)


def test_a_real_plugin_is_never_replaced(tmp_path):
    plugin = install(tmp_path, Path(sys.executable))
    plugin.write_bytes(b"\x7fELF the real one")
    with pytest.raises(TunestackError, match="another PULUMI_HOME"):
        install(tmp_path, Path(sys.executable))
    assert plugin.read_bytes() == b"\x7fELF the real one"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"storageCustomEndpoint": "https://storage.googleapis.com/storage/v1/"}, "is not on loopback"),
        ({"vertexAiCustomEndpoint": "http://10.0.0.1:8571/v1/"}, "is not on loopback"),
        # An endpoint of a service that the stand-in does not serve counts as well.
        ({"computeCustomEndpoint": "https://compute.example.org/"}, "is not on loopback"),
        ({"storageCustomEndpoint": "http://127.0.0.1:8571/storage/v1"}, "must end with a slash"),
    ],
)
async def test_an_endpoint_that_is_not_on_loopback_is_refused(bare_engine, settings, change, reason):
    with pytest.raises(Exception, match=f"^{next(iter(change))}: .*{reason}"):
        await bare_engine.configure({**settings, **change})


async def test_a_provider_without_endpoints_is_told_what_this_is_and_how_to_get_the_real_one(bare_engine):
    with pytest.raises(Exception, match=r"stand-in.*pulumi plugin install resource gcp 10\.\d"):
        await bare_engine.configure({"project": "p", "version": "10.2.0"})


async def test_a_missing_endpoint_is_named_when_a_resource_needs_it(bare_engine, settings):
    del settings["vertexAiCustomEndpoint"]
    await bare_engine.configure(settings)
    with pytest.raises(Exception, match="needs the provider's vertexAiCustomEndpoint"):
        await bare_engine.check("gcp:vertex/aiTensorboard:AiTensorboard", "x", {"displayName": "x"})


async def test_an_emulator_that_does_not_run_is_said_so_with_the_command(bare_engine, settings):
    await bare_engine.configure({**settings, "storageCustomEndpoint": "http://127.0.0.1:1/storage/v1/"})
    with pytest.raises(grpc.aio.AioRpcError, match="tunestack emulator start"):
        await bare_engine.up(BUCKET, "data", location="EU")


async def test_a_type_that_is_not_served_is_named_beside_those_that_are(engine):
    with pytest.raises(Exception, match=r"gcp:compute/instance:Instance is not served(.|\n)*storage/bucket"):
        await engine.check("gcp:compute/instance:Instance", "vm", {})


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "location: is required"),
        ({"location": "EU", "lable": {}}, "lable: is no input here; there are .*labels"),
        ({"location": "EU", "selfLink": "x"}, "selfLink: is no input"),
        ({"location": "EU", "labels": {"a": 1}}, "labels.a: must be a text, not 1"),
        (
            {"location": "EU", "versioning": {"enabled": "yes"}},
            r"versioning.enabled: must be a boolean, not 'yes'",
        ),
        ({"location": "EU", "publicAccessPrevention": "on"}, "must be one of inherited, enforced, not 'on'"),
        (
            {"location": "EU", "lifecycleRules": [{"action": {}, "condition": {"age": "old"}}]},
            r"lifecycleRules\[0\].action.type: is required; .*lifecycleRules\[0\].condition.age: must be an integer",
        ),
    ],
)
async def test_wrong_inputs_are_all_named_with_their_place(engine, inputs, reason):
    with pytest.raises(Exception, match=reason):
        await engine.check(BUCKET, "data", inputs)


async def test_unknowns_of_a_preview_pass_and_count_as_changes(engine):
    inputs = {"location": "EU", "labels": {"a": values.UNKNOWN}}
    planned = await engine.preview(BUCKET, "data", **inputs)
    assert planned["labels"] == {"a": values.UNKNOWN}
    await engine.up(BUCKET, "data", location="EU", labels={"a": "b"})
    assert await engine.diff("data", await engine.check(BUCKET, "data", inputs)) == {"labels": "update"}
    named = await engine.check(BUCKET, "data", {"location": "EU", "name": values.UNKNOWN})
    assert (await engine.diff("data", named))["name"] == "update-replace"
    member = {"bucket": values.UNKNOWN, "role": "roles/viewer", "member": values.UNKNOWN}
    assert await engine.preview("gcp:storage/bucketIAMMember:BucketIAMMember", "m", **member)


async def test_a_resource_whose_reading_back_fails_is_kept_and_finished_by_the_next_up(engine, google):
    """From the creating request on, the id must reach the state whatever happens."""
    fault = {"method": "storage.buckets.get", "times": 1, "status": 403}
    assert (await google.post("/_local/faults", json=fault)).is_success
    checked = await engine.check(BUCKET, "data", {"location": "EU"})
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await engine.create(BUCKET, "data", checked)
    partial = initialization_error(failed.value)
    assert partial.id == values.read(checked).values["name"]
    assert "403" in partial.reasons[0]
    update = provider_pb2.UpdateRequest(
        id=partial.id,
        urn=f"urn:pulumi:test::tests::{BUCKET}::data",
        olds=partial.properties,
        news=checked,
    )
    assert "selfLink" in (await engine.stub.Update(update)).properties


def initialization_error(error: grpc.aio.AioRpcError) -> provider_pb2.ErrorResourceInitFailed:
    from google.rpc.status_pb2 import Status

    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    partial = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(partial)
    return partial


async def test_the_project_can_be_looked_up(engine, project):
    request = provider_pb2.InvokeRequest(tok="gcp:organizations/getProject:getProject", args=values.write({}))
    answer = values.read(getattr(await engine.stub.Invoke(request), "return")).values
    assert answer["projectId"] == project
    assert answer["number"].isdigit()
    with pytest.raises(grpc.aio.AioRpcError, match="getZones is not served"):
        await engine.stub.Invoke(provider_pb2.InvokeRequest(tok="gcp:compute/getZones:getZones"))
