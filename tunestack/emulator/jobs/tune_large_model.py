"""The tasks of ``tune-large-model``: validate-dataset → tune → upload-llm-model → deploy-llm-model.

Each takes the `Run` and gives the metadata of its execution. Each may be begun again from the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.errors import ApiError
from tunestack.emulator.jobs.files import content_of, json_file, write_object, write_output
from tunestack.emulator.jobs.pipeline_run import PipelineRun
from tunestack.emulator.jobs.rights import require, require_tensorboard
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.jobs.training import train
from tunestack.emulator.jobs.tuned_model import put_on_endpoint, register
from tunestack.emulator.services import accelerators
from tunestack.emulator.services.model_registry import adapter_of_objects

Json = dict[str, Any]

# The batch sizes of Google's tuning service, by accelerator (not a parameter of the template).
_BATCH_SIZES = {"GPU": 8, "TPU": 24}
_REGION_ACCELERATORS = {"europe-west4": "TPU"}
# The machine of Google's tune task, as its quotas count it: 8 A100 80GB in an a2-ultragpu-8g, a pod of 64 TPU v3 cores.
_RESTRICTED = "RestrictedImageTraining{}PerProjectPerRegion"
_MACHINES = {
    "GPU": {_RESTRICTED.format("A10080GBGPUs"): 8, _RESTRICTED.format("A2CPUs"): 96},
    "TPU": {_RESTRICTED.format("V3PodTPUs"): 64},
}
_BASE_MODELS = ("text-bison@001", "text-bison@002", "text-bison-001", "text-bison-002", "text-bison-32k@002")
_SEED = 0


async def validate_dataset(run: PipelineRun) -> Json:
    """Read both files and report every row that is not ``{"input_text", "output_text"}``."""
    parameters = run.parameters
    if parameters["large_model_reference"] not in _BASE_MODELS:
        raise TaskFailed(
            "INVALID_ARGUMENT",
            f"large_model_reference is {parameters['large_model_reference']!r}; it must be one of"
            f" {', '.join(_BASE_MODELS)}",
        )
    if parameters["accelerator_type"] not in ("", *_BATCH_SIZES):
        raise TaskFailed(
            "INVALID_ARGUMENT",
            f"accelerator_type is {parameters['accelerator_type']!r}; it must be GPU or TPU",
        )
    if not parameters["dataset_uri"]:
        raise TaskFailed(
            "INVALID_ARGUMENT", "dataset_uri is not set (managed datasets by dataset_name are not played)"
        )
    problems: list[str] = []
    rows: Json = {}
    for name in ("dataset_uri", "evaluation_data_uri"):
        uri = parameters[name]
        if uri:
            found, count = bad_rows(uri, content_of(run.state, uri, run.account))
            problems += found
            rows[name.removesuffix("_uri") + "_rows"] = count
    report = {"rows": rows, "problems": problems}
    report_uri = f"{run.output_uri}/validate-dataset/report.json"
    write_object(run.state, report_uri, orjson.dumps(report, option=orjson.OPT_INDENT_2), run.account)
    if problems:
        noun = "row is" if len(problems) == 1 else "rows are"
        raise TaskFailed(
            "INVALID_ARGUMENT", "\n".join([f"{len(problems)} {noun} not fit for tuning:", *problems])
        )
    return {**rows, "output:report": report_uri}


async def tune(run: PipelineRun) -> Json:
    """Train in a process of its own; its newest progress line is the execution's metadata meanwhile."""
    require(run, "aiplatform.customJobs.create")
    require_tensorboard(run, run.parameters["tensorboard_resource_id"])
    _check_quota(run)

    def on_progress(progress: Json) -> None:
        run.change_task("tune", metadata=progress)

    output, manifest = await train(
        run, lambda base_model, folder: trainer_spec(run, base_model, folder), on_progress
    )
    write_output(run.state, output, f"{run.output_uri}/tune", run.account)
    evaluation = json_file(output / "eval.json")
    spec = manifest["spec"]
    return {
        "phase": "done",
        "steps": manifest.get("steps", spec["train_steps"]),
        "seconds": manifest.get("seconds"),
        "best_step": evaluation.get("best_step"),
        "best_eval_loss": evaluation.get("best_eval_loss"),
        "stopped_early": evaluation.get("stopped_early", False),
        "batch_size": spec["batch_size"],
        "starts": run.notes["starts"],
        "output:saved_model": f"{run.output_uri}/tune/adapter",
    }


async def upload_llm_model(run: PipelineRun) -> Json:
    """Register the tuned model; the registry takes its own copy of the adapter."""
    parameters = run.parameters
    base = parameters["large_model_reference"]
    name = f"{run.model_parent}/models/{run.notes['modelId']}"
    labels = {
        **run.row.get("labels", {}),
        "google-vertex-llm-tuning-base-model-id": base.replace("@", "-"),
        "google-vertex-llm-tuning-job-id": run.identifier[:63],
        "tune-type": "sft",
    }
    artifact_uri = f"{run.output_uri}/tune/adapter"
    require(run, "aiplatform.models.upload", on=run.model_parent)
    model = {
        "displayName": parameters["model_display_name"],
        "labels": labels,
        "artifactUri": artifact_uri,
        "pipelineJob": run.name,
    }
    try:
        adapter = adapter_of_objects(run.state, artifact_uri, name.split("/")[1])
    except ApiError as error:
        raise TaskFailed(error.status, error.message) from None
    register(run, name, model, base, adapter)
    return {"output:model_resource_name": name}


async def deploy_llm_model(run: PipelineRun) -> Json:
    """Create the endpoint and put the model on it."""
    model = f"{run.model_parent}/models/{run.notes['modelId']}"
    require(run, "aiplatform.endpoints.create", "aiplatform.endpoints.deploy", on=run.model_parent)
    name = put_on_endpoint(run, model, {"automaticResources": {"minReplicaCount": 1, "maxReplicaCount": 1}})
    return {"output:endpoint_resource_name": name}


TASKS: dict[str, Callable[[PipelineRun], Awaitable[Json]]] = {
    "validate-dataset": validate_dataset,
    "tune": tune,
    "upload-llm-model": upload_llm_model,
    "deploy-llm-model": deploy_llm_model,
}


def _check_quota(run: PipelineRun) -> None:
    """Raises `TaskFailed` where the task's machine, with those of the tasks that tune, is more than is granted."""
    state, used = run.state, Counter[str]()
    for row in state.rows.list("pipelineJobs", run.parent):
        if row["name"] != run.name and _tunes(row):
            used += Counter(_MACHINES[_accelerator(PipelineRun(state, row["name"]))])
    try:
        accelerators.require(state, run.parent, Counter(_MACHINES[_accelerator(run)]), used)
    except ApiError as error:
        raise TaskFailed(error.status, error.message) from None


def _tunes(row: Json) -> bool:
    tasks = row.get("jobDetail", {}).get("taskDetails", [])
    return any(task["taskName"] == "tune" and task["state"] == "RUNNING" for task in tasks)


def _accelerator(run: PipelineRun) -> str:
    return run.parameters["accelerator_type"] or _REGION_ACCELERATORS.get(run.name.split("/")[3], "GPU")


def trainer_spec(run: PipelineRun, base_model: Path, output: Path) -> Json:
    """``spec.json`` of the job contract, with the data files laid beside it."""
    parameters = run.parameters
    files: dict[str, str | None] = {}
    for name in ("dataset_uri", "evaluation_data_uri"):
        files[name] = None
        if parameters[name]:
            path = run.folder / f"{name.removesuffix('_uri')}.jsonl"
            path.write_bytes(content_of(run.state, parameters[name], run.account))
            files[name] = str(path)
    return {
        "contract": 1,
        "method": "supervised",
        "base_model": str(base_model),
        "train": files["dataset_uri"],
        "validation": files["evaluation_data_uri"],
        "train_steps": parameters["train_steps"],
        "batch_size": _BATCH_SIZES[_accelerator(run)],
        "learning_rate_multiplier": parameters["learning_rate_multiplier"],
        "evaluation_interval": parameters["evaluation_interval"],
        "early_stopping": parameters["enable_early_stopping"] and files["evaluation_data_uri"] is not None,
        "seed": _SEED,
        "threads": run.state.options.threads,
        "recipe": {},
        "output": str(output),
    }


def bad_rows(uri: str, content: bytes) -> tuple[list[str], int]:
    """Every bad row as ``gs://…:line: what``, and the number of rows."""
    problems: list[str] = []
    lines = content.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        where = f"{uri}:{number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            problems.append(f"{where}: not JSON: {error}")
            continue
        if not isinstance(row, dict):
            problems.append(f"{where}: not a JSON object")
            continue
        for field in ("input_text", "output_text"):
            value = row.get(field)
            if field not in row:
                problems.append(f"{where}: {field} is missing")
            elif not isinstance(value, str):
                problems.append(f"{where}: {field} is not a string")
            elif not value.strip():
                problems.append(f"{where}: {field} is empty")
    if not lines:
        problems.append(f"{uri}: the file has no rows")
    return problems, len(lines)
