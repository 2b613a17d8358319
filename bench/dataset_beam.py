"""The check as a Beam pipeline of blocks against a pipeline of rows: whole processes, interleaved, Beam's own runner.

The pipeline of rows does less: it decodes by the same type, measures, hashes and counts; no places, no duplicates, no
digests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dataset_corpus import corpus  # noqa: E402
from bench.dataset_speed import TUNESTACK  # noqa: E402
from bench.measured import Run, measured, median  # noqa: E402

GOAL = 2.0
ROWS = """
import sys
from collections import Counter
import apache_beam as beam
import msgspec
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from xxhash import xxh3_64_intdigest
from tunestack.dataset.formats.supervised import Line

class Check(beam.DoFn):
    def setup(self):
        self.decode = msgspec.json.Decoder(Line).decode
    def process(self, text):
        try:
            line = self.decode(text)
        except msgspec.DecodeError as error:
            yield "bad", str(error)
            return
        prompt, answer = line.input_text, line.output_text
        if prompt.isspace() or answer.isspace():
            yield "bad", "empty"
            return
        yield "good", (len(prompt), len(answer), xxh3_64_intdigest(prompt.encode()))

class Count(beam.CombineFn):
    def create_accumulator(self):
        return [0, Counter(), Counter()]
    def add_input(self, counted, row):
        counted[0] += 1
        if row[0] == "good":
            counted[1][row[1][0]] += 1
            counted[2][row[1][1]] += 1
        return counted
    def merge_accumulators(self, all):
        first, *others = all
        for other in others:
            first[0] += other[0]; first[1].update(other[1]); first[2].update(other[2])
        return first
    def extract_output(self, counted):
        return counted[0]

with beam.Pipeline(runner=FnApiRunner()) as pipeline:
    rows = pipeline | beam.io.ReadFromText(sys.argv[1]) | beam.ParDo(Check())
    rows | beam.CombineGlobally(Count()) | beam.Map(print)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench dataset_beam", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    times = [compare(size, arguments.rounds) for size in arguments.megabytes]
    print(
        f"\nGoal of blocks, which give the full report, at the largest size: ≥ {GOAL} × rows: {times[-1]:.2f}."
    )
    raise SystemExit(1 if times[-1] < GOAL else 0)


def compare(megabytes: int, rounds: int) -> float:
    """Measure one size, print its table; how many times faster blocks are."""
    path = corpus(megabytes * 1_000_000)
    programs = {
        "rows": [sys.executable, "-c", ROWS, str(path)],
        "blocks": [TUNESTACK, "dataset", "beam", str(path), "--json"],
        "no Beam, 1 process": [TUNESTACK, "dataset", "check", str(path), "--json", "--processes", "1"],
    }
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            runs[name].append(measured(command, accepted=(0, 1) if name != "rows" else (0,)))
    size = path.stat().st_size / 1e6
    print(f"\n#### {path.name}: {size:.0f} MB, {rounds} rounds, one process\n")
    print("| | wall s | CPU s | MB/s | memory MB | × rows |\n|---|---|---|---|---|---|")
    times = {}
    for name, mine in runs.items():
        times[name] = median([base.wall / run.wall for base, run in zip(runs["rows"], mine, strict=True)])
        wall = median([run.wall for run in mine])
        print(
            f"| {name} | {wall:.2f} | {median([run.processor for run in mine]):.2f} | {size / wall:.0f} "
            f"| {max(run.megabytes for run in mine):.0f} | {times[name]:.2f} |",
            flush=True,
        )
    return times["blocks"]


if __name__ == "__main__":
    main()
