"""Requests a second of one storage script, driven by google-cloud-storage, against gcp-storage-emulator on the same.

The peer runs from an environment of its own, made with uv at the first run, once with its files on disk and once in
memory. Ours writes every change through to the disk and checks every answer against Google's schema. Rounds are
interleaved; the ratio is the median of each round's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.measured import median  # noqa: E402
from tunestack.emulator import process  # noqa: E402
from tunestack.emulator.options import EmulatorOptions  # noqa: E402

PEERS = ROOT / ".tunestack" / "bench" / "storage-peers"
PACKAGE = "gcp-storage-emulator==2026.7.19"
GOAL = 1.0


def script(url: str, count: int) -> int:
    """What a tuning environment does with a bucket: upload, look, download, list, overwrite, delete. Its requests."""
    client = storage.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )
    name = f"bench-{time.monotonic_ns()}"
    bucket = client.create_bucket(name)
    requests = 1
    data = os.urandom(2048)
    for number in range(count):
        blob = bucket.blob(f"folder/{number:05}")
        blob.upload_from_string(data, content_type="application/octet-stream")
        blob.reload()
        assert blob.download_as_bytes() == data
        requests += 3
        if number % 10 == 0:
            assert [found.name for found in client.list_blobs(name, prefix=blob.name)] == [blob.name]
            requests += 1
    for number in range(count):
        bucket.blob(f"folder/{number:05}").delete()
        requests += 1
    return requests


def peer_program() -> Path:
    program = PEERS / "bin" / "gcp-storage-emulator"
    if not program.exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(PEERS)], check=True)
        python = str(PEERS / "bin" / "python")
        subprocess.run([uv, "pip", "install", "-q", "--python", python, PACKAGE], check=True)
    return program


@contextmanager
def ours() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="bench-storage-"))
    running = process.start(EmulatorOptions(data=folder / "data", port=0))
    try:
        yield running.url
    finally:
        process.stop(folder / "data")
        shutil.rmtree(folder)


@contextmanager
def peer(*options: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="bench-storage-"))
    arguments = ["start", "--quiet", "--host=127.0.0.1", f"--port={port}", *options]
    command = [str(peer_program()), "--data-dir", str(folder), *arguments]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--objects", type=int, default=150)
    options = parser.parse_args()
    peer_program()
    rates: dict[str, list[float]] = {}
    with ours() as own, peer() as files, peer("--in-memory") as memory:
        urls = {"tunestack emulator": own, f"{PACKAGE}, files": files, f"{PACKAGE}, in memory": memory}
        for url in urls.values():
            script(url, 5)
        for _ in range(options.rounds):
            for name, url in urls.items():
                started = time.monotonic()
                requests = script(url, options.objects)
                rates.setdefault(name, []).append(requests / (time.monotonic() - started))
    first = rates["tunestack emulator"]
    print("| server | requests a second (median) | ours / its |\n|---|---|---|")
    missed = False
    for name, found in rates.items():
        ratio = median([mine / its for mine, its in zip(first, found, strict=True)])
        missed = missed or ratio < GOAL
        print(f"| {name} | {median(found):.0f} | {ratio:.2f} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
