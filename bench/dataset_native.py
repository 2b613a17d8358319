"""The check with and without the optional native package: whole processes, interleaved, one process each.

The package is built into a folder of its own. Then both ways are held to each other on mutated lines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dataset_corpus import FOLDER, corpus  # noqa: E402
from bench.dataset_mutations import lines  # noqa: E402
from bench.dataset_speed import ORJSON_LOOP, TUNESTACK  # noqa: E402
from bench.measured import Run, measured, median  # noqa: E402

HOME = FOLDER / "native"
GOAL = 1.0  # × the orjson loop, at 1 GB on one core


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench dataset_native", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=100_000, help="mutated ones")
    arguments = parser.parse_args()
    uv = str(Path(sys.executable).parent / "uv")
    build = [uv, "pip", "install", "-q", "--python", sys.executable, "--target", str(HOME), "--upgrade"]
    if subprocess.run([*build, str(ROOT / "native")], check=False).returncode:
        print("left out: the package cannot be built here; native/README.md says what it needs")
        return
    missed = sum(compare(size, arguments.rounds) for size in arguments.megabytes)
    missed += differences(arguments.lines)
    raise SystemExit(1 if missed else 0)


def compare(megabytes: int, rounds: int) -> int:
    """Measure one size, print its table; 1 where the goal is missed."""
    path = corpus(megabytes * 1_000_000)
    check = [TUNESTACK, "dataset", "check", str(path), "--json", "--processes", "1"]
    native = ["env", f"PYTHONPATH={HOME}"]
    programs = {
        "orjson": [sys.executable, "-c", ORJSON_LOOP, str(path)],
        "full report": check,
        "full report, native": [*native, *check],
        "validate only": [*check, "--quick"],
        "validate only, native": [*native, *check, "--quick"],
    }
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            runs[name].append(measured(command, accepted=(0, 1)))
    size = path.stat().st_size / 1e6
    print(f"\n#### {path.name}: {size:.0f} MB, one process, {rounds} rounds\n")
    print("| program | wall s | CPU s | MB/s | memory MB | × orjson | × orjson, CPU |")
    print("|---|---|---|---|---|---|---|")
    ratio = {}
    for name, mine in runs.items():
        pairs = list(zip(runs["orjson"], mine, strict=True))
        ratio[name] = median([base.wall / run.wall for base, run in pairs])
        processor = median([base.processor / run.processor for base, run in pairs])
        wall = median([run.wall for run in mine])
        print(
            f"| {name} | {wall:.2f} | {median([run.processor for run in mine]):.2f} | {size / wall:.0f} "
            f"| {max(run.megabytes for run in mine):.0f} | {ratio[name]:.2f} | {processor:.2f} |",
            flush=True,
        )
    if megabytes < 1000:
        return 0
    print(f"\nGoal of the native full report at 1 GB: ≥ {GOAL}.")
    return ratio["full report, native"] < GOAL


def differences(count: int) -> int:
    """Check mutated lines both ways and compare the whole reports; 1 where they differ."""
    path = FOLDER / "mutated.jsonl"
    path.write_bytes(b"\n".join(lines(11, count)))
    command = [TUNESTACK, "dataset", "check", str(path), "--json", "--processes", "1"]
    told = [
        subprocess.run([*before, *command], check=False, capture_output=True).stdout
        for before in ([], ["env", f"PYTHONPATH={HOME}"])
    ]
    report = json.loads(told[0])
    rows = sum(each["rows"] for each in report["statistics"].values())
    same = told[0] == told[1]
    print(
        f"\n{count:,} mutated lines, {rows:,} of them good: the two reports are {'equal' if same else 'DIFFERENT'}."
    )
    return not same


if __name__ == "__main__":
    main()
