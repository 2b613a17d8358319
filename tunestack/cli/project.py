"""The project folder a command works in: where it is, which stack, where things lie."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunestack.spec.errors import Problem, TunestackError

DEFAULT_STACK = "local"
BASE_MODEL = "smollm2-135m-instruct"
# A local stack talks to this machine only and holds no secret worth the name; its state lies beside the project. A
# passphrase that everybody knows lets its salt be committed, so that no engine has to edit Pulumi.local.yaml.
LOCAL_PASSPHRASE = "tunestack-local"  # noqa: S105


@dataclass(frozen=True)
class Project:
    """One project folder and the stack chosen in it."""

    root: Path
    stack: str

    @property
    def left(self) -> Path:
        """Where runs leave things: ``.tunestack``."""
        return self.root / ".tunestack"

    @property
    def state(self) -> Path:
        """Pulumi's file backend of local stacks."""
        return self.left / "state"

    @property
    def state_file(self) -> Path:
        """The stack's state in that backend, as the CLI lays it out."""
        return self.state / ".pulumi" / "stacks" / "tunestack" / f"{self.stack}.json"

    @property
    def pulumi_home(self) -> Path:
        """``PULUMI_HOME`` of local stacks, with the stand-in gcp provider in it."""
        return self.left / "pulumi-home"

    @property
    def emulator_data(self) -> Path:
        """The emulator's data folder."""
        return self.left / "emulator"

    @property
    def base_model(self) -> Path:
        """The language model that plays every PaLM base model locally."""
        chosen = os.environ.get("TUNESTACK_BASE_MODEL")
        return Path(chosen) if chosen else self.left / "base-models" / BASE_MODEL

    @property
    def trainer(self) -> Path:
        """The trainer that the emulator runs for a tuning pipeline."""
        return self.root / "jobs" / "trainers" / "hf"

    def configuration(self) -> dict[str, Any]:
        """Return the ``config:`` of the stack's file. Raises TunestackError where there is none."""
        import yaml

        from tunestack.spec.stack import stack_file_places

        path = self.root / f"Pulumi.{self.stack}.yaml"
        stack_file_places(path)  # misspelt keys, unreadable YAML, no such stack
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return document.get("config") or {}

    @property
    def endpoint(self) -> str | None:
        """The emulator's address in the stack's configuration; None for a stack on Google."""
        from tunestack.spec.stack import is_loopback_url

        endpoint = self.configuration().get("tunestack:endpoint")
        if endpoint is None:
            return None
        if not isinstance(endpoint, str) or not is_loopback_url(endpoint):
            raise TunestackError(
                Problem(
                    "endpoint-not-on-loopback",
                    "tunestack:endpoint is the emulator's address on this machine, or left out",
                    f"Pulumi.{self.stack}.yaml",
                    have=str(endpoint),
                    need="http://127.0.0.1:PORT",
                )
            )
        return endpoint

    @property
    def port(self) -> int:
        """The emulator's port. Raises TunestackError for a stack on Google."""
        if self.endpoint is None:
            raise TunestackError(
                Problem(
                    "stack-on-google",
                    f"stack {self.stack} has no emulator: it is declared on Google",
                    f"Pulumi.{self.stack}.yaml",
                    fix="add --stack local",
                ),
                exit_status=2,
            )
        return urlsplit(self.endpoint).port or 0

    @property
    def project_id(self) -> str:
        """The Google Cloud project of the stack."""
        return str(self.configuration().get("tunestack:project", "tunestack-local"))

    @property
    def enforce_iam(self) -> bool:
        """Whether the stack's emulator asks IAM policies before each call."""
        return self.configuration().get("tunestack:enforce_iam") is not False

    def pulumi_environment(self) -> dict[str, str]:
        """Return what makes the Pulumi CLI, or the embedded engine, work on a local stack."""
        return {
            "PULUMI_HOME": str(self.pulumi_home),
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_CONFIG_PASSPHRASE": LOCAL_PASSPHRASE,
            # The real gcp plugin would otherwise list Google's regions before anything else.
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
        }


def add_stack_argument(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the options every command on a stack takes; ``again`` to a subcommand of one that has them already."""
    stack: Any = argparse.SUPPRESS if again else DEFAULT_STACK
    folder: Any = argparse.SUPPRESS if again else Path()
    parser.add_argument("-s", "--stack", default=stack, help=f"the stack (default: {DEFAULT_STACK})")
    parser.add_argument(
        "-C", "--cwd", type=Path, default=folder, metavar="DIR", help="run as if started in DIR"
    )


def find_project(start: Path, stack: str) -> Project:
    """Return the project whose folder holds ``start``. Raises TunestackError where there is none."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / "Pulumi.yaml").is_file():
            return Project(candidate, stack)
    raise TunestackError(
        Problem(
            "no-project",
            "there is no Pulumi.yaml here or in any folder above",
            str(folder),
            fix="run this inside a clone of the project, or add --cwd DIR",
        ),
        exit_status=2,
    )
