"""Runs an operation with the Pulumi CLI: the user's engine wherever it is on PATH."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunestack.cli.choices import NONE, Choices
from tunestack.cli.project import Project
from tunestack.spec.errors import Problem, TunestackError


def find_cli() -> str | None:
    """Return the Pulumi CLI on PATH, if any."""
    return shutil.which("pulumi")


@dataclass(frozen=True)
class Digest:
    """What ``pulumi preview --json`` prints, and the exit status it came with."""

    document: dict[str, Any]
    status: int

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(self.document.get("steps") or [])


@dataclass(frozen=True)
class Imported:
    """Something that exists, to be taken into state: its type's token, its name in the program, its id."""

    type: str
    name: str
    id: str
    protect: bool = True
    parent: str = ""
    provider: str = ""


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

    def run(
        self, operation: str, *, json_output: bool = False, color: str = "auto", choices: Choices = NONE
    ) -> int:
        """Run ``operation`` (preview, up, refresh, destroy) to its end; return the CLI's exit status."""
        self._select()
        command = [self._executable, operation, "--stack", self._project.stack, "--color", color]
        command += choices.flags()
        if operation != "preview" and not choices.preview_only:
            command += ["--yes", "--skip-preview"]
        # `up` ends with a summary of the outputs; `tunestack outputs` shows them all.
        command.append("--json" if json_output else "--suppress-outputs")
        return _wait_for(command, self._project.root, self._environment)

    def digest(self, operation: str = "preview", choices: Choices = NONE) -> Digest:
        """Say what ``operation`` would do, as ``pulumi preview --json`` tells it."""
        self._select()
        words = [operation, "--json", *choices.flags()]
        if operation != "preview":
            words.append("--preview-only")
        done = self._ask(*words)
        try:
            return Digest(json.loads(done.stdout), done.returncode)
        except ValueError:
            sys.stderr.write(done.stderr)
            return Digest({"steps": []}, done.returncode or 1)

    def import_resource(self, resource: Imported, *, json_output: bool = False, color: str = "auto") -> int:
        """Take what exists into the stack's state by its id; return the CLI's exit status."""
        self._select()
        command = [self._executable, "import", resource.type, resource.name, resource.id]
        command += ["--stack", self._project.stack, "--color", color, "--yes", "--skip-preview"]
        # Code is generated from a schema, which not every provider here has: the command tells what to declare.
        command += ["--generate-code=false", f"--protect={str(resource.protect).lower()}"]
        for flag, urn in (("--parent", resource.parent), ("--provider", resource.provider)):
            if urn:
                command += [flag, f"{urn.rpartition('::')[2]}={urn}"]
        command.append("--json" if json_output else "--suppress-outputs")
        return _wait_for(command, self._project.root, self._environment)

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's outputs, secrets hidden unless asked for."""
        done = self._ask("stack", "output", "--json", *["--show-secrets"] * show_secrets)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack's deployment, secrets encrypted unless asked for. Raises TunestackError."""
        done = self._ask("stack", "export", *["--show-secrets"] * show_secrets)
        if done.returncode:
            raise TunestackError(Problem("pulumi-stack", done.stderr.strip().removeprefix("error: ")))
        return dict(json.loads(done.stdout))

    def import_deployment(self, exported: Any, *, force: bool = False) -> list[str]:
        """Put a deployment in the place of the stack's state; return warnings. Raises TunestackError."""
        self._select()
        done = self._ask("stack", "import", *["--force"] * force, stdin=json.dumps(exported))
        if done.returncode:
            raise TunestackError(Problem("pulumi-stack", done.stderr.strip().removeprefix("error: ")))
        return [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line]

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the stack's state."""
        done = self._ask("stack", "export")
        deployment = json.loads(done.stdout).get("deployment") if done.returncode == 0 else None
        return list((deployment or {}).get("resources") or [])

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

    def _ask(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._executable, *words, "--stack", self._project.stack],
            cwd=self._project.root,
            env=self._environment,
            capture_output=True,
            text=True,
            input=stdin,
            check=False,
        )


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
            # Not sigtimedwait: stopped (^Z) for longer than its time, CPython 3.11 gives a signal that there was not.
            if not signal.sigpending() & forwarded:
                time.sleep(0.1)
            elif (
                arrived := signal.sigwaitinfo(forwarded)
            ).si_code <= 0:  # SI_USER and below: sent by a process
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
