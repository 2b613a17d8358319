"""The recorded runs of Pulumi's own engine, played again on the embedded one."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

Project = Any  # of conftest.py, which cannot be imported

TRACES = Path(__file__).parent / "traces"
PROGRAM = """
print("program cwd PROJECT sys.path0", sys.path[0])
config = pulumi.Config()
size = config.require("size")
a = Thing("a", label="fixed", size="small")
b = Thing("b", label=a.state.apply(lambda state: f"after-{state}"), size=size)
if config.require_int("count") >= 3:
    Thing("c", label=config.require("label"), size=size, password=pulumi.Output.secret("SECRET"),
          opts=ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="90s")))
pulumi.export("a_state", a.state)
pulumi.export("regions", config.require_object("regions"))
"""
STAGES = (
    ("create", {"count": 3, "label": "l1", "size": "small"}),
    ("nochange", {"count": 3, "label": "l1", "size": "small"}),
    ("update", {"count": 3, "label": "l2", "size": "small"}),
    ("replace", {"count": 3, "label": "l2", "size": "large"}),
    ("delete", {"count": 2, "label": "l2", "size": "large"}),
)
KEPT = {"name", "type", "urn", "news", "olds", "oldInputs", "properties", "preview", "id", "timeout", "args"}
KEPT |= {"variables", "inputs"}


def recorded(name: str) -> Any:
    return json.loads((TRACES / f"{name}.json").read_text())


def shortened(value: Any) -> Any:
    """Random ids and moments of time without what is random about them."""
    if isinstance(value, str):
        value = re.sub(r"(things/\w+)-[0-9a-f]{6}", r"\1-*", value)
        value = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "<uuid>", value)
        return re.sub(r"^20\d\d-\d\d-\d\dT[\d:.]+Z$", "<time>", value)
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    return [shortened(item) for item in value] if isinstance(value, list) else value


def calls(project: Project) -> list[dict[str, Any]]:
    result = []
    for call in project.recorded():
        if call["method"] not in ("Handshake", "GetPluginInfo"):
            request = {key: value for key, value in call["request"].items() if key in KEPT}
            if call["method"] == "Configure":
                request.pop("id", None)
            result.append({"method": call["method"], "request": shortened(request)})
    project.forget_calls()
    return result


def by_resource(calls: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The calls for each resource, in order: between unrelated resources there is no order to keep."""
    grouped = defaultdict(list)
    for call in calls:
        grouped[call["request"].get("urn", "")].append(call)
    return dict(grouped)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, make_project: Any) -> dict[str, Any]:
    """Every recorded stage, once: the calls, digests, events and states it led to."""
    return asyncio.run(play(make_project(tmp_path_factory.mktemp("traces") / "project")))


async def play(project: Project) -> dict[str, Any]:
    project.program(PROGRAM)
    result: dict[str, Any] = {}
    for stage, configuration in STAGES:
        project.configure(regions=["eu"], **configuration)
        preview = await project.run("preview")
        result[f"preview-{stage}"] = (preview, calls(project))
        up = await project.run("up")
        result[f"up-{stage}"] = (up, calls(project))
        result[f"events-{stage}"] = project.events
        result[f"state-{stage}"] = project.export()
    result["preview-destroy"] = (await project.run("destroy", preview_only=True), calls(project))
    result["up-destroy"] = (await project.run("destroy"), calls(project))
    result["state-destroy"] = project.export()
    return result


@pytest.mark.parametrize("stage", ["create", "nochange", "update", "replace", "delete", "destroy"])
@pytest.mark.parametrize("phase", ["preview", "up"])
def test_providers_are_called_as_pulumi_calls_them(played: dict[str, Any], stage: str, phase: str) -> None:
    outcome, made = played[f"{phase}-{stage}"]
    expected = shortened(recorded(f"calls-{stage}"))[phase]
    if (phase, stage) == ("preview", "destroy"):
        # Nothing is asked of a provider before the destroy itself, so none is loaded to be configured.
        expected = []
    assert outcome.exit_code == 0, outcome.diagnostics
    assert by_resource(made) == by_resource(expected)


def test_calls_keep_the_order_that_dependencies_ask_for(played: dict[str, Any]) -> None:
    for phase in ("preview-create", "up-create"):
        order = [f"{call['method']} {call['request'].get('name')}" for call in played[phase][1]]
        assert order[:2] == ["CheckConfig default", "Configure default"]
        assert order.index("Create a") < order.index("Check b")
        assert order[-1].startswith("Cancel")
    order = [f"{call['method']} {call['request'].get('name')}" for call in played["up-replace"][1]]
    assert max(order.index("Create b"), order.index("Create c")) < min(
        order.index("Delete b"), order.index("Delete c")
    )
    order = [f"{call['method']} {call['request'].get('name')}" for call in played["up-destroy"][1]]
    assert order.index("Delete b") < order.index("Delete a")


@pytest.mark.parametrize("stage", ["create", "nochange", "update", "replace", "delete"])
def test_previews_say_what_pulumi_says(played: dict[str, Any], stage: str) -> None:
    expected = shortened(recorded(f"preview-{stage}"))
    outcome = played[f"preview-{stage}"][0]
    by_urn = {step["urn"]: step for step in shortened(outcome.steps)}
    assert by_urn == {step["urn"]: step for step in expected["steps"]}
    assert outcome.change_summary == expected["changeSummary"]
    assert outcome.diagnostics == expected["diagnostics"]
    assert {k: v for k, v in outcome.configuration.items() if not k.endswith("endpoint")} == expected[
        "config"
    ]


def test_state_is_what_pulumi_exports(played: dict[str, Any]) -> None:
    def comparable(deployment: dict[str, Any]) -> dict[str, Any]:
        document = shortened(deployment)
        del document["manifest"]["time"], document["secrets_providers"]["state"]["salt"]
        for resource in document["resources"]:
            for part in ("inputs", "outputs"):
                for value in resource.get(part, {}).values():
                    if isinstance(value, dict):
                        assert value.pop("ciphertext").startswith("v1:")
        document["resources"] = {resource["urn"]: resource for resource in document["resources"]}
        return document

    assert comparable(played["state-replace"]) == comparable(recorded("stack-export")["deployment"])
    assert played["state-destroy"].get("resources", []) == []


def test_events_are_those_of_up_json(played: dict[str, Any]) -> None:
    def comparable(event: dict[str, Any]) -> Any:
        kind, payload = next((key, value) for key, value in event.items() if key.endswith("Event"))
        payload = shortened(payload)
        if kind == "preludeEvent":
            payload["config"].pop("toyproj:endpoint", None)
        if kind == "summaryEvent":
            payload["durationSeconds"] = 0
        return json.dumps({kind: payload}, sort_keys=True)

    lines = (TRACES / "up-create-events.jsonl").read_text().splitlines()
    ours = [event for event in played["events-create"] if "ephemeral" not in event.get("diagnosticEvent", {})]
    theirs = [json.loads(line) for line in lines]
    theirs = [event for event in theirs if "ephemeral" not in event.get("diagnosticEvent", {})]
    assert sorted(map(comparable, ours)) == sorted(map(comparable, theirs))
    assert list(ours[0])[2] == "preludeEvent"
    assert list(ours[-1])[2] == "cancelEvent"


async def test_a_failed_check_stops_the_preview_in_pulumis_words(project: Project) -> None:
    expected = recorded("preview-checkfailure")
    project.program(PROGRAM)
    project.configure(regions=["eu"], count=3, label="l1", size="bad")
    outcome = await project.run("preview")
    assert outcome.exit_code == 1
    error = next(item for item in expected["diagnostics"] if item["severity"] == "error")
    assert error in outcome.diagnostics


async def test_refresh_sees_drift_as_pulumi_does(project: Project) -> None:
    expected = shortened(recorded("refresh-preview-drift"))
    project.program(PROGRAM)
    project.configure(regions=["eu"], count=3, label="l1", size="small")
    assert (await project.run("up")).exit_code == 0
    clean = await project.run("refresh", preview_only=True, expect_no_changes=True)
    assert clean.exit_code == 0
    remote = next((project.home / "cloud").glob("things_c-*"))
    remote.write_text(json.dumps({**json.loads(remote.read_text()), "label": "drifted"}))
    before = project.export()
    drifted = await project.run("refresh", preview_only=True, expect_no_changes=True)
    assert drifted.exit_code == 7
    assert {s["urn"]: s for s in shortened(drifted.steps)} == {s["urn"]: s for s in expected["steps"]}
    assert drifted.change_summary == expected["changeSummary"]
    assert project.export() == before
    assert (await project.run("refresh")).exit_code == 0
    assert project.resources()["c"]["inputs"]["label"] == "drifted"
    assert (await project.run("up")).change_summary == {"same": 3, "update": 1}


# -- a program of explicit providers, default providers, functions and real types ---------------------------

GCP_PROGRAM = """
V = "10.2.0"
LABELS = ["effectiveLabels", "pulumiLabels"]

def provider(name, **inputs):
    options = ResourceOptions(version=V, additional_secret_outputs=["accessToken"])
    return pulumi.ProviderResource("gcp", name, inputs, options)

def resource(type_, name, outputs, under=None, options=None, **inputs):
    options = ResourceOptions.merge(ResourceOptions(version=V, provider=under), options)
    class Resource(pulumi.CustomResource):
        pass
    return Resource(type_, name, {**dict.fromkeys(outputs), **inputs}, options)

def bucket(name, under=None, **inputs):
    secret = ResourceOptions(additional_secret_outputs=LABELS)
    return resource("gcp:storage/bucket:Bucket", name, ["name", "url", "project"], under, secret, **inputs)

def project(under=None):
    options = pulumi.InvokeOptions(version=V, provider=under)
    return pulumi.runtime.invoke("gcp:organizations/getProject:getProject", {}, options).value

pulumi.export("number", project()["number"])
us = provider("us", project="proj-us", region="us-central1")
eu = provider("eu", project="proj-eu", region="europe-west4", defaultLabels='{"x": "y"}')
default = bucket("dflt", location="EU")
pulumi.export("dproj", default.project)
for region, under in (("us", us), ("eu", eu)):
    data = bucket(f"data-{region}", under, location=region.upper(), uniformBucketLevelAccess=True)
    account = resource("gcp:serviceaccount/account:Account", f"sa-{region}", ["member"], under,
                       accountId=f"tuner-{region}")
    resource("gcp:storage/bucketIAMMember:BucketIAMMember", f"m-{region}", [], under,
             bucket=data.name, member=account.member, role="roles/storage.objectViewer")
    pulumi.export(f"url-{region}", data.url)
pulumi.export("pe", project(eu)["projectId"])
"""


@pytest.mark.parametrize("phase", ["preview", "up"])
async def test_a_gcp_program_calls_its_providers_as_under_pulumi(
    tmp_path: Path, make_project: Any, phase: str
) -> None:
    """Each call with the request that was recorded, and for each resource in the recorded order."""
    project = make_project(tmp_path / "project", name="gcpproj")
    replay = Path(__file__).parent / "replay"
    file = project.root / "Pulumi.yaml"
    file.write_text(
        file.read_text()
        .replace("name: toy,", "name: gcp,")
        .replace(str(replay.with_name("provider")), str(replay))
    )
    project.program(GCP_PROGRAM)
    expected = recorded("gcp")[phase]
    (project.home / "recorded.json").write_text(json.dumps(expected))
    outcome = await project.run(phase)
    assert (outcome.exit_code, outcome.diagnostics) == (0, [])
    made = [
        call for call in project.recorded() if call["method"] not in ("Handshake", "GetPluginInfo", "Cancel")
    ]
    assert asked(made) == asked(expected)
    assert outcome.outputs["number"] == "123456789"
    assert outcome.change_summary == {"create": 10}
    if phase == "up":
        assert outcome.outputs["url-us"] == "gs://data-us-d70f4ba"
        forgotten = project.resources()["m-eu"]
        assert forgotten["provider"].split("::")[-2] == "eu"


def asked(calls: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """By resource (or provider instance, for functions): method and request, without what is drawn at random."""
    result = defaultdict(list)
    for call in calls:
        request = {
            key: value
            for key, value in call["request"].items()
            if key not in ("randomSeed", "resourceStatusAddress", "resourceStatusToken")
            and not (key == "id" and call["method"] == "Configure")
        }
        result[request.get("urn") or call["provider"]].append((call["method"], request))
    assert len(calls) == 22
    return dict(result)
