"""An ordinary program with pulumi_gcp under the real Pulumi CLI: made, left alone, changed, drifted, destroyed."""

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

pytestmark = [
    pytest.mark.pulumi_cli,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
]

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


class Pulumi:
    """The CLI over a file backend of its own."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        runtime = "{name: python, options: {toolchain: pip, virtualenv: " + sys.prefix + "}}"
        (folder / "Pulumi.yaml").write_text(f"name: standin\nruntime: {runtime}\n")
        (folder / "__main__.py").write_text(PROGRAM)
        (folder / "rows.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n')
        install(folder / "home", Path(sys.executable))
        self.environment = {
            **os.environ,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.configure(settings)
        self("stack", "init", "test")

    def configure(self, settings: dict[str, str]) -> None:
        lines = "".join(f"  standin:{key}: {value}\n" for key, value in settings.items())
        stack = self.folder / "Pulumi.test.yaml"
        salt = (
            [line for line in stack.read_text().splitlines() if "encryption" in line]
            if stack.exists()
            else []
        )
        stack.write_text("\n".join([*salt, "config:", lines]))

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=240,
        )
        assert done.returncode == expect, (
            f"pulumi {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def up(self) -> dict[str, int]:
        """What ``pulumi up`` changed: how many resources of each operation."""
        output = self("up", "--yes", "--skip-preview", "--json")
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        summary = next(event["summaryEvent"] for event in events if "summaryEvent" in event)
        return dict(summary["resourceChanges"])

    def preview(self) -> dict[str, Any]:
        """Changed properties by logical name, as ``pulumi preview`` shows them."""
        steps = json.loads(self("preview", "--json"))["steps"]
        return {
            step["urn"].rpartition("::")[2]: sorted(step.get("detailedDiff") or {})
            for step in steps
            if step["op"] != "same"
        }

    def resources(self) -> dict[str, Any]:
        """Outputs by logical name, as the state holds them."""
        state = json.loads((self.folder / "state/.pulumi/stacks/standin/test.json").read_text())
        found = state["checkpoint"]["latest"]["resources"]
        return {each["urn"].rpartition("::")[2]: each.get("outputs", {}) for each in found}


def test_a_stack_lives_its_life_under_the_cli(tmp_path, emulator, project):
    settings = {"endpoint": emulator, "project": project}
    pulumi = Pulumi(tmp_path, settings)
    # The stack itself and the provider count as resources.
    assert pulumi.up() == {"create": 8}
    resources = pulumi.resources()
    bucket, board = resources["data"]["name"], resources["board"]["name"]
    outputs = resources["standin-test"]
    assert outputs["url"] == f"gs://{bucket}"
    assert outputs["member"] == f"serviceAccount:tuning-europe@{project}.iam.gserviceaccount.com"
    assert "/locations/europe-west4/tensorboards/" in outputs["board"]
    assert "hidden words" not in json.dumps(resources)

    assert pulumi.up() == {"same": 8}
    pulumi("refresh", "--preview-only", "--expect-no-changes")

    pulumi.configure({**settings, "team": "nlp"})
    assert pulumi.up() == {"same": 7, "update": 1}

    with httpx.Client(base_url=emulator, trust_env=False) as google:
        google.patch(f"/storage/v1/b/{bucket}", json={"labels": {"team": "someone"}})
        address = f"/storage/v1/b/{bucket}/iam"
        policy = google.get(address).json()
        policy["bindings"] = [each for each in policy["bindings"] if "objectViewer" not in each["role"]]
        google.put(address, json=policy)
        upload = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=set/rows.jsonl"
        google.post(upload, content=b"overwritten", headers={"content-type": "application/jsonl"})
    pulumi("refresh", "--yes", "--skip-preview")
    changed = pulumi.preview()
    assert changed.keys() == {"data", "rows", "grant"}
    assert changed["data"] == ["labels.team"]
    assert changed["rows"] == ["detectMd5hash"]
    assert pulumi.up() == {"create": 1, "same": 5, "update": 2}
    assert pulumi.resources()["rows"]["source"]["path"] == "rows.jsonl"

    (tmp_path / "rows.jsonl").write_text("another file\n")
    assert pulumi.up() == {"replace": 1, "same": 7}
    with httpx.Client(base_url=emulator, trust_env=False) as google:
        media = google.get(f"/download/storage/v1/b/{bucket}/o/set%2Frows.jsonl", params={"alt": "media"})
        assert media.text == "another file\n"
        pulumi("destroy", "--yes", "--skip-preview")
        assert google.get(f"/storage/v1/b/{bucket}").status_code == 404
        assert google.get(f"/v1/{board}").status_code == 404
