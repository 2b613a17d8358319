"""An ordinary program with pulumi_gcp under either engine: made, left alone, changed, drifted, destroyed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tunestack.emulator.gcp_provider.install import install

PROGRAM = """
import pulumi
import pulumi_gcp as gcp

config = pulumi.Config()
base = config.require("endpoint")
google = gcp.Provider(
    "google",
    project=config.require("project"),
    region="europe-west4",
    access_token=pulumi.Output.secret("local"),
    default_labels={"stack": pulumi.get_stack()},
    storage_custom_endpoint=f"{base}/storage/v1/",
    vertex_ai_custom_endpoint=f"{base}/v1beta1/",
    iam_beta_custom_endpoint=f"{base}/v1/",
    resource_manager_custom_endpoint=f"{base}/v1/",
)
inside = pulumi.ResourceOptions(provider=google)
bucket = gcp.storage.Bucket(
    "data",
    location="europe-west4",
    uniform_bucket_level_access=True,
    versioning={"enabled": True},
    force_destroy=True,
    labels={"team": config.get("team") or "ml"},
    lifecycle_rules=[{"action": {"type": "Delete"}, "condition": {"age": 30, "with_state": "ARCHIVED"}}],
    opts=inside,
)
rows = gcp.storage.BucketObject(
    "rows", bucket=bucket.name, name="set/rows.jsonl", source=pulumi.FileAsset("rows.jsonl"),
    content_type="application/jsonl", opts=inside,
)
secret = gcp.storage.BucketObject("secret", bucket=bucket.name, content="hidden words", opts=inside)
runner = gcp.serviceaccount.Account("runner", account_id="tuning-europe", display_name="Runs", opts=inside)
grant = gcp.storage.BucketIAMMember(
    "grant", bucket=bucket.name, role="roles/storage.objectViewer", member=runner.member, opts=inside
)
board = gcp.vertex.AiTensorboard("board", display_name="curves", region="europe-west4", opts=inside)
pulumi.export("url", bucket.url)
pulumi.export("bucket", bucket.name)
pulumi.export("object", rows.self_link)
pulumi.export("member", runner.member)
pulumi.export("board", board.name)
"""


class Stack:
    """The program's folder, its configuration and its state, in the layout that both engines share."""

    def __init__(self, folder: Path, settings: dict[str, str], program: str = PROGRAM) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        runtime = "{name: python, options: {toolchain: pip, virtualenv: " + sys.prefix + "}}"
        (folder / "Pulumi.yaml").write_text(f"name: standin\nruntime: {runtime}\n")
        (folder / "__main__.py").write_text(program)
        (folder / "rows.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n')
        install(folder / "home", Path(sys.executable))
        self.configure(settings)

    def configure(self, settings: dict[str, str]) -> None:
        lines = "".join(f"  standin:{key}: {value}\n" for key, value in settings.items())
        stack = self.folder / "Pulumi.test.yaml"
        salt = (
            [line for line in stack.read_text().splitlines() if "encryption" in line]
            if stack.exists()
            else []
        )
        stack.write_text("\n".join([*salt, "config:", lines]))

    def resources(self) -> dict[str, Any]:
        """Outputs by logical name, as the state holds them."""
        state = json.loads((self.folder / "state/.pulumi/stacks/standin/test.json").read_text())
        found = state["checkpoint"]["latest"]["resources"]
        return {each["urn"].rpartition("::")[2]: each.get("outputs", {}) for each in found}

    @staticmethod
    def changed(steps: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Changed properties by logical name, as a preview shows them."""
        return {
            step["urn"].rpartition("::")[2]: sorted(step.get("detailedDiff") or {})
            for step in steps
            if step["op"] != "same"
        }


class PulumiCli(Stack):
    """The CLI over a file backend of its own."""

    def __init__(self, folder: Path, settings: dict[str, str], program: str = PROGRAM) -> None:
        super().__init__(folder, settings, program)
        self.environment = {
            **os.environ,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.run("stack", "init", "test")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=240,
        )
        assert done.returncode == 0, f"pulumi {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self) -> dict[str, int]:
        """What ``pulumi up`` changed: how many resources of each operation."""
        output = self.run("up", "--yes", "--skip-preview", "--json")
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        summary = next(event["summaryEvent"] for event in events if "summaryEvent" in event)
        return dict(summary["resourceChanges"])

    def preview(self) -> dict[str, list[str]]:
        return self.changed(json.loads(self.run("preview", "--json"))["steps"])

    def refresh(self) -> None:
        self.run("refresh", "--yes", "--skip-preview")

    def expect_no_drift(self) -> None:
        self.run("refresh", "--preview-only", "--expect-no-changes")

    def drift(self) -> dict[str, list[str]]:
        self.refresh()
        return self.preview()

    def destroy(self) -> None:
        self.run("destroy", "--yes", "--skip-preview")


RUN = """
import asyncio, json, os, sys
from pathlib import Path
from tunestack import engine
folder, operation, how = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
options = engine.EngineOptions(
    project_directory=folder, stack="test", state_directory=folder / "state", pulumi_home=folder / "home",
    passphrase="x", environment=dict(os.environ),
)
events = []
result = asyncio.run(engine.run(engine.Operation(operation), options, events.append, **how))
if result.exit_code:
    print([event for event in events if "diagnosticEvent" in event], file=sys.stderr)
print(json.dumps({"changes": result.change_summary, "steps": result.steps}, default=str))
sys.exit(result.exit_code)
"""


class EmbeddedEngine(Stack):
    """The embedded engine, in a process of its own as the CLI is."""

    def run(self, operation: str, **how: bool) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(self.folder), operation, json.dumps(how)],
            text=True,
            capture_output=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{operation}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def up(self) -> dict[str, int]:
        return {operation: count for operation, count in self.run("up")["changes"].items() if count}

    def preview(self) -> dict[str, list[str]]:
        return self.changed(self.run("preview")["steps"])

    def refresh(self) -> None:
        self.run("refresh")

    def expect_no_drift(self) -> None:
        self.run("refresh", preview_only=True, expect_no_changes=True)

    def drift(self) -> dict[str, list[str]]:
        steps = self.run("refresh", preview_only=True)["steps"]
        return self.changed([step for step in steps if step["op"] != "refresh"])

    def destroy(self) -> None:
        self.run("destroy")


ENGINES = [
    pytest.param(EmbeddedEngine, id="embedded"),
    pytest.param(
        PulumiCli,
        id="cli",
        marks=[
            pytest.mark.pulumi_cli,
            pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
        ],
    ),
]


@pytest.mark.parametrize("engine_of", ENGINES)
def test_a_stack_lives_its_life(engine_of, tmp_path, emulator, project):
    settings = {"endpoint": emulator, "project": project}
    stack = engine_of(tmp_path, settings)
    # The stack itself and the provider count as resources.
    assert stack.up() == {"create": 8}
    resources = stack.resources()
    bucket, board = resources["data"]["name"], resources["board"]["name"]
    outputs = resources["standin-test"]
    assert outputs["url"] == f"gs://{bucket}"
    assert outputs["member"] == f"serviceAccount:tuning-europe@{project}.iam.gserviceaccount.com"
    assert "/locations/europe-west4/tensorboards/" in outputs["board"]
    assert "hidden words" not in json.dumps(resources)

    stack.expect_no_drift()

    with httpx.Client(base_url=emulator, trust_env=False) as google:
        google.patch(f"/storage/v1/b/{bucket}", json={"labels": {"team": "someone"}})
        address = f"/storage/v1/b/{bucket}/iam"
        policy = google.get(address).json()
        policy["bindings"] = [each for each in policy["bindings"] if "objectViewer" not in each["role"]]
        google.put(address, json=policy)
        upload = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=set/rows.jsonl"
        google.post(upload, content=b"overwritten", headers={"content-type": "application/jsonl"})
    stack.refresh()
    changed = stack.preview()
    assert changed.keys() == {"data", "rows", "grant"}
    assert changed["data"] == ["labels.team"]
    assert changed["rows"] == ["detectMd5hash"]
    (tmp_path / "rows.jsonl").write_text("another file\n")
    stack.configure({**settings, "team": "nlp"})
    # The state no longer holds the source, so that the new file is put in its place without a replacement.
    assert stack.up() == {"create": 1, "same": 5, "update": 2}
    rows = stack.resources()["rows"]
    assert rows["source"]["path"] == "rows.jsonl"
    assert stack.up() == {"same": 8}
    with httpx.Client(base_url=emulator, trust_env=False) as google:
        media = google.get(f"/download/storage/v1/b/{bucket}/o/set%2Frows.jsonl", params={"alt": "media"})
        assert media.text == "another file\n"
        assert google.get(f"/storage/v1/b/{bucket}").json()["labels"]["team"] == "nlp"
        stack.destroy()
        assert google.get(f"/storage/v1/b/{bucket}").status_code == 404
        assert google.get(f"/v1/{board}").status_code == 404


#: What someone does behind the program's back, by resource, and the properties that a refresh then shows.
ENVIRONMENT = (Path(__file__).parent / "program" / "__main__.py").read_text()
PLACE = "projects/{project}/locations/europe-west4"
QUOTA = "CustomModelTrainingA10080GBGPUsPerProjectPerRegion"
DRIFT: dict[str, tuple[str, str, Any, list[str]]] = {
    "rows": (
        "POST",
        "/upload/storage/v1/b/{bucket}/o?uploadType=media&name=rows.jsonl",
        {"overwritten": True},
        ["detectMd5hash"],
    ),
    "data": ("PATCH", "/storage/v1/b/{bucket}", {"labels": {"team": "someone"}}, ["labels.team"]),
    "reads": (
        "POST",
        "/v1/projects/{project}:setIamPolicy",
        {"policy": {"bindings": [{"role": "roles/aiplatform.viewer", "members": ["user:ada@example.org"]}]}},
        ["members[1]"],
    ),
    "gpus": (
        "PATCH",
        "/v1/projects/{project}/locations/global/quotaPreferences/gpus"
        "?ignoreSafetyChecks=QUOTA_DECREASE_PERCENTAGE_TOO_HIGH&updateMask=quotaConfig",
        {"quotaConfig": {"preferredValue": "2"}},
        ["quotaConfig.preferredValue"],
    ),
    "served": (
        "PATCH",
        f"/v1/{PLACE}/endpoints/4711?updateMask=displayName",
        {"displayName": "someone's"},
        ["displayName"],
    ),
    "cmek": (
        "PATCH",
        f"/v1/{PLACE}/keyRings/tuning/cryptoKeys/models?updateMask=labels",
        {"labels": {"team": "someone"}},
        ["labels.team"],
    ),
    "version": (
        "PATCH",
        f"/v1/{PLACE}/keyRings/tuning/cryptoKeys/models/cryptoKeyVersions/2?updateMask=state",
        {"state": "DISABLED"},
        ["state"],
    ),
    "held": (
        "POST",
        "/v1/projects/{project}/secrets/hub-token/versions/1:disable",
        {},
        ["enabled"],
    ),
    "kept": (
        "PATCH",
        f"/v2/{PLACE}/buckets/audit?updateMask=retentionDays",
        {"retentionDays": 1},
        ["retentionDays"],
    ),
    "runner": (
        "POST",
        "/v1/projects/{project}/serviceAccounts/tuning-runner@{project}.iam.gserviceaccount.com:disable",
        {},
        ["disabled"],
    ),
}


@pytest.mark.parametrize("engine_of", ENGINES)
def test_drift_of_a_whole_environment_is_shown_by_property(engine_of, tmp_path, emulator, project):
    stack = engine_of(tmp_path, {"endpoint": emulator, "project": project}, ENVIRONMENT)
    made = stack.up()
    assert made == {"create": 48}
    assert stack.up() == {"same": 48}
    stack.expect_no_drift()
    resources = stack.resources()
    assert "hf_not_to_be_seen" not in json.dumps(resources)
    known = {"project": project, "bucket": resources["data"]["name"]}
    with httpx.Client(base_url=emulator, trust_env=False) as google:
        for verb, path, body, _ in DRIFT.values():
            answer = google.request(verb, path.format(**known), json=body)
            assert answer.is_success, answer.text
    found = stack.drift()
    assert {name: found.get(name) for name in DRIFT} == {name: each[3] for name, each in DRIFT.items()}
    # All bindings of the policy were replaced: what else they held is gone, and nothing more has drifted.
    assert found.keys() - DRIFT.keys() == {"tunes"}
    stack.destroy()
