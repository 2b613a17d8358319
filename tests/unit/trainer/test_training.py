"""A job from spec to adapter: what it leaves, that it goes on after a stop, and that its shortcuts change nothing."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hf_trainer import training
from hf_trainer.command import main
from hf_trainer.errors import Stopped
from hf_trainer.spec import read_spec


def run(document, stop_asked=lambda: False):
    output = Path(document["output"])
    output.mkdir(exist_ok=True)
    (output / "spec.json").write_text(json.dumps(document))
    training.train(read_spec(output / "spec.json"), stop_asked)
    return output


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses(output):
    return [line["loss"] for line in lines(output / "metrics.jsonl") if "loss" in line]


def adapter_bytes(output):
    return (output / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_base, rows_files):
    """One undisturbed job that others are compared with."""
    document = {
        "base_model": str(tiny_base),
        "train": str(rows_files[0]),
        "validation": str(rows_files[1]),
        "train_steps": 12,
        "batch_size": 8,
        "learning_rate_multiplier": 5.0,
        "evaluation_interval": 4,
        "recipe": {"top_layers": 2},
        "output": str(tmp_path_factory.mktemp("finished")),
    }
    return run(document)


def test_a_job_leaves_what_the_contract_promises(finished):
    assert {path.name for path in finished.iterdir()} >= {
        "adapter", "checkpoints", "eval.json", "manifest.json", "metrics.jsonl", "progress.jsonl",
    }  # fmt: skip
    assert {p.name for p in (finished / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    steps = [line for line in lines(finished / "metrics.jsonl") if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert all(line["tokens"] > 0 for line in steps)
    assert steps[0]["learning_rate"] > 0
    evaluated = json.loads((finished / "eval.json").read_text())
    assert [e["step"] for e in evaluated["evaluations"]] == [4, 8, 12]
    assert evaluated["best_eval_loss"] == min(e["eval_loss"] for e in evaluated["evaluations"])
    assert evaluated["best_step"] in (4, 8, 12)
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["steps"] == 12
    assert all(choice["on"] for choice in manifest["fast_paths"].values())


def test_a_watcher_sees_phases_steps_and_the_time_left(finished):
    progress = lines(finished / "progress.jsonl")
    phases = list(dict.fromkeys(line["phase"] for line in progress))
    assert phases == ["loading", "caching", "training", "evaluating", "saving", "done"]
    elapsed = [line["elapsed_seconds"] for line in progress]
    assert elapsed == sorted(elapsed)
    last_step = [line for line in progress if line["phase"] == "training"][-1]
    assert (last_step["step"], last_step["steps"], last_step["eta_seconds"]) == (12, 12, 0.0)
    assert {"loss", "eval_loss", "epoch"} <= set(last_step)


def test_the_loss_falls(finished):
    values = losses(finished)
    assert values[-1] < values[0] * 0.7


def test_the_same_seed_gives_the_same_adapter(finished, spec_document):
    assert adapter_bytes(run(spec_document)) == adapter_bytes(finished)
    spec_document["output"] += "-other-seed"
    assert adapter_bytes(run(spec_document | {"seed": 1})) != adapter_bytes(finished)


def test_a_job_that_was_asked_to_stop_goes_on_where_it_was(finished, spec_document):
    asked = iter([False] * 9 + [True] * 99)  # somewhere in the middle of the steps
    with pytest.raises(Stopped):
        run(spec_document, lambda: next(asked))
    output = Path(spec_document["output"])
    done = len(losses(output))
    assert 0 < done < 12
    assert not (output / "manifest.json").exists()
    run(spec_document)
    assert losses(output) == losses(finished)
    assert adapter_bytes(output) == adapter_bytes(finished)
    resumed_from = next(line for line in lines(output / "progress.jsonl")[::-1] if line["phase"] == "caching")
    assert resumed_from  # the cache was filled again, in the same order


def test_half_a_checkpoint_and_another_jobs_checkpoint_are_not_gone_on_from(finished, spec_document):
    checkpoints = Path(spec_document["output"]) / "checkpoints"
    for name, marker in (("checkpoint-8", None), ("checkpoint-11", '{"fingerprint": "another"}')):
        (checkpoints / name).mkdir(parents=True)
        if marker:
            (checkpoints / name / "complete.json").write_text(marker)
    assert losses(run(spec_document)) == losses(finished)


def test_a_killed_job_goes_on_from_its_checkpoint(spec_document, trainer_folder, tmp_path):
    """The real process, SIGKILL and SIGTERM; then to the end in this one, against a job that was let be."""
    spec_document |= {"train_steps": 60, "evaluation_interval": 5, "early_stopping": False}
    undisturbed = run(spec_document | {"output": str(tmp_path / "undisturbed")})
    output = Path(spec_document["output"])
    output.mkdir()
    (output / "spec.json").write_text(json.dumps(spec_document))

    def interrupt(sign, marker):
        command = [sys.executable, str(trainer_folder), "--spec", str(output / "spec.json")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not marker.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(sign)
        process.stderr.read()
        return process.wait(), len(losses(output))

    code, done = interrupt(signal.SIGKILL, output / "checkpoints/checkpoint-5/complete.json")
    assert code == -signal.SIGKILL
    assert 5 <= done < 60
    code, done = interrupt(signal.SIGTERM, output / "checkpoints/checkpoint-20/complete.json")
    assert code == 128 + signal.SIGTERM
    assert 20 <= done < 60
    assert (output / f"checkpoints/checkpoint-{done}/complete.json").exists()  # saved where it was stopped
    run(spec_document)
    assert losses(output) == losses(undisturbed)
    assert adapter_bytes(output) == adapter_bytes(undisturbed)


def test_plain_trl_gives_the_same_losses(finished, spec_document):
    """All shortcuts off: TRL's own trainer, forward and loss."""
    spec_document["recipe"]["fast_paths"] = {"completion_head": False}
    output = run(spec_document)
    manifest = json.loads((output / "manifest.json").read_text())
    assert not any(choice["on"] for choice in manifest["fast_paths"].values())
    assert manifest["fast_paths"]["completion_head"]["reason"] == "switched off in the recipe"
    assert losses(output) == pytest.approx(losses(finished), abs=1e-4)
    evaluations = [line["eval_loss"] for line in lines(output / "metrics.jsonl") if "eval_loss" in line]
    theirs = [line["eval_loss"] for line in lines(finished / "metrics.jsonl") if "eval_loss" in line]
    assert evaluations == pytest.approx(theirs, abs=1e-4)


def test_a_batch_in_parts_is_the_same_step(finished, spec_document, monkeypatch):
    monkeypatch.setattr(training, "LARGEST_MICRO_BATCH", 2)
    assert losses(run(spec_document)) == pytest.approx(losses(finished), abs=1e-4)


def test_training_stops_early_and_keeps_the_best(spec_document):
    """A learning rate too small to change anything: nothing gets better after the first evaluation."""
    recipe = {"top_layers": 2, "patience": 2}
    spec_document |= {"learning_rate_multiplier": 1e-12, "evaluation_interval": 2, "recipe": recipe}
    output = run(spec_document)
    evaluated = json.loads((output / "eval.json").read_text())
    assert [e["step"] for e in evaluated["evaluations"]] == [2, 4, 6]
    assert (evaluated["best_step"], evaluated["stopped_early"]) == (2, True)
    assert json.loads((output / "manifest.json").read_text())["steps"] == 6
    spec_document["output"] += "-patient"
    output = run(spec_document | {"early_stopping": False})
    assert json.loads((output / "manifest.json").read_text())["steps"] == 12


def test_without_validation_the_last_step_counts(spec_document):
    output = run(spec_document | {"validation": None, "train_steps": 3})
    evaluated = json.loads((output / "eval.json").read_text())
    assert evaluated == {"best_step": 3, "best_eval_loss": None, "stopped_early": False, "evaluations": []}


@pytest.mark.parametrize(
    ("break_it", "kind", "message"),
    [
        ({"train": "/nowhere/train.jsonl"}, "data", "/nowhere/train.jsonl: there is no such file"),
        ({"base_model": "/nowhere"}, "data", "/nowhere: no base model here"),
        ("bad row", "data", "bad.jsonl:2: need an object with input_text and output_text"),
        (
            "empty text",
            "data",
            "bad.jsonl:2: input_text and output_text must be strings with something in them",
        ),
        ("long row", "data", "bad.jsonl:2: have 3"),
        ("no disk", "resources", "MiB of free disk, need 256 MiB"),
        ("disk fills up", "resources", "the disk is full"),
    ],
)
def test_what_goes_wrong_is_left_for_people(
    spec_document, tmp_path, monkeypatch, capsys, break_it, kind, message
):
    good = '{"input_text": "Classify: a", "output_text": "sarcasm"}\n'
    second = {
        "bad row": '{"input_text": "x"}\n',
        "empty text": '{"input_text": " ", "output_text": "sarcasm"}\n',
        "long row": good.replace("Classify: a", "a" * 3000),
    }
    if isinstance(break_it, dict):
        spec_document |= break_it
    elif break_it in second:
        (tmp_path / "bad.jsonl").write_text(good + second[break_it])
        spec_document["train"] = str(tmp_path / "bad.jsonl")
    elif break_it == "no disk":
        monkeypatch.setattr(
            training.shutil, "disk_usage", lambda _: training.shutil._ntuple_diskusage(100, 99, 1)
        )
    else:

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(training, "_leave", full)
        spec_document |= {"train_steps": 1, "validation": None}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_document))
    assert main(["--spec", str(path)]) == 1
    error = json.loads((Path(spec_document["output"]) / "error.json").read_text())
    assert error["kind"] == kind
    assert message in error["message"]
    assert "Traceback" not in capsys.readouterr().err
    assert not (Path(spec_document["output"]) / "manifest.json").exists()


def test_a_row_without_a_partner_in_its_micro_batch_counts_as_much(spec_document, tmp_path, rows_files):
    """25 rows, batches of 8: the epoch's last step has one row."""
    odd = tmp_path / "odd.jsonl"
    odd.write_text(rows_files[0].read_text() + rows_files[0].read_text().splitlines()[0] + "\n")
    output = run(spec_document | {"train": str(odd), "train_steps": 5, "validation": None})
    epochs = [line["epoch"] for line in lines(output / "progress.jsonl") if line["phase"] == "training"]
    assert epochs == [0, 0.25, 0.5, 0.75, 1.0, 1.25]
