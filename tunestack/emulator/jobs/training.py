"""One training process: start it, find it again, watch its progress, end it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import psutil

from tunestack.emulator.jobs import log_lines, wrapper
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import TaskFailed

Json = dict[str, Any]

_STARTS_AT_MOST = 3
_GRACE_SECONDS = 10.0


class Training:
    """A trainer's run in a job folder. All it knows is in the folder, so that another process can go on."""

    def __init__(self, folder: Path, trainer: Path = Path(), threads: int = 1) -> None:
        self.folder = folder
        self.trainer = trainer
        self.threads = threads
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        return self.folder / "output"

    async def run(self, spec: Json, on_progress: Callable[[Json], None], starts: Callable[[], int]) -> Json:
        """Until the manifest is there: take up what runs, else start. The manifest.

        A trainer that vanished without a word (the machine went down, it was killed with its whole group) is
        started again and goes on from its newest checkpoint, ``starts()`` counting how often; one that ended
        by itself with an error is not. Raises `TaskFailed`.
        """
        shown: Json | None = None
        interval = 0.05
        while True:
            ended = self._read("exit.json")
            manifest = self._read("output/manifest.json")
            progress = self.progress()
            if progress is not None and progress != shown:
                on_progress(progress)
                shown = progress
            if manifest is not None and not self.alive():
                return manifest
            if ended is not None and not self.alive():
                raise TaskFailed(*self._why(ended["code"]))
            if not self.alive():
                count = starts()
                if count > _STARTS_AT_MOST:
                    raise TaskFailed(
                        "INTERNAL", f"the trainer vanished {count - 1} times without leaving a word"
                    )
                self._start(spec)
            await asyncio.sleep(interval)
            interval = min(0.5, interval * 1.3)

    def progress(self) -> Json | None:
        """The newest whole line of progress.jsonl."""
        path = self.output / "progress.jsonl"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 8192))
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            try:
                body = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(body, dict):
                return body
        return None

    def alive(self) -> bool:
        """Whether the wrapper or the trainer lives: they hold the lock, wherever they were started from."""
        if self._process is not None and self._process.poll() is None:
            return True
        try:
            handle = os.open(self.folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    async def end(self) -> None:
        """SIGTERM to the group, SIGKILL to what is left after a while. Also to one that another process started."""
        deadline = asyncio.get_running_loop().time() + _GRACE_SECONDS
        sent = False
        while self.alive():
            # A wrapper that has only just started has not yet written down who it is.
            sent = sent or self._signal(signal.SIGTERM)
            if asyncio.get_running_loop().time() > deadline:
                self._signal(signal.SIGKILL)
            await asyncio.sleep(0.05)

    def forget_end(self) -> None:
        """An end that the emulator itself brought about by stopping does not count."""
        if not (self.output / "manifest.json").exists():
            (self.folder / "exit.json").unlink(missing_ok=True)

    def _start(self, spec: Json) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.folder / "spec.json"
        path.write_bytes(orjson.dumps(spec, option=orjson.OPT_INDENT_2))
        self._process = subprocess.Popen(
            [sys.executable, wrapper.__file__, str(self.folder), *command(self.trainer), "--spec", str(path)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "wrapper.log").open("ab"),
            start_new_session=True,
            env=trainer_environment(self.threads)
            | {
                "AIP_MODEL_DIR": str(self.output / "adapter"),
                "AIP_CHECKPOINT_DIR": str(self.output / "checkpoints"),
            },
        )

    def _signal(self, number: int) -> bool:
        """To the process group, if its leader is still who it was when it wrote its name down; whether it was."""
        who = self._read("process.json")
        if who is None:
            return False
        try:
            if abs(psutil.Process(who["pid"]).create_time() - who["started"]) >= 0.1:
                return False
            os.killpg(who["pid"], number)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        return True

    def _why(self, code: int) -> tuple[str, str]:
        error = self._read("output/error.json")
        if error:
            status = {"data": "INVALID_ARGUMENT", "resources": "RESOURCE_EXHAUSTED"}.get(
                error.get("kind", ""), "INTERNAL"
            )
            return status, str(error.get("message", "the trainer failed"))
        if code < 0:
            return "INTERNAL", f"the trainer was ended by {signal.Signals(-code).name}"
        return "INTERNAL", f"the trainer ended with exit code {code} and no error.json; {self._last_words()}"

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "trainer.log").read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return f"its last line: {lines[-1]}" if lines else "it printed nothing"

    def _read(self, name: str) -> Json | None:
        try:
            body = orjson.loads((self.folder / name).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return body if isinstance(body, dict) else None


async def train(
    run: Run, make_spec: Callable[[Path, Path], Json], on_progress: Callable[[Json], None]
) -> tuple[Path, Json]:
    """Train for a job: the folder that the trainer left, and its manifest with the spec it had.

    ``make_spec`` gives ``spec.json`` for a base model's folder and an output folder. Raises `TaskFailed`, and
    what the job's script has for a step.
    """
    options = run.state.options
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
    spec = make_spec(options.base_model, training.output)

    def starts() -> int:
        return int(run.note(starts=run.notes["starts"] + 1)["starts"])

    def progressed(progress: Json) -> None:
        log_lines.forward(run, run.folder)
        on_progress(progress)
        run.script_step(int(progress.get("step", 0)))

    run.training = training
    try:
        manifest = await training.run(spec, progressed, starts)
    except Exception as error:
        await training.end()
        log_lines.forward(run, run.folder)
        log_lines.say(run, str(error) or type(error).__name__, "ERROR")
        raise
    run.training = None
    log_lines.forward(run, run.folder)
    log_lines.say(run, "Job completed successfully.")
    return training.output, {**manifest, "spec": spec}


def command(trainer: Path) -> list[str]:
    """``python <trainer>``, in the emulator's own environment."""
    return [sys.executable, str(trainer)]


def trainer_environment(threads: int) -> dict[str, str]:
    """The emulator's environment, its threads limited and its model libraries kept off the network.

    ``OMP_WAIT_POLICY=PASSIVE``: threads that wait must not burn the core of the job beside them.
    """
    return dict(os.environ) | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_OFFLINE": "1",
    }
