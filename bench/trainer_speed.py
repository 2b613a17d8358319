"""How much faster a step of our trainer is than one of plain TRL: same model, rows, batch, seed; one thread.

    python bench/trainer_speed.py [--job NAME] [--steps N]

Each side runs in its own process. Seconds are processor time, so that other load on the machine counts little; the
first step, which warms up, is left out. "with caching" adds the filling of the cache, spread over the job's steps.
Prints a Markdown table; exit code 1 where the goal (4 ×, losses within 1e-4) is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import quality

GOAL_RATIO, GOAL_DIFFERENCE = 4.0, 1e-4


def measure(spec_path: Path, plain: bool) -> None:
    """The child: train, and print per step the processor seconds and the loss."""
    sys.path.insert(0, str(quality.TRAINER))
    from hf_trainer.command import _prepare
    from hf_trainer.spec import read_spec

    spec = read_spec(spec_path)
    _prepare(spec.threads)
    import hf_trainer.trainer
    import torch
    import trl
    from hf_trainer import training
    from hf_trainer.data import read_examples, tokenise
    from hf_trainer.fast_paths import FastLoss
    from hf_trainer.prompt import PromptFormat
    from hf_trainer.spec import FastPaths
    from transformers import TrainerCallback

    torch.set_num_threads(spec.threads)
    if plain:
        order = {"_get_train_sampler": hf_trainer.trainer.FastSFTTrainer._get_train_sampler}
        hf_trainer.trainer.FastSFTTrainer = type("PlainInOurOrder", (trl.SFTTrainer,), order)
        training.LARGEST_MICRO_BATCH = spec.batch_size

    class Steps(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            self.began = time.process_time()

        def on_step_end(self, args, state, control, **_):
            seconds.append(time.process_time() - self.began)

        def on_log(self, args, state, control, logs=None, **_):
            losses.extend([logs["loss"]] if "loss" in logs else [])

    seconds: list[float] = []
    losses: list[float] = []
    prompt_format = PromptFormat.load(spec.base_model)
    rows = tokenise(read_examples(spec.train), prompt_format, 8192)
    trainer = training._trainer(spec, prompt_format, rows, [], Steps())
    caching = 0.0
    if not plain:
        trainer.fast = FastLoss(trainer.model, rows, FastPaths())
        began = time.process_time()
        list(trainer.fast.fill_cache(rows))
        caching = time.process_time() - began
    trainer.train()
    print(json.dumps({"seconds": seconds, "losses": losses, "caching": caching}))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", default="sarcasm-classification", choices=quality.load_jobs())
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.plain)
        return 0
    job = quality.load_jobs()[options.job]
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        spec = quality.write_spec(job, Path(folder), seed=0, train_steps=options.steps, validation=None)
        for name, flags in (("plain TRL", ["--plain"]), ("ours", [])):
            command = [sys.executable, __file__, "--measure", str(spec), *flags]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[name] = json.loads(answer.splitlines()[-1])
    plain, ours = (statistics.median(results[name]["seconds"][1:]) for name in ("plain TRL", "ours"))
    spread = ours + results["ours"]["caching"] / job.train_steps
    difference = max(
        abs(a - b) for a, b in zip(results["ours"]["losses"], results["plain TRL"]["losses"], strict=True)
    )
    print(f"{job.name}, batch {job.batch_size}, {options.steps} steps, one thread\n")
    print("| | seconds a step | times faster |\n|---|---|---|")
    print(f"| plain TRL SFTTrainer | {plain:.2f} | 1 |")
    print(f"| ours | {ours:.2f} | {plain / ours:.1f} |")
    print(f"| ours, with caching, over {job.train_steps} steps | {spread:.2f} | {plain / spread:.1f} |")
    print(f"\nLargest difference of losses: {difference:.1e}")
    return 0 if plain / ours >= GOAL_RATIO and difference <= GOAL_DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())
