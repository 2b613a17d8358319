"""A small real trainer that keeps the job contract: it memorises rows and answers with the nearest prompt's.

Its loss is measured (share of validation rows answered wrongly), its checkpoints are what it has memorised,
it goes on from them, and its serving mode answers from the adapter. ``step_seconds`` comes from the base
model's folder, so that tests can make a job last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path


def write(path: Path, body: object) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(body))
    aside.replace(path)


def nearest(memory: list[dict[str, str]], prompt: str) -> str:
    words = set(prompt.lower().split())
    scored = [(len(words & set(row["input_text"].lower().split())), -i) for i, row in enumerate(memory)]
    best = max(scored, default=(0, 0))
    return memory[-best[1]]["output_text"] if best[0] else ""


def rows(path: str | None) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if path else []


def train(spec: dict) -> int:  # type: ignore[type-arg]
    started = time.monotonic()
    output = Path(spec["output"])
    base = json.loads((Path(spec["base_model"]) / "config.json").read_text())
    (output / "checkpoints").mkdir(parents=True, exist_ok=True)
    progress = (output / "progress.jsonl").open("a")
    (output / "starts.jsonl").open("a").write(json.dumps({"threads": spec["threads"]}) + "\n")

    def say(phase: str, **values: object) -> None:
        elapsed = round(time.monotonic() - started, 3)
        progress.write(
            json.dumps({"phase": phase, "steps": spec["train_steps"], "elapsed_seconds": elapsed, **values})
        )
        progress.write("\n")
        progress.flush()

    say("loading")
    train_rows, validation = rows(spec["train"]), rows(spec["validation"])
    if any(row["input_text"] == "break the trainer" for row in train_rows):
        write(output / "error.json", {"message": "the loss is not a number", "kind": "internal"})
        return 3
    step, memory, evaluations = 0, [], []
    kept = sorted(
        output.glob("checkpoints/checkpoint-*/state.json"), key=lambda p: int(p.parent.name.split("-")[1])
    )
    if kept:
        state = json.loads(kept[-1].read_text())
        step, memory, evaluations = state["step"], state["memory"], state["evaluations"]
    while step < spec["train_steps"]:
        step += 1
        start = (step - 1) * spec["batch_size"] % len(train_rows)
        memory += [row for row in train_rows[start : start + spec["batch_size"]] if row not in memory]
        time.sleep(base.get("step_seconds", 0))
        with (output / "metrics.jsonl").open("a") as metrics:
            metrics.write(json.dumps({"step": step, "loss": 1 - len(memory) / len(train_rows)}) + "\n")
        say("training", step=step, loss=1 - len(memory) / len(train_rows))
        if step % spec["evaluation_interval"] == 0 or step == spec["train_steps"]:
            wrong = sum(nearest(memory, row["input_text"]) != row["output_text"] for row in validation)
            evaluations.append({"step": step, "eval_loss": wrong / max(1, len(validation))})
            folder = output / "checkpoints" / f"checkpoint-{step}"
            folder.mkdir(exist_ok=True)
            write(folder / "state.json", {"step": step, "memory": memory, "evaluations": evaluations})
            which = {"input_text": "which checkpoint", "output_text": f"step {step}"}
            write(folder / "adapter.json", [*memory, which])
            write(folder / "complete.json", {})
    best = min(evaluations, key=lambda item: item["eval_loss"])
    (output / "adapter").mkdir(exist_ok=True)
    write(output / "adapter" / "adapter.json", memory)
    write(
        output / "eval.json",
        {
            "best_step": best["step"],
            "best_eval_loss": best["eval_loss"],
            "stopped_early": False,
            "evaluations": evaluations,
        },
    )
    say("done", step=step)
    write(
        output / "manifest.json",
        {"steps": step, "seconds": round(time.monotonic() - started, 3), "spec": spec},
    )
    return 0


def serve() -> int:
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        memory = (
            json.loads((Path(request["adapter"]) / "adapter.json").read_text()) if request["adapter"] else []
        )
        if "break the worker" in request["prompts"]:
            return 1
        outputs = []
        for prompt in request["prompts"]:
            words = (nearest(memory, prompt) or prompt).split()[: request["max_output_tokens"]]
            text = " ".join(words)
            outputs.append({"text": text, "input_tokens": len(prompt.split()), "output_tokens": len(words)})
        print(json.dumps({"id": request["id"], "outputs": outputs}), flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--base-model")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    sys.exit(serve() if options.serve else train(json.loads(Path(options.spec).read_text())))
