"""Runs an operation with the Pulumi CLI: the user's engine wherever it is on PATH."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
        # `up` ends with a summary of the outputs; `tunestack outputs` shows them all.
        command.append("--json" if json_output else "--suppress-outputs")
        return _wait_for(command, self._project.root, self._environment)

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
        """Make the stack where it does not exist yet, and free it of locks that a killed run left behind."""
        if self._project.endpoint is not None:
            release_dead_locks(self._project.state, self._project.stack)
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


def _wait_for(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run ``command`` on our terminal to its end; return its exit status.

    A ^C on the terminal reaches the CLI by itself, and a second one would make it leave at once: so only what
    another process sent to us alone (``kill -INT``, a CI runner) is passed on.
    """
    forwarded = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, forwarded),
        )
        while (status := process.poll()) is None:
            arrived = signal.sigtimedwait(forwarded, 0.1)
            if arrived is not None and arrived.si_code <= 0:  # SI_USER and below: sent by a process
                process.send_signal(arrived.si_signo)
        return status
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, forwarded)


def release_dead_locks(state: Path, stack: str) -> None:
    """Remove the locks on a local stack whose holders are dead: processes of this machine that no longer live.

    The CLI's file backend locks by files that name host and process (pulumi/pkg/backend/diy/lock.go), and a killed
    CLI leaves its lock behind. Elsewhere only `pulumi cancel` may decide that; on this machine's own disk we know.
    """
    for lock in (state / ".pulumi" / "locks").glob(f"organization/*/{stack}/*.json"):
        try:
            holder = json.loads(lock.read_text())
            here = holder.get("hostname") == socket.gethostname()
            if here and not _lives(int(holder["pid"])):
                lock.unlink(missing_ok=True)
        except (OSError, ValueError, KeyError):
            continue  # being written or removed right now, or not a lock: the CLI will say


def _lives(pid: int) -> bool:
    """Say whether ``pid`` is a Pulumi CLI at work: neither gone, nor ended and not yet reaped, nor a reused number."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except psutil.NoSuchProcess:
        return False
