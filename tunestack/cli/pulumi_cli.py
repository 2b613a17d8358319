"""Runs an operation with the Pulumi CLI: the user's engine wherever it is on PATH."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunestack.cli.project import Project
from tunestack.spec.errors import Problem, TunestackError


def find_cli() -> str | None:
    """Return the Pulumi CLI on PATH, if any."""
    return shutil.which("pulumi")


class PulumiCli:
    """Drives ``pulumi`` on the project's stack, with its terminal passed through."""

    name = "Pulumi CLI"

    def __init__(self, project: Project, environment: Mapping[str, str]) -> None:
        executable = find_cli()
        if executable is None:
            raise TunestackError(
                Problem(
                    "no-pulumi-cli",
                    f"stack {project.stack} needs the Pulumi CLI, which is not on PATH",
                    f"Pulumi.{project.stack}.yaml",
                    have="no `pulumi` on PATH",
                    need="the Pulumi CLI; the embedded engine serves stacks whose endpoints are on loopback only",
                    fix="install it (https://www.pulumi.com/docs/install/), or use --stack local",
                ),
                exit_status=2,
            )
        self._executable = executable
        self._project = project
        self._environment = dict(environment)

    def run(self, operation: str, *, json_output: bool = False, color: str = "auto") -> int:
        """Run ``operation`` (preview, up, refresh, destroy) to its end; return the CLI's exit status."""
        self._select()
        command = [self._executable, operation, "--stack", self._project.stack, "--color", color]
        if operation != "preview":
            command += ["--yes", "--skip-preview"]
        if json_output:
            command.append("--json")
        # ^C reaches the CLI by itself (same terminal); we only wait for it to finish in order.
        process = subprocess.Popen(command, cwd=self._project.root, env=self._environment)
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        terminated = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, previous)
            signal.signal(signal.SIGTERM, terminated)

    def preview_steps(self) -> list[dict[str, Any]]:
        """Return what `up` would do, as ``pulumi preview --json`` tells it."""
        self._select()
        done = self._quiet("preview", "--json")
        return list(json.loads(done).get("steps") or []) if done else []

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets hidden."""
        shown = self._quiet("stack", "output", "--json")
        return dict(json.loads(shown)) if shown else {}

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the stack's state."""
        exported = self._quiet("stack", "export")
        return list((json.loads(exported).get("deployment") or {}).get("resources") or []) if exported else []

    def _select(self) -> None:
        """Make the stack where it does not exist yet."""
        done = subprocess.run(
            [self._executable, "stack", "select", "--create", "--stack", self._project.stack],
            cwd=self._project.root,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            raise TunestackError(
                Problem(
                    "pulumi-stack",
                    f"the Pulumi CLI cannot select stack {self._project.stack}",
                    have="its words are above",
                )
            )

    def _quiet(self, *words: str) -> str:
        done = subprocess.run(
            [self._executable, *words, "--stack", self._project.stack],
            cwd=self._project.root,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else ""


def real_environment() -> dict[str, str]:
    """Return the environment for a stack on Google: the user's own, untouched."""
    return dict(os.environ)


def is_project_virtualenv(root: Path) -> bool:
    """Say whether this process runs from the project's own environment, which Pulumi.yaml names."""
    return Path(sys.prefix).resolve() == (root / ".venv").resolve()
