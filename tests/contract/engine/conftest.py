"""A project in a folder of its own, driven by the engine (and by the Pulumi CLI where it is there)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tunestack import engine
from tunestack.engine import EngineOptions, Interrupt, Operation, OperationResult, secrets

HERE = Path(__file__).parent
PASSPHRASE = "correct horse"

PROGRAM_HEAD = """
import os, sys
import pulumi
from pulumi import ResourceOptions

class Thing(pulumi.CustomResource):
    def __init__(self, name, opts=None, type_="toy:index:Thing", **inputs):
        outputs = ("state", "account")
        super().__init__(type_, name, {**dict.fromkeys(outputs), **inputs}, opts)

class Toy(pulumi.ProviderResource):
    def __init__(self, name, opts=None, **inputs):
        super().__init__("toy", name, inputs, opts)
"""


@dataclass
class Project:
    """A Pulumi project with the toy provider; `program` is what runs after `PROGRAM_HEAD`."""

    root: Path
    name: str = "toyproj"
    stack: str = "dev"
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / "infra").mkdir(parents=True)
        self.home = self.root / "toy"
        self.home.mkdir()
        self.state = self.root / "state"
        self.state.mkdir()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            # Tests rewrite a program within a second and at the same length, which Python's bytecode cache misses.
            "PYTHONDONTWRITEBYTECODE": "1",
            "TOY_HOME": str(self.home),
        }
        self.project_file()
        self.configure()
        self.program("")

    def project_file(self, extra: str = "") -> None:
        (self.root / "Pulumi.yaml").write_text(
            textwrap.dedent(f"""
                name: {self.name}
                main: infra
                runtime: {{name: python, options: {{toolchain: pip, virtualenv: {sys.prefix}}}}}
                plugins: {{providers: [{{name: toy, path: {HERE / "provider"}}}]}}
            """)
            + textwrap.dedent(extra)
        )

    def configure(self, **values: Any) -> None:
        config = {f"{self.name}:endpoint": "http://127.0.0.1:1"}
        config |= {
            key.replace("__", ":") if "__" in key else f"{self.name}:{key}": v for key, v in values.items()
        }
        (self.root / f"Pulumi.{self.stack}.yaml").write_text(json.dumps({"config": config}))

    def program(self, text: str, head: str = PROGRAM_HEAD) -> None:
        (self.root / "infra" / "__main__.py").write_text(head + textwrap.dedent(text))

    def script(self, **endings: Any) -> None:
        """How calls end: ``script(a__create="fail")``."""
        (self.home / "script.json").write_text(
            json.dumps({key.replace("__", ".").replace("_", "-"): value for key, value in endings.items()})
        )

    # -- the embedded engine --

    @property
    def options(self) -> EngineOptions:
        return EngineOptions(
            self.root, self.stack, self.state, self.root / "home", PASSPHRASE, 8, self.environment
        )

    async def run(
        self, operation: str, interrupt: Interrupt | None = None, **options: Any
    ) -> OperationResult:
        self.events = []
        return await engine.run(
            Operation(operation), self.options, self.events.append, interrupt=interrupt, **options
        )

    def export(self) -> dict[str, Any]:
        return engine.export_stack(self.options)["deployment"]

    def resources(self) -> dict[str, dict[str, Any]]:
        """Live resources of the state by name."""
        found = self.export().get("resources", [])
        return {item["urn"].rsplit("::", 1)[1]: item for item in found if not item.get("delete")}

    def calls(self, *methods: str) -> list[str]:
        """``Method name`` of every call so far, of the given methods."""
        return [
            f"{call['method']} {call['request'].get('name', '')}".strip()
            for call in self.recorded()
            if not methods or call["method"] in methods
        ]

    def recorded(self) -> list[dict[str, Any]]:
        path = self.home / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def forget_calls(self) -> None:
        (self.home / "calls.jsonl").unlink(missing_ok=True)

    def cloud(self) -> list[str]:
        """Names of what exists remotely."""
        folder = self.home / "cloud"
        return sorted(path.name.removeprefix("things_").rsplit("-", 1)[0] for path in folder.glob("*"))

    async def started(self, name: str) -> None:
        """Wait until the provider is in the middle of a slow call for `name`."""
        while not (self.home / f"{name}.started").exists():
            await asyncio.sleep(0.01)

    # -- the Pulumi CLI --

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **self.environment,
            "PULUMI_HOME": str(self.root / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        result = subprocess.run(
            ["pulumi", *arguments, "--stack", self.stack, "--non-interactive"],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result


@pytest.fixture(scope="module", autouse=True)
def _cheap_passphrases() -> Iterator[None]:
    """A million rounds a stack would be most of the time; with the CLI they stay what they are."""
    if shutil.which("pulumi") is not None:
        yield
        return
    rounds, secrets.ROUNDS = secrets.ROUNDS, 1000
    yield
    secrets.ROUNDS = rounds


@pytest.fixture(scope="session")
def make_project() -> type[Project]:
    return Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("pulumi") is None:
        skip = pytest.mark.skip(reason="the Pulumi CLI is not on PATH")
        for item in items:
            if "pulumi_cli" in item.keywords:
                item.add_marker(skip)
