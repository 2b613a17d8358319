"""The dataset check against its peers: whole processes, interleaved, and the medians of each round's ratios.

The yardstick is a bare `for line in file: orjson.loads(line)`, which checks nothing but that each line is JSON.
Together's `files check` and datasketch run from an environment of their own, made with uv at the first run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dataset_corpus import FOLDER, corpus  # noqa: E402
from bench.measured import Run, measured, median  # noqa: E402

PEERS = FOLDER / "peers"
ORJSON_LOOP = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"
TUNESTACK = str(Path(sys.executable).parent / "tunestack")


@dataclass(frozen=True)
class Program:
    """One column of the comparison; ``goal`` is the least ratio to the yardstick, on ``to``."""

    name: str
    command: list[str]
    goal: float | None = None
    to: str = "orjson"
    status: tuple[int, ...] = (0,)


def peers() -> Path:
    """The environment of the peers' own packages; made once."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(PEERS)], check=True)
        packages = ["together==3.1.1", "datasketch==2.0.0"]
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    return python.parent


def programs(path: Path, form: str) -> list[Program]:
    """All programs on one file; the corpus has duplicates and conflicts, so the full check ends with 1."""
    check = [TUNESTACK, "dataset", "check", str(path), "--format", form, "--json"]
    together = [str(peers() / "together"), "files", "check", str(path), "--project", "none"]
    return [
        Program("orjson", [sys.executable, "-c", ORJSON_LOOP, str(path)]),
        Program("together files check 3.1.1", together),
        Program("validate only, 1 process", [*check, "--quick", "--processes", "1"], 0.75),
        Program("full report, 1 process", [*check, "--processes", "1"], 0.33, status=(1,)),
        Program("full report, 2 processes", [*check, "--processes", "2"], 0.55, status=(1,)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench dataset_speed", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--corpora", nargs="+", default=["supervised", "ascii", "gemini"])
    arguments = parser.parse_args()
    print(f"processors: {os.cpu_count()}, load before: {os.getloadavg()[0]:.1f}")
    missed = 0
    for shape in arguments.corpora:
        path = corpus(arguments.megabytes * 1_000_000, shape)
        missed += compare(path, "gemini" if shape == "gemini" else "supervised", arguments.rounds)
    missed += small()
    raise SystemExit(1 if missed else 0)


def compare(path: Path, form: str, rounds: int) -> int:
    """Measure one corpus, print its table; the number of goals missed."""
    candidates = programs(path, form)
    runs: dict[str, list[Run]] = {program.name: [] for program in candidates}
    for _ in range(rounds):
        for program in candidates:
            runs[program.name].append(measured(program.command, accepted=program.status))
    base = runs["orjson"]
    peer = runs["together files check 3.1.1"]
    size, missed = path.stat().st_size / 1e6, 0
    print(f"\n#### {path.name}: {size:.0f} MB, {rounds} rounds\n")
    print("| program | wall s | CPU s | MB/s | memory MB | × orjson | goal | × together |")
    print("|---|---|---|---|---|---|---|---|")
    for program in candidates:
        mine = runs[program.name]
        ratio = median([b.wall / m.wall for b, m in zip(base, mine, strict=True)])
        against = median([p.wall / m.wall for p, m in zip(peer, mine, strict=True)])
        wall = median([run.wall for run in mine])
        missed += program.goal is not None and ratio < program.goal
        print(
            f"| {program.name} | {wall:.2f} | {median([run.processor for run in mine]):.2f} | {size / wall:.0f} "
            f"| {max(run.megabytes for run in mine):.0f} | {ratio:.2f} | "
            f"{'' if program.goal is None else f'≥ {program.goal}'} | {against:.1f} |"
        )
        if program.name.endswith("2 processes"):
            missed += against < 3
    print("\nGoal against Together's check: ≥ 3 × with two processes.")
    return missed


def small(goal: float = 0.15) -> int:
    """Forty rows as a whole command."""
    path = FOLDER / "forty.jsonl"
    with corpus(200_000_000).open("rb") as file:
        path.write_bytes(b"".join(file.readline() for _ in range(40)))
    mine, together = [], []
    for _ in range(11):
        mine.append(measured([TUNESTACK, "dataset", "check", str(path)], accepted=(0, 1)).wall)
        command = [str(peers() / "together"), "files", "check", str(path), "--project", "none"]
        together.append(measured(command).wall)
    print(
        f"\n40 rows, whole command: {median(mine):.3f} s (goal ≤ {goal}); together {median(together):.2f} s"
    )
    return median(mine) > goal


if __name__ == "__main__":
    main()
