"""One tuning job from spec to adapter."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_trainer import __version__, base_model, checkpoint, files
from hf_trainer.data import Row, read_examples, tokenise
from hf_trainer.errors import Stopped, TrainerError
from hf_trainer.progress import JsonLines, Progress
from hf_trainer.prompt import PromptFormat
from hf_trainer.spec import FastPaths, TrainingSpec

ENGINE = "hf"
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "safetensors")
DISK_NEED = 256 * 2**20  # bytes: three checkpoints with optimiser state, the adapter, and some room
LARGEST_MICRO_BATCH = 8
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def train(
    spec: TrainingSpec, stop_asked: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> None:
    """Tune as `spec` says and leave what docs/contracts.md, section 4 promises under `spec.output`.

    Raises TrainerError for what people can mend, Stopped when `stop_asked` turned true and the work is saved.
    """
    spec.output.mkdir(parents=True, exist_ok=True)
    progress = Progress(spec.output / "progress.jsonl", spec.train_steps, clock)
    progress.report("loading")
    _check_disk(spec.output)
    _check_base_model(spec.base_model)
    train_examples = read_examples(spec.train)
    validation_examples = read_examples(spec.validation) if spec.validation else []

    # Past this line seconds of imports: what is wrong with the files has been said by now.
    import torch

    from hf_trainer.fast_paths import FastLoss
    from hf_trainer.trainer import Watcher

    torch.set_num_threads(spec.threads)
    if stop_asked():
        raise Stopped
    prompt_format, longest = PromptFormat.load(spec.base_model), _context(spec.base_model)
    train_rows = tokenise(train_examples, prompt_format, longest)
    validation_rows = tokenise(validation_examples, prompt_format, longest)
    metrics = JsonLines(spec.output / "metrics.jsonl")
    watcher = Watcher(progress, metrics, spec.fingerprint(), stop_asked)
    trainer = _trainer(spec, prompt_format, train_rows, validation_rows, watcher)
    watcher.trainer = trainer

    fast = FastLoss(trainer.model, [*train_rows, *validation_rows], FastPaths(**spec.recipe.fast_paths))
    trainer.fast = fast
    seen = min(len(train_rows), spec.train_steps * spec.batch_size)
    rows = [*train_rows, *validation_rows] if seen == len(train_rows) else validation_rows
    for done in fast.fill_cache(rows):
        progress.report("caching", rows=(done, len(rows)))
        if stop_asked():
            raise Stopped

    resume = checkpoint.newest(spec.checkpoints, spec.fingerprint())
    metrics.forget_after(checkpoint.step_of(resume) if resume else 0)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if stop_asked() and trainer.state.global_step < spec.train_steps:
        raise Stopped
    progress.report("saving", trainer.state.global_step)
    _leave(spec, trainer, fast, progress.elapsed)
    progress.report("done", trainer.state.global_step)


def _trainer(
    spec: TrainingSpec,
    prompt_format: PromptFormat,
    train_rows: list[Row],
    validation_rows: list[Row],
    watcher: Any,
) -> Any:
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, EarlyStoppingCallback, PrinterCallback
    from trl import SFTConfig

    from datasets import Dataset
    from hf_trainer.layout import ATTENTION
    from hf_trainer.trainer import FastSFTTrainer

    recipe, accelerated = spec.recipe, torch.cuda.is_available()
    evaluated = bool(validation_rows)
    at_once = spec.batch_size if accelerated else _micro_batch(spec.batch_size)
    arguments = SFTConfig(
        output_dir=str(spec.checkpoints),
        max_steps=spec.train_steps,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=spec.batch_size // at_once,
        per_device_eval_batch_size=recipe.evaluation_batch_size,
        learning_rate=recipe.learning_rate * spec.learning_rate_multiplier,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_gradient_norm,
        logging_steps=1,
        eval_strategy="steps" if evaluated else "no",
        eval_steps=spec.evaluation_interval,
        save_strategy="steps",
        save_steps=spec.evaluation_interval,
        save_total_limit=2,
        load_best_model_at_end=evaluated,
        metric_for_best_model="eval_loss" if evaluated else None,
        greater_is_better=False if evaluated else None,
        prediction_loss_only=True,
        report_to=_reports(),
        disable_tqdm=True,
        use_cpu=not accelerated,
        # Compute in float32 on a processor: without hardware for it, bfloat16 products are sixty times slower.
        bf16=accelerated,
        gradient_checkpointing=False,  # memory is not short, time is
        dataloader_pin_memory=accelerated,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        seed=spec.seed,
        data_seed=spec.seed,
    )
    callbacks = [watcher]
    if evaluated and spec.early_stopping:
        callbacks.append(EarlyStoppingCallback(recipe.patience))
    options = {"dtype": torch.float32, "local_files_only": True}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(spec.base_model), attn_implementation=ATTENTION, **options
        )
    except ValueError:  # a model without an attention interface keeps its own attention
        model = AutoModelForCausalLM.from_pretrained(str(spec.base_model), **options)
    trainer = FastSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(_columns(train_rows)),
        eval_dataset=Dataset.from_list(_columns(validation_rows)) if evaluated else None,
        processing_class=prompt_format.tokenizer,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=list(recipe.target_modules),
            layers_to_transform=_adapted_layers(
                model.config.get_text_config().num_hidden_layers, recipe.top_layers
            ),
        ),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl has it all
    return trainer


def _adapted_layers(layers: int, top: int) -> list[int]:
    return list(range(layers - top if 0 < top < layers else 0, layers))


def _columns(rows: list[Row]) -> list[dict[str, list[int]]]:
    return [{"input_ids": list(row.tokens), "labels": row.labels} for row in rows]


def _leave(spec: TrainingSpec, trainer: Any, fast: Any, seconds: float) -> None:
    """Adapter, eval.json, and last the manifest."""
    state = trainer.state
    evaluations = [
        {"step": entry["step"], "eval_loss": entry["eval_loss"]}
        for entry in state.log_history
        if "eval_loss" in entry
    ]
    best = Path(state.best_model_checkpoint) if state.best_model_checkpoint else None
    best = best or spec.checkpoints / f"checkpoint-{state.global_step}"

    def fill(aside: Path) -> None:
        for name in ADAPTER_FILES:
            shutil.copyfile(best / name, aside / name)

    files.write_folder(spec.adapter, fill)
    files.write_json(
        spec.output / "eval.json",
        {
            "best_step": checkpoint.step_of(best),
            "best_eval_loss": state.best_metric,
            "stopped_early": state.global_step < spec.train_steps,
            "evaluations": evaluations,
        },
    )
    files.write_json(
        spec.output / "manifest.json",
        {
            "contract": spec.contract,
            "engine": {"name": ENGINE, "version": __version__},
            "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
            "device": str(trainer.args.device),
            "base_model": {"path": str(spec.base_model), "digest": base_model.digest(spec.base_model)},
            "adapter": {"path": str(spec.adapter), "digest": files.sha256(spec.adapter / ADAPTER_FILES[1])},
            "steps": state.global_step,
            "seconds": round(seconds, 1),
            "fast_paths": {name: dataclasses.asdict(choice) for name, choice in fast.choices.items()},
            "spec": spec.as_json(),
        },
    )


def _micro_batch(batch_size: int) -> int:
    """How many rows go through the model at a time: activations of more than eight outgrow the processor's cache
    and, in float32, the memory two jobs side by side may take. The step's loss and gradient are the same."""
    return next(size for size in range(min(batch_size, LARGEST_MICRO_BATCH), 0, -1) if batch_size % size == 0)


def _reports() -> list[str]:
    """Tensorboard where Vertex names a folder for it and the container can write to it."""
    folder = os.environ.get("AIP_TENSORBOARD_LOG_DIR")
    if not folder or importlib.util.find_spec("tensorboard") is None:
        return []
    os.environ["TENSORBOARD_LOGGING_DIR"] = folder
    return ["tensorboard"]


def _check_base_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise TrainerError(f"{folder}: no base model here (config.json is missing)")


def _context(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return int(config.get("max_position_embeddings", 2048))


def _check_disk(folder: Path) -> None:
    if (free := shutil.disk_usage(folder).free) < DISK_NEED:
        raise TrainerError(
            f"{folder}: have {free / 2**20:.0f} MiB of free disk, need {DISK_NEED / 2**20:.0f} MiB",
            "resources",
        )
