"""What the trainer is told is read strictly, and a mistake is named."""

import json
import re

import pytest
from hf_trainer.errors import TrainerError, explain
from hf_trainer.spec import read_spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_stepps": 3}, "unknown key train_stepps; allowed: .*train_steps"),
        ({"train": None}, "train: have null, need Path"),
        ({"train_steps": "12"}, 'train_steps: have "12", need int'),
        ({"train_steps": True}, "train_steps: have true, need int"),
        ({"batch_size": 0}, "batch_size: have 0, need at least 1"),
        ({"learning_rate_multiplier": 0}, "learning_rate_multiplier: have 0.0, need > 0"),
        ({"recipe": {"rang": 8}}, "recipe: unknown key rang"),
        ({"method": "rlhf"}, "method: have 'rlhf'"),
        ({"contract": 2}, "contract: have 2, this trainer speaks 1"),
    ],
)
def test_a_mistake_in_the_spec_is_named_with_file_and_field(spec_document, tmp_path, change, message):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_document | change))
    with pytest.raises(TrainerError, match=f"{re.escape(str(path))}.*{message}"):
        read_spec(path)


def test_a_missing_key_is_named(spec_document, tmp_path):
    del spec_document["train_steps"]
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_document))
    with pytest.raises(TrainerError, match="missing key train_steps"):
        read_spec(path)


def test_a_checkpoint_belongs_to_all_that_decides_the_losses_and_to_nothing_else(spec_document, tmp_path):
    path = tmp_path / "spec.json"

    def fingerprint(**change):
        path.write_text(json.dumps(spec_document | change))
        return read_spec(path).fingerprint()

    assert fingerprint() == fingerprint(output="/elsewhere", threads=2)
    assert len({fingerprint(), fingerprint(seed=1), fingerprint(train_steps=13), fingerprint(recipe={})}) == 4


def test_vertex_decides_where_checkpoints_and_the_model_go(spec_document, tmp_path, monkeypatch):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_document))
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://bucket/checkpoints")
    monkeypatch.setenv("AIP_MODEL_DIR", "/model")
    spec = read_spec(path)
    assert (str(spec.checkpoints), str(spec.adapter)) == ("/gcs/bucket/checkpoints", "/model")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), "resources"),
        (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), "resources"),
        (MemoryError(), "resources"),
        (FileNotFoundError(2, "No such file", "/x"), "data"),
        (ZeroDivisionError("division by zero"), "internal"),
    ],
)
def test_a_failure_says_who_can_do_something_about_it(error, kind):
    assert explain(error).kind == kind
