"""TRL's SFTTrainer with the fast paths, and the callbacks that write what a watcher of the job reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import SFTTrainer

from hf_trainer import checkpoint
from hf_trainer.data import IGNORED, Row
from hf_trainer.fast_paths import FastLoss
from hf_trainer.progress import JsonLines, Progress
from hf_trainer.sampling import EvenSampler


class FastSFTTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer whose loss is computed by the fast paths where they hold, by TRL's own where they do not."""

    fast: FastLoss | None = None
    tokens_seen = 0  # since the last log

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        self.tokens_seen += int(inputs["attention_mask"].sum()) if self.model.training else 0
        if self.fast is None or not self.fast.on or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        total, count = self.fast.total(_rows(inputs))
        return total / (count if num_items_in_batch is None else num_items_in_batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> EvenSampler:
        labels = (train_dataset or self.train_dataset)["labels"]
        return EvenSampler([tuple(t for t in row if t != IGNORED) for row in labels], self.args.seed)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No model card in checkpoints: the manifest says it all."""


class Watcher(TrainerCallback):
    """Writes progress and metrics, marks checkpoints as whole, stops when the process is asked to."""

    def __init__(
        self,
        progress: Progress,
        metrics: JsonLines,
        fingerprint: str,
        stop_asked: Callable[[], bool],
    ) -> None:
        self.trainer: FastSFTTrainer | None = None
        self._progress = progress
        self._metrics = metrics
        self._fingerprint = fingerprint
        self._stop_asked = stop_asked
        self._loss: float | None = None
        self._eval_loss: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress.stepping(state.global_step)
        self._progress.report("training", step=state.global_step, epoch=state.epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._stop_asked():
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        step, logs = state.global_step, logs or {}
        if "loss" in logs:
            self._loss = logs["loss"]
            self._metrics.append(
                step=step, loss=logs["loss"], learning_rate=logs["learning_rate"], tokens=self._tokens()
            )
            self._report("evaluating" if control.should_evaluate else "training", state)
        elif "eval_loss" in logs:
            self._eval_loss = logs["eval_loss"]
            self._metrics.append(step=step, eval_loss=logs["eval_loss"])
            self._report("training", state)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        checkpoint.complete(Path(args.output_dir) / f"checkpoint-{state.global_step}", self._fingerprint)

    def _tokens(self) -> int | None:
        if self.trainer is None:
            return None
        tokens, self.trainer.tokens_seen = self.trainer.tokens_seen, 0
        return tokens

    def _report(self, phase: str, state: Any) -> None:
        self._progress.report(phase, state.global_step, state.epoch, self._loss, self._eval_loss)


def _rows(inputs: dict[str, torch.Tensor]) -> list[Row]:
    """The rows of a padded batch, as the stock collator made it."""
    rows = []
    for tokens, labels, mask in zip(
        inputs["input_ids"], inputs["labels"], inputs["attention_mask"], strict=True
    ):
        length = int(mask.sum())
        counted = (labels[:length] != IGNORED).tolist()
        rows.append(Row(tuple(tokens[:length].tolist()), counted.index(True)))
    return rows
