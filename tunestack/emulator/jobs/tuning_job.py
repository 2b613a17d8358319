"""Tuning jobs: supervised tuning of a Gemini or open model, played by the local base model."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from tunestack.emulator.conversation import tuning_rows
from tunestack.emulator.jobs import checkpoints
from tunestack.emulator.jobs.files import content_of, json_file
from tunestack.emulator.jobs.lineage import begin_tuning, end_tuning
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import JOB_STATES, TaskFailed
from tunestack.emulator.jobs.training import train
from tunestack.emulator.jobs.tuned_model import put_on_endpoint, register
from tunestack.emulator.services import quotas
from tunestack.emulator.services.model_registry import (
    Adapter,
    adapter_of_folder,
    keep_checkpoint,
    model_row,
)

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

PLAYED = "supervisedTuningSpec"
# Google chooses epochs and batches of Gemini itself and does not say how; these are ours.
_EPOCHS = 3
_BATCH_SIZE = 8
_SEED = 0
_RANKS = {"ONE": 1, "TWO": 2, "FOUR": 4, "EIGHT": 8, "SIXTEEN": 16, "THIRTY_TWO": 32}
_DETAIL = "TUNING_JOB_STATE_"
_WAITING = f"{_DETAIL}WAITING_FOR_QUOTA"
_LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True)
class Tuning:
    """What a training left: the adapter of its best step, and those of its epochs. ``default`` is the best one's id
    (Google's default is the last)."""

    adapter: Path
    checkpoints: list[tuple[Json, Adapter]]
    default: str | None


class TuningJob:
    collection: ClassVar = "tuningJobs"
    noun: ClassVar = "tuning job"
    states: ClassVar = JOB_STATES

    def open(self, state: State, name: str) -> Run:
        return Run(state, name)

    def trains(self, run: Run) -> bool:
        outcome = run.notes.get("outcome")
        return not outcome or outcome["afterStep"] is not None

    async def work(self, run: Run) -> Json:
        with run.state.database.transaction():
            run.change(experiment=begin_tuning(run))
        tuning = None
        if not await run.script():
            tuning = await self._tune(run)
        _detail(run, "POST_PROCESSING")
        tuned = _publish(run, tuning)
        with run.state.database.transaction():
            end_tuning(run, "SUCCEEDED", tuned["model"])
        return {"tunedModel": tuned, "tuningJobState": None}

    def close(self, run: Run, state: str, error: Json | None) -> None:
        run.change(tuningJobState=None)
        end_tuning(run, state)

    async def _tune(self, run: Run) -> Tuning:
        """Read the data and train."""
        row = run.row
        if PLAYED not in row or "preTunedModel" in row or "customBaseModel" in row:
            what = next((key for key in ("preTunedModel", "customBaseModel") if key in row), _spec_of(row))
            raise TaskFailed(
                "UNIMPLEMENTED",
                f"the emulator does not play {what}: it trains {PLAYED} from a base model. A scripted outcome"
                " (/_local/outcomes) ends such a job without training.",
            )
        spec = row[PLAYED]
        await _quota(run)
        _detail(run, "PROCESSING_DATASET")
        files = {name: _rows(run, spec.get(f"{name}DatasetUri", "")) for name in ("training", "validation")}
        if problems := [problem for _, found in files.values() for problem in found]:
            noun = "row is" if len(problems) == 1 else "rows are"
            raise TaskFailed(
                "INVALID_ARGUMENT", "\n".join([f"{len(problems)} {noun} not fit for tuning:", *problems])
            )
        rows, validation = files["training"][0], files["validation"][0]
        parameters = spec.get("hyperParameters", {})
        epochs = int(parameters.get("epochCount", _EPOCHS))
        batch = int(parameters.get("batchSize", _BATCH_SIZE))
        steps_per_epoch = math.ceil(len(rows) / batch)
        characters = sum(len("".join(row["input_text"].split() + row["output_text"].split())) for row in rows)
        statistics = {
            "tuningDatasetExampleCount": str(len(rows)),
            "tuningStepCount": str(steps_per_epoch * epochs),
            "totalBillableCharacterCount": str(characters * epochs),
            "totalTuningCharacterCount": str(characters),
        }
        run.change(tuningDataStats={"supervisedTuningDataStats": statistics})
        _detail(run, "TUNING")

        def trainer_spec(base_model: Path, output: Path) -> Json:
            return {
                "contract": 1,
                "method": "supervised",
                "base_model": str(base_model),
                "train": _write(run, "train", rows),
                "validation": _write(run, "validation", validation) if validation else None,
                "train_steps": steps_per_epoch * epochs,
                "batch_size": batch,
                "learning_rate_multiplier": float(parameters.get("learningRateMultiplier", 1.0)),
                "evaluation_interval": steps_per_epoch,
                "early_stopping": False,
                "seed": _SEED,
                "threads": run.state.options.threads,
                "recipe": _recipe(parameters),
                "output": str(output),
            }

        def on_progress(progress: Json) -> None:
            done = int(progress.get("step", 0)) // steps_per_epoch
            run.change(tuningJobMetadata={"completedEpochCount": str(done)})
            checkpoints.keep(run, run.folder / "output")

        output, _ = await train(run, trainer_spec, on_progress)
        checkpoints.keep(run, output)
        found = []
        if not spec.get("exportLastCheckpointOnly"):
            found = checkpoints.exported(run, output / "adapter", steps_per_epoch, epochs)
        best = json_file(output / "eval.json").get("best_step")
        default = next((row["checkpointId"] for row, _ in found if row["step"] == str(best)), None)
        return Tuning(output / "adapter", found, default)


async def _quota(run: Run) -> None:
    """Wait until fewer jobs of the project train than its quota allows."""
    state, project = run.state, run.name.split("/")[1]
    quota = quotas.QUOTAS[quotas.VERTEX, quotas.TUNING_JOBS]
    while True:
        before = [
            row
            for row in state.rows.list(TuningJob.collection)
            if row["name"].split("/")[1] == project
            and row["state"] == f"{run.state_prefix}RUNNING"
            and row.get("tuningJobState", _WAITING) != _WAITING
        ]
        value = quotas.enforced(state, project, quota, {})
        if value is None or len(before) < value:
            return
        if run.row.get("tuningJobState") != _WAITING:
            run.change(tuningJobState=_WAITING)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _publish(run: Run, tuning: Tuning | None) -> Json:
    """The tuned model, its endpoint, and one for each of its other checkpoints, as Google deploys them."""
    row = run.row
    base = row.get("baseModel") or row["preTunedModel"].get("baseModel", "an unknown model")
    labels = {
        **row.get("labels", {}),
        "google-vertex-llm-tuning-base-model-id": base.rpartition("/")[2].replace("@", "-").replace(".", "-"),
        "google-vertex-llm-tuning-job-id": run.identifier,
        "tune-type": "dpo" if "preferenceOptimizationSpec" in row else "sft",
    }
    name, display_name = _target(run, row)
    model = {"displayName": display_name, "labels": labels}
    for key in ("encryptionSpec", "description"):
        if key in row:
            model[key] = row[key]
    if tuning is None:
        version = register(run, name, model, base, None, generates_content=True)
        return {"model": version, "endpoint": put_on_endpoint(run, version, {})}
    if tuning.checkpoints:
        model["checkpoints"] = [row for row, _ in tuning.checkpoints]
    if tuning.default:
        model["defaultCheckpointId"] = tuning.default
    version = register(run, name, model, base, adapter_of_folder(tuning.adapter), generates_content=True)
    tuned: Json = {"model": version, "endpoint": put_on_endpoint(run, version, _checkpoint(tuning.default))}
    shown = []
    for row, adapter in tuning.checkpoints:
        identifier = row["checkpointId"]
        keep_checkpoint(run.state, version, identifier, adapter)
        endpoint = tuned["endpoint"]
        if identifier != tuning.default:
            endpoint = put_on_endpoint(run, version, _checkpoint(identifier), number=int(identifier))
        shown.append({**row, "endpoint": endpoint})
    return {**tuned, "checkpoints": shown} if shown else tuned


def _checkpoint(identifier: str | None) -> Json:
    return {"checkpointId": identifier} if identifier else {}


def _target(run: Run, row: Json) -> tuple[str, str]:
    """Name and display name of the model that a tuning adds to.

    Going on from a tuned model under its display name makes that model's next version, under another a new model.
    """
    wanted = row.get("tunedModelDisplayName", "")
    if "preTunedModel" in row:
        former = model_row(run.state, row["preTunedModel"]["tunedModelName"])
        if wanted in ("", former["displayName"]):
            return former["name"].partition("@")[0], former["displayName"]
    return f"{run.parent}/models/{run.notes['modelId']}", wanted or f"tuned-{run.identifier}"


def _recipe(parameters: Json) -> Json:
    """What the trainer is told beyond its defaults: the rank of the adapter, and open models' learning rate."""
    recipe: Json = {}
    if "adapterSize" in parameters:
        recipe["rank"] = _RANKS[parameters["adapterSize"].removeprefix("ADAPTER_SIZE_")]
    if "learningRate" in parameters:
        recipe["learning_rate"] = float(parameters["learningRate"])
    return recipe


def _spec_of(row: Json) -> str:
    return next(
        (key for key in row if key.endswith("Spec") and key != "encryptionSpec"), "a job without a spec"
    )


def _detail(run: Run, detail: str) -> None:
    run.change(tuningJobState=_DETAIL + detail)


def _rows(run: Run, uri: str) -> tuple[list[Json], list[str]]:
    if not uri:
        return [], []
    if not uri.startswith("gs://"):
        raise TaskFailed("UNIMPLEMENTED", f"{uri}: the emulator reads gs:// files, not managed datasets")
    return tuning_rows(uri, content_of(run.state, uri, run.account))


def _write(run: Run, name: str, rows: list[Json]) -> str:
    path = run.folder / f"{name}.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    return str(path)
