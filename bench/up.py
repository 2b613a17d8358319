"""Wall-clock time of `tunestack up` on the local stack: everything built and judged, then nothing to change.

Runs in a copy of the project with its own emulator, so that a stack that stands is not touched. The set-up (virtual
environment, base model) is done already: that is what "warm" means.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL_BUILD_SECONDS = 240.0
GOAL_UNCHANGED_SECONDS = 5.0


def main() -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tunestack-bench-") as folder:
        project = copy_project(Path(folder))
        try:
            build = timed(project, "up", "--yes")
            unchanged = [timed(project, "up", "--yes") for _ in range(3)]
            models = json.loads(tunestack(project, "outputs", "--json").stdout)["models"]
        finally:
            tunestack(project, "emulator", "stop")
    print(f"processors: {os.cpu_count()}, load before: {load:.1f} (the goals are for 2 quiet cores)\n")
    print("| what | seconds | goal |\n|---|---|---|")
    print(f"| `up`, both models tuned, judged, deployed | {build:.0f} | ≤ {GOAL_BUILD_SECONDS:.0f} |")
    median = sorted(unchanged)[1]
    print(f"| `up` again, nothing to change (median of 3) | {median:.1f} | ≤ {GOAL_UNCHANGED_SECONDS:.0f} |")
    for name, model in models.items():
        print(f"| of which tuning {name} | {model['duration_seconds']:.0f} | |")
    verdicts = ", ".join(f"{name} {model['verdict']}" for name, model in models.items())
    print(f"\nverdicts: {verdicts}")


def copy_project(target: Path) -> Path:
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copy(ROOT / name, target / name)
    for name in ("infra", "jobs", "datasets"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".venv", "tunestack"):
        (target / name).symlink_to(ROOT / name)
    (target / ".tunestack").mkdir()
    (target / ".tunestack" / "base-models").symlink_to(ROOT / ".tunestack" / "base-models")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stack = target / "Pulumi.local.yaml"
    stack.write_text(stack.read_text().replace("127.0.0.1:8571", f"127.0.0.1:{port}"))
    return target


def timed(project: Path, *words: str) -> float:
    started = time.monotonic()
    done = tunestack(project, *words)
    if done.returncode:
        sys.exit(f"tunestack {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def tunestack(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tunestack.cli.main", words[0], "--cwd", str(project), *words[1:]]
    environment = {**os.environ, "TUNESTACK_ENGINE": "embedded"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
