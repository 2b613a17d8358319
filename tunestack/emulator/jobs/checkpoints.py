"""Intermediate checkpoints of a tuning: the adapters at the ends of epochs, kept while the trainer throws them away.

A trainer's ``checkpoints/checkpoint-<step>/`` holds the adapter of its step beside what only the trainer needs, and
``complete.json`` once it is whole; it keeps the newest ones alone. So each is linked to as soon as it is whole.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from tunestack.emulator.jobs.run import Run
from tunestack.emulator.services.model_registry import Adapter

Json = dict[str, Any]

# cloud.google.com/vertex-ai/generative-ai/docs/models/tune-model-with-checkpoints: one an epoch, ten at most.
_AT_MOST = 10


def keep(run: Run, output: Path) -> None:
    """Link to every whole checkpoint that is there now. Done twice it changes nothing."""
    for checkpoint in output.glob("checkpoints/checkpoint-*"):
        target = _folder(run) / checkpoint.name
        if target.exists() or not (checkpoint / "complete.json").is_file():
            continue
        aside = target.with_suffix(".aside")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            for path in checkpoint.iterdir():
                if path.is_file():
                    os.link(path, aside / path.name)
        except FileNotFoundError:
            # The trainer removed it meanwhile: then it is not kept.
            shutil.rmtree(aside)
            continue
        aside.rename(target)


def exported(run: Run, adapter: Path, steps_per_epoch: int, epochs: int) -> list[tuple[Json, Adapter]]:
    """The checkpoints that a model gets, oldest first: ``{"checkpointId", "epoch", "step"}`` and the adapter."""
    names = [path.name for path in adapter.iterdir() if path.is_file()]
    for path in _folder(run).glob("checkpoint-*/*"):
        if path.name not in names:
            # An optimiser's state is larger than its adapter, and of no use any more.
            path.unlink()
    count = min(epochs, _AT_MOST)
    found: list[tuple[Json, Adapter]] = []
    for number in range(1, count + 1):
        epoch = -(-epochs * number // count)
        step = epoch * steps_per_epoch
        folder = _folder(run) / f"checkpoint-{step}"
        if all((folder / name).is_file() for name in names):
            row = {"checkpointId": str(len(found) + 1), "epoch": str(epoch), "step": str(step)}
            found.append((row, partial(_link, folder, names)))
    return found


def _link(source: Path, names: list[str], target: Path) -> None:
    for name in names:
        os.link(source / name, target / name)


def _folder(run: Run) -> Path:
    return run.folder / "exported"
