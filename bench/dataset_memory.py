"""Memory of a full check as the input grows: the largest process, and all processes together."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dataset_corpus import corpus, multiplied  # noqa: E402

TUNESTACK = str(Path(sys.executable).parent / "tunestack")
GOAL_MEGABYTES, GOAL_GROWTH = 100.0, 1.8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench dataset_memory", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    print(f"{processes} processes\n\n| input | seconds | largest process MB | all, shared pages split MB |")
    print("|---|---|---|---|")
    largest = {}
    for name, files in (
        ("0.2 GB", [corpus(200_000_000)]),
        ("1 GB", [corpus(1_000_000_000)]),
        ("10 GB", [multiplied(corpus(1_000_000_000), 10)]),
    ):
        seconds, largest[name], together = watched(files, processes)
        print(f"| {name} | {seconds:.1f} | {largest[name]:.0f} | {together:.0f} |", flush=True)
    growth = largest["10 GB"] / largest["1 GB"]
    print(f"\nGoal: ≤ {GOAL_MEGABYTES:.0f} MB, growth from 1 to 10 GB ≤ {GOAL_GROWTH}: {growth:.2f}.")
    raise SystemExit(1 if max(largest.values()) > GOAL_MEGABYTES or growth > GOAL_GROWTH else 0)


def watched(files: list[Path], processes: int) -> tuple[float, float, float]:
    """Seconds, largest resident set of one process, largest sum of proportional set sizes; megabytes."""
    command = [TUNESTACK, "dataset", "check", *map(str, files), "--processes", str(processes), "--json"]
    started, alone, together = time.monotonic(), 0.0, 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                infos = [each.memory_full_info() for each in [process, *process.children(recursive=True)]]
            except psutil.Error:
                continue
            alone = max(alone, *(info.rss / 1e6 for info in infos))
            together = max(together, sum(info.pss for info in infos) / 1e6)
            time.sleep(0.05)  # the interval of sampling
    if child.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return time.monotonic() - started, alone, together


if __name__ == "__main__":
    main()
