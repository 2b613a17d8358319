"""The trainer stands alone, so its folder is put on the path as `python jobs/trainers/hf` does."""

import json
import os
import random
import sys
from pathlib import Path

import pytest

TRAINER = Path(__file__).parents[3] / "jobs" / "trainers" / "hf"
sys.path.insert(0, str(TRAINER))

# One thread that does not spin while it waits, as the jobs themselves run: beside other load anything else crawls.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", HF_HUB_OFFLINE="1")


@pytest.fixture(scope="session")
def trainer_folder():
    return TRAINER


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    from hf_trainer import base_model

    folder = tmp_path_factory.mktemp("base") / "tiny"
    base_model.tiny(folder)
    return folder


def write_rows(path, count, seed):
    chosen = random.Random(seed)
    things = ["cat", "train", "rain", "soup", "phone", "flight"]
    lines = []
    for _ in range(count):
        bitter = chosen.random() < 0.5
        text = (
            f"the {chosen.choice(things)} {'was late, how nice' * bitter or 'is here'} {chosen.randrange(99)}"
        )
        row = {"input_text": f"Classify:\n{text}", "output_text": "sarcasm" if bitter else "no_sarcasm"}
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="session")
def rows_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    return write_rows(folder / "train.jsonl", 24, 0), write_rows(folder / "validation.jsonl", 8, 1)


@pytest.fixture
def spec_document(tiny_base, rows_files, tmp_path):
    """A job of a few quick steps; tests change what they are about."""
    return {
        "contract": 1,
        "method": "supervised",
        "base_model": str(tiny_base),
        "train": str(rows_files[0]),
        "validation": str(rows_files[1]),
        "train_steps": 12,
        "batch_size": 8,
        "learning_rate_multiplier": 5.0,
        "evaluation_interval": 4,
        "early_stopping": True,
        "seed": 0,
        "threads": 1,
        "recipe": {"top_layers": 2},
        "output": str(tmp_path / "output"),
    }
