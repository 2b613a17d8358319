"""Custom jobs. No container runs here: only this project's own trainer, known by the name of its image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from tunestack.emulator.jobs.files import content_of, write_output
from tunestack.emulator.jobs.rights import require_images, require_tensorboard
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import JOB_STATES, TaskFailed
from tunestack.emulator.jobs.training import train

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

TRAINER_IMAGE = "tunestack-trainer-hf"
"""The last part of the image's path, without tag and digest, that stands for the emulator's ``--trainer``."""

# Vertex mounts buckets by Cloud Storage FUSE under /gcs: a trainer that reads and writes paths runs there as here.
_MOUNT = "/gcs/"


class CustomJob:
    collection: ClassVar = "customJobs"
    noun: ClassVar = "custom job"
    states: ClassVar = JOB_STATES

    def open(self, state: State, name: str) -> Run:
        return Run(state, name)

    def trains(self, run: Run) -> bool:
        outcome = run.notes.get("outcome")
        return not outcome or outcome["afterStep"] is not None

    async def work(self, run: Run) -> Json:
        if await run.script():
            return {}
        job_spec = run.row["jobSpec"]
        require_images(run, job_spec["workerPoolSpecs"])
        require_tensorboard(run, job_spec.get("tensorboard", ""))
        spec_uri = _spec_uri(job_spec)
        spec = _spec(run, spec_uri)

        def trainer_spec(base_model: Path, output: Path) -> Json:
            local = {key: _laid_down(run, key, spec.get(key)) for key in ("train", "validation")}
            threads = run.state.options.threads
            return {**spec, **local, "base_model": str(base_model), "threads": threads, "output": str(output)}

        output, _ = await train(run, trainer_spec, lambda _: None)
        write_output(run.state, output, _uri(str(spec["output"])).rstrip("/"), run.account)
        prefix = job_spec.get("baseOutputDirectory", {}).get("outputUriPrefix")
        if prefix:
            # AIP_MODEL_DIR of a custom job (cloud.google.com/vertex-ai/docs/training/code-requirements).
            write_output(run.state, output / "adapter", f"{prefix.rstrip('/')}/model", run.account)
        return {}

    def close(self, run: Run, state: str, error: Json | None) -> None:
        return


def _spec_uri(job_spec: Json) -> str:
    """Where the trainer's spec is. Raises `TaskFailed` for a job that is not the trainer's."""
    pool = job_spec["workerPoolSpecs"][0]
    container = pool.get("containerSpec")
    if container is None:
        raise TaskFailed("UNIMPLEMENTED", f"the emulator runs no Python packages; {_WHAT_RUNS}")
    image = container["imageUri"].partition("@")[0].rpartition("/")[2].partition(":")[0]
    if image != TRAINER_IMAGE:
        raise TaskFailed("UNIMPLEMENTED", f"the emulator does not run {container['imageUri']}; {_WHAT_RUNS}")
    words = [*container.get("command", []), *container.get("args", [])]
    for index, word in enumerate(words):
        if word.startswith("--spec="):
            return str(word.removeprefix("--spec="))
        if word == "--spec" and index + 1 < len(words):
            return str(words[index + 1])
    raise TaskFailed("INVALID_ARGUMENT", "the trainer's arguments have no --spec")


_WHAT_RUNS = (
    f"it runs images called {TRAINER_IMAGE} with the arguments --spec /gcs/bucket/spec.json, and ends other jobs"
    " by scripted outcomes (/_local/outcomes)"
)


def _spec(run: Run, uri: str) -> Json:
    try:
        spec = orjson.loads(content_of(run.state, _uri(uri), run.account))
    except orjson.JSONDecodeError as error:
        raise TaskFailed("INVALID_ARGUMENT", f"{uri}: not JSON: {error}") from None
    missing = sorted({"train", "output", "train_steps", "batch_size"} - set(spec))
    if missing:
        raise TaskFailed(
            "INVALID_ARGUMENT", f"{uri}: {', '.join(missing)} missing (docs/contracts.md, section 4)"
        )
    return dict(spec)


def _laid_down(run: Run, name: str, uri: str | None) -> str | None:
    if not uri:
        return None
    path = run.folder / f"{name}.jsonl"
    path.write_bytes(content_of(run.state, _uri(uri), run.account))
    return str(path)


def _uri(path: str) -> str:
    """``/gcs/bucket/object`` → ``gs://bucket/object``."""
    return "gs://" + path.removeprefix(_MOUNT) if path.startswith(_MOUNT) else path
