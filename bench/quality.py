"""What tuning brings, over several seeds: base, tuned, a shuffled-label control, and TF-IDF + logistic regression.

    python bench/quality.py [--job NAME] [--seeds N] [--validation] [--steps N] [--multiplier X] [--recipe JSON]

Trains through the job contract and asks through the server, as the local stack does; scores with
`tunestack.evaluation`. `--validation` scores the validation split instead of the held-out sets: choose recipes
there. Prints Markdown tables; a score is the mean of the seeds, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tunestack.dataset import compile_dataset
from tunestack.evaluation.classification import classification_scores
from tunestack.evaluation.generation import generation_scores
from tunestack.spec.dataset import load_dataset

ROOT = Path(__file__).parents[1]
TRAINER = ROOT / "jobs" / "trainers" / "hf"
BASE_MODEL = ROOT / ".tunestack" / "base-models" / "smollm2-135m-instruct"
BATCH_SIZES = {"GPU": 8, "TPU": 24}  # as the tuning template resolves them

Row = dict[str, Any]
Scores = dict[str, dict[str, float]]  # set → metric → score


@dataclass(frozen=True)
class Job:
    """What of a job file decides the result."""

    name: str
    dataset: str
    batch_size: int
    train_steps: int
    multiplier: float
    interval: int
    early_stopping: bool
    longest: int
    recipe: dict[str, Any]

    @property
    def folder(self) -> Path:
        return ROOT / "datasets" / self.dataset


def load_jobs() -> dict[str, Job]:
    """The supervised jobs under jobs/."""
    jobs = {}
    for path in sorted((ROOT / "jobs").glob("*.yaml")):
        file = yaml.safe_load(path.read_text())
        jobs[file["name"]] = Job(
            name=file["name"],
            dataset=file["dataset"],
            batch_size=BATCH_SIZES[file["accelerator"]],
            train_steps=file["train_steps"],
            multiplier=file["learning_rate_multiplier"],
            interval=file["evaluation"]["interval"],
            early_stopping=file["evaluation"]["early_stopping"],
            longest=file["max_output_tokens"],
            recipe={},
        )
    return jobs


def rows_of(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_spec(
    job: Job, output: Path, seed: int, train_steps: int | None = None, shuffled: bool = False, **change: Any
) -> Path:
    """Compile the dataset into `output` and write the trainer's spec there."""
    compiled = compile_dataset(job.folder, output)
    assert compiled.validation is not None
    files = {"train": compiled.train.path, "validation": compiled.validation.path}
    if shuffled:
        for name, path in files.items():
            rows = rows_of(path)
            replies = [row["output_text"] for row in rows]
            random.Random(seed).shuffle(replies)
            files[name] = output / f"shuffled-{name}.jsonl"
            shuffled_rows = [row | {"output_text": reply} for row, reply in zip(rows, replies, strict=True)]
            files[name].write_text("".join(json.dumps(row) + "\n" for row in shuffled_rows))
    document = {
        "contract": 1,
        "method": "supervised",
        "base_model": str(BASE_MODEL),
        **{name: str(path) for name, path in files.items()},
        "train_steps": train_steps or job.train_steps,
        "batch_size": job.batch_size,
        "learning_rate_multiplier": job.multiplier,
        "evaluation_interval": job.interval,
        "early_stopping": job.early_stopping,
        "seed": seed,
        "threads": 1,
        "recipe": job.recipe,
        "output": str(output),
        **change,
    }
    path = output / "spec.json"
    path.write_text(json.dumps(document))
    return path


def evaluation_sets(job: Job, folder: Path, validation: bool) -> dict[str, list[Row]]:
    compiled = compile_dataset(job.folder, folder)
    if validation:
        assert compiled.validation is not None
        return {"validation": rows_of(compiled.validation.path)}
    return {name: rows_of(file.path) for name, file in compiled.held_out.items()}


def train(job: Job, output: Path, seed: int, shuffled: bool = False) -> dict[str, Any]:
    """Tune; returns the trainer's manifest and eval.json as one."""
    output.mkdir(parents=True)
    spec = write_spec(job, output, seed, shuffled=shuffled)
    subprocess.run([sys.executable, TRAINER, "--spec", spec], check=True, stdout=subprocess.DEVNULL)
    return {name: json.loads((output / f"{name}.json").read_text()) for name in ("manifest", "eval")}


def ask(job: Job, adapters: Sequence[Path | None], sets: dict[str, list[Row]]) -> list[dict[str, list[str]]]:
    """Greedy replies of every adapter (None: the base) to every set."""
    requests = [
        {"adapter": adapter and str(adapter), "prompts": [row["input_text"] for row in rows]}
        | {"max_output_tokens": job.longest, "temperature": 0.0}
        for adapter in adapters
        for rows in sets.values()
    ]
    lines = "".join(json.dumps({"id": i, **request}) + "\n" for i, request in enumerate(requests))
    command = [sys.executable, TRAINER, "--serve", "--base-model", BASE_MODEL, "--threads", "1"]
    served = subprocess.run(command, input=lines, check=True, capture_output=True, text=True)
    answers = iter([json.loads(line) for line in served.stdout.splitlines()][1:])
    return [{name: [o["text"] for o in next(answers)["outputs"]] for name in sets} for _ in adapters]


def score(job: Job, sets: dict[str, list[Row]], replies: dict[str, list[str]]) -> Scores:
    labels = load_dataset(job.folder).labels
    scores = {}
    for name, rows in sets.items():
        if labels:
            scores[name] = classification_scores(replies[name], [row["output_text"] for row in rows], labels)
        else:
            references = [row.get("references") or [row["output_text"]] for row in rows]
            scores[name] = generation_scores(replies[name], references, [row["input_text"] for row in rows])
    return scores


def words_baseline(job: Job, output: Path, sets: dict[str, list[Row]]) -> Scores:
    """TF-IDF of words and word pairs, logistic regression: what needs no language model."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = rows_of(compile_dataset(job.folder, output).train.path)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10))
    model.fit([row["input_text"] for row in rows], [row["output_text"] for row in rows])
    return score(
        job, sets, {n: list(model.predict([row["input_text"] for row in held])) for n, held in sets.items()}
    )


def table(job: Job, sets: dict[str, list[Row]], columns: dict[str, list[Scores]]) -> str:
    lines = [f"| set | metric | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for name, rows in sets.items():
        for metric in next(iter(columns.values()))[0][name]:
            cells = []
            for runs in columns.values():
                values = [run[name][metric] for run in runs]
                mean = f"{statistics.mean(values):.3f}"
                cells.append(mean if len(values) == 1 else f"{mean} ({min(values):.3f}–{max(values):.3f})")
            lines.append(f"| {name} ({len(rows)}) | {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def report(job: Job, seeds: int, validation: bool, control: bool) -> str:
    """Train and judge one job; returns Markdown."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets = evaluation_sets(job, folder, validation)
        tuned = [train(job, folder / f"tuned-{seed}", seed) for seed in range(seeds)]
        adapters: list[Path | None] = [None, *(folder / f"tuned-{seed}" / "adapter" for seed in range(seeds))]
        labels = load_dataset(job.folder).labels
        if control:
            train(job, folder / "control", 0, shuffled=True)
            adapters.append(folder / "control" / "adapter")
        scores = [score(job, sets, replies) for replies in ask(job, adapters, sets)]
        columns = {"base": scores[:1], f"tuned, {seeds} seeds": scores[1 : seeds + 1]}
        if control:
            columns["shuffled control"] = scores[seeds + 1 :]
        if labels:
            columns["TF-IDF + logistic regression"] = [words_baseline(job, folder, sets)]
        steps = [f"{run['eval']['best_step']} of {run['manifest']['steps']}" for run in tuned]
        losses = [f"{run['eval']['best_eval_loss']:.4f}" for run in tuned]
        seconds = [f"{run['manifest']['seconds']:.0f}" for run in tuned]
        return "\n".join(
            [
                f"### {job.name}: {job.train_steps} steps of {job.batch_size}, multiplier {job.multiplier:g}",
                "",
                table(job, sets, columns),
                "",
                f"Best step {', '.join(steps)}; validation loss {', '.join(losses)}; {', '.join(seconds)} s.",
                "",
            ]
        )


def main() -> None:
    jobs = load_jobs()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", choices=jobs, help="only this one")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", action="store_true", help="score the validation split")
    parser.add_argument("--no-control", action="store_true", help="without the shuffled-label run")
    parser.add_argument("--steps", type=int, help="instead of the job's train_steps")
    parser.add_argument("--multiplier", type=float, help="instead of the job's learning_rate_multiplier")
    parser.add_argument("--interval", type=int, help="instead of the job's evaluation interval")
    parser.add_argument("--recipe", type=json.loads, default={}, help="the trainer's recipe, as JSON")
    options = parser.parse_args()
    for job in [jobs[options.job]] if options.job else jobs.values():
        changed = replace(
            job,
            train_steps=options.steps or job.train_steps,
            multiplier=options.multiplier or job.multiplier,
            interval=options.interval or job.interval,
            recipe=options.recipe,
        )
        print(report(changed, options.seeds, options.validation, not options.no_control), flush=True)


if __name__ == "__main__":
    main()
