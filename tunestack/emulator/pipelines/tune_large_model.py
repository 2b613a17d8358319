"""The tasks of ``tune-large-model``: validate-dataset → tune → upload-llm-model → deploy-llm-model.

Each takes the `Run` and gives the metadata of its execution. Each may be begun again from the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from tunestack.emulator.contents import file_pieces
from tunestack.emulator.errors import ApiError
from tunestack.emulator.pipelines.run import Run
from tunestack.emulator.pipelines.states import TaskFailed
from tunestack.emulator.pipelines.training import Training
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.services.storage_objects import read, store
from tunestack.emulator.services.vertex_endpoints import create_endpoint, deploy
from tunestack.emulator.services.vertex_models import create_model, keep_adapter

Json = dict[str, Any]

# The batch sizes of Google's tuning service, by accelerator (not a parameter of the template).
_BATCH_SIZES = {"GPU": 8, "TPU": 24}
_REGION_ACCELERATORS = {"europe-west4": "TPU"}
_BASE_MODELS = ("text-bison@001", "text-bison@002", "text-bison-001", "text-bison-002", "text-bison-32k@002")
_SEED = 0


async def validate_dataset(run: Run) -> Json:
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
            found, count = bad_rows(uri, content_of(run, uri))
            problems += found
            rows[name.removesuffix("_uri") + "_rows"] = count
    report = {"rows": rows, "problems": problems}
    write_artifact(run, "validate-dataset/report.json", orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if problems:
        noun = "row is" if len(problems) == 1 else "rows are"
        raise TaskFailed(
            "INVALID_ARGUMENT", "\n".join([f"{len(problems)} {noun} not fit for tuning:", *problems])
        )
    return {**rows, "output:report": f"{run.output_uri}/validate-dataset/report.json"}


async def tune(run: Run) -> Json:
    """Train in a process of its own; its newest progress line is the execution's metadata meanwhile."""
    state = run.state
    options = state.options
    if options.trainer is None or options.base_model is None:
        raise TaskFailed(
            "FAILED_PRECONDITION",
            "the emulator was started without --trainer and --base-model, so it cannot train;"
            " start it again with both",
        )
    for what, path in (("trainer", options.trainer), ("base model", options.base_model)):
        if not path.exists():
            raise TaskFailed("FAILED_PRECONDITION", f"the {what} is not there: {path}")
    training = Training(run.folder, options.trainer, options.threads)
    run.folder.mkdir(parents=True, exist_ok=True)
    spec = trainer_spec(run, options.base_model, training.output)

    def starts() -> int:
        return int(run.note(starts=run.notes["starts"] + 1)["starts"])

    def on_progress(progress: Json) -> None:
        run.change_task("tune", metadata=progress)
        state.runner.suffer_step(run, int(progress.get("step", 0)))

    run.training = training
    try:
        manifest = await training.run(spec, on_progress, starts)
    except Exception:
        await training.end()
        raise
    run.training = None
    for path in sorted(training.output.rglob("*")):
        relative = path.relative_to(training.output)
        if path.is_file() and relative.parts[0] not in ("checkpoints", "cache"):
            write_artifact(run, f"tune/{relative.as_posix()}", path)
    evaluation = _json_file(training.output / "eval.json")
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


async def upload_llm_model(run: Run) -> Json:
    """Register the tuned model; the registry takes its own copy of the adapter."""
    state, parameters, row = run.state, run.parameters, run.row
    name = f"{run.model_parent}/models/{run.notes['modelId']}"
    artifact_uri = f"{run.output_uri}/tune/adapter"
    if state.rows.find(name) is None:
        base = parameters["large_model_reference"]
        player = _player(state.options.base_model)
        labels = {
            **row.get("labels", {}),
            "google-vertex-llm-tuning-base-model-id": base.replace("@", "-"),
            "google-vertex-llm-tuning-job-id": run.identifier[:63],
            "tune-type": "sft",
        }
        keep_adapter(state, name, artifact_uri)
        create_model(
            state,
            name,
            {
                "displayName": parameters["model_display_name"],
                "description": f"Simulated: tuned in the tunestack emulator, where {base} is played by {player}.",
                "labels": labels,
                "artifactUri": artifact_uri,
                "pipelineJob": run.name,
                "modelSourceInfo": {"sourceType": "GENIE"},
                "baseModelSource": {"genieSource": {"baseModelUri": ""}},
                "metadata": {"simulated": True, "baseModel": base, "playedBy": player},
            },
        )
    return {"output:model_resource_name": name}


async def deploy_llm_model(run: Run) -> Json:
    """Create the endpoint and put the model on it."""
    state, parameters = run.state, run.parameters
    notes = run.notes
    name = f"{run.model_parent}/endpoints/{notes['endpointId']}"
    model = f"{run.model_parent}/models/{notes['modelId']}"
    with state.database.transaction():
        if state.rows.find(name) is None:
            labels = state.rows.get(model).get("labels", {})
            create_endpoint(state, name, {"displayName": parameters["model_display_name"], "labels": labels})
        if not state.rows.get(name).get("deployedModels"):
            resources = {"automaticResources": {"minReplicaCount": 1, "maxReplicaCount": 1}}
            deploy(state, name, {"id": notes["deployedModelId"], "model": model, **resources}, None)
    return {"output:endpoint_resource_name": name}


TASKS: dict[str, Callable[[Run], Awaitable[Json]]] = {
    "validate-dataset": validate_dataset,
    "tune": tune,
    "upload-llm-model": upload_llm_model,
    "deploy-llm-model": deploy_llm_model,
}


def trainer_spec(run: Run, base_model: Path, output: Path) -> Json:
    """``spec.json`` of the job contract, with the data files laid beside it."""
    parameters = run.parameters
    files: dict[str, str | None] = {}
    for name in ("dataset_uri", "evaluation_data_uri"):
        files[name] = None
        if parameters[name]:
            path = run.folder / f"{name.removesuffix('_uri')}.jsonl"
            path.write_bytes(content_of(run, parameters[name]))
            files[name] = str(path)
    accelerator = parameters["accelerator_type"] or _REGION_ACCELERATORS.get(run.name.split("/")[3], "GPU")
    return {
        "contract": 1,
        "method": "supervised",
        "base_model": str(base_model),
        "train": files["dataset_uri"],
        "validation": files["evaluation_data_uri"],
        "train_steps": parameters["train_steps"],
        "batch_size": _BATCH_SIZES[accelerator],
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


def content_of(run: Run, uri: str) -> bytes:
    """The object at a gs:// URI. Raises `TaskFailed` when it is not there."""
    try:
        return read(run.state, *parse_gs_uri(uri))
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None


def write_artifact(run: Run, name: str, content: bytes | Path) -> None:
    """Put an artifact under the job's output folder. Raises `TaskFailed` when the bucket is not there."""
    uri = f"{run.output_uri}/{name}"
    media = {".json": "application/json", ".jsonl": "application/jsonl"}.get(Path(name).suffix)
    try:
        bucket, path = parse_gs_uri(uri)
        kept = run.state.contents.put([content] if isinstance(content, bytes) else file_pieces(content))
        store(run.state, bucket, path, {"contentType": media}, kept)
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    except ApiError as error:
        raise TaskFailed(error.status, f"gcs_output_directory {uri}: {error.message}") from None


def _player(base_model: Path | None) -> str:
    """The local base model's name, as its manifest or else its folder has it."""
    if base_model is None:
        return "a local model"
    return str(_json_file(base_model / "manifest.json").get("name") or base_model.name)


def _json_file(path: Path) -> Json:
    try:
        body = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
