"""One emulator for the tests that share it, and a way to start more for the tests that kill theirs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.emulator.process import RunningEmulator

Json = dict[str, Any]
Client = TypeVar("Client")

TRAINER = Path(__file__).parent / "trainer"
TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


class Local:
    """A running emulator and the plain HTTP words to speak with it."""

    template = TEMPLATE

    def __init__(self, options: EmulatorOptions) -> None:
        self.options = options
        self.running: RunningEmulator = process.start(options)
        self.http = httpx.Client(base_url=self.running.url, timeout=30)

    @property
    def url(self) -> str:
        return self.running.url

    def call(self, verb: str, path: str, body: Any = None, **query: Any) -> Json:
        """The JSON answer; an error answer fails the test with its text."""
        answer = self.http.request(verb, path, json=body, params=query or None)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def storage(self, project: str = "p1") -> storage.Client:
        return storage.Client(
            project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
        )

    def google(self, kind: Callable[..., Client]) -> Client:
        """One of Google's generated clients, unchanged, over REST."""
        return kind(
            transport="rest",
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=self.url),
        )

    def bucket(self) -> storage.Bucket:
        return self.storage().create_bucket(f"bucket-{uuid.uuid4().hex[:12]}")

    def tuning_data(self, count: int = 16) -> Json:
        """A supervised tuning spec over ``count`` rows in a bucket of its own."""
        bucket = self.bucket()
        bucket.blob("train.jsonl").upload_from_string(contents(count))
        bucket.blob("validation.jsonl").upload_from_string(contents(4))
        return {
            "trainingDatasetUri": f"gs://{bucket.name}/train.jsonl",
            "validationDatasetUri": f"gs://{bucket.name}/validation.jsonl",
        }

    def script(self, **outcome: Any) -> str:
        """Set an outcome for a job of a display name of its own; that name."""
        name = f"scripted {uuid.uuid4().hex[:8]}"
        self.call("POST", "/_local/outcomes", {"displayName": name, **outcome})
        return name

    def kill(self) -> None:
        os.kill(self.running.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.running.pid, 0)

    def start_again(self) -> None:
        self.running = process.start(self.options)
        self.http = httpx.Client(base_url=self.running.url, timeout=30)

    def requests(self, method: str) -> list[Json]:
        return [
            entry for entry in self.call("GET", "/_local/requests")["requests"] if entry["method"] == method
        ]

    def submit(self, bucket: storage.Bucket, location: str = "us-central1", **parameters: Any) -> str:
        """A tuning job on 16 rows; its name."""
        bucket.blob("train.jsonl").upload_from_string(parameters.pop("rows", rows(16)))
        bucket.blob("validation.jsonl").upload_from_string(rows(4))
        body = {
            "displayName": parameters.pop("display_name", "a job"),
            "labels": parameters.pop("labels", {}),
            "templateUri": parameters.pop("template_uri", TEMPLATE),
            "runtimeConfig": {
                "gcsOutputDirectory": f"gs://{bucket.name}/out",
                "parameterValues": {
                    "project": "p1",
                    "location": location,
                    "model_display_name": "a model",
                    "dataset_uri": f"gs://{bucket.name}/train.jsonl",
                    "evaluation_data_uri": f"gs://{bucket.name}/validation.jsonl",
                    "train_steps": 40,
                    **parameters,
                },
            },
        }
        path = f"/v1/projects/p1/locations/{location}/pipelineJobs"
        return str(self.call("POST", path, body, pipelineJobId=f"job-{uuid.uuid4().hex[:12]}")["name"])

    def wait(self, name: str, until: Callable[[Json], bool] | None = None, seconds: float = 30) -> Json:
        """The job once ``until`` holds (absent: once it has ended)."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.call("GET", f"/v1beta1/{name}")
            ended = job["state"].endswith(ENDED)
            if until(job) if until else ended:
                return job
            assert not ended, job.get("error")
            assert time.monotonic() < deadline, job
            time.sleep(0.05)

    @staticmethod
    def task(job: Json, name: str) -> Json:
        """The metadata of a task's execution."""
        for detail in job.get("jobDetail", {}).get("taskDetails", []):
            if detail["taskName"] == name:
                return detail["execution"]["metadata"]
        return {}

    def wait_for_step(self, name: str, step: int) -> Json:
        return self.wait(name, lambda job: self.task(job, "tune").get("step", 0) >= step)


def rows(count: int) -> str:
    return "\n".join(
        json.dumps({"input_text": f"word{i} of a text", "output_text": f"label{i % 2}"}) for i in range(count)
    )


def contents(count: int) -> str:
    """Rows of a Gemini tuning file."""
    turns = (("user", f"word{i} of a text", "model", f"label{i}") for i in range(count))
    return "\n".join(
        json.dumps({"contents": [{"role": a, "parts": [{"text": x}]}, {"role": b, "parts": [{"text": y}]}]})
        for a, x, b, y in turns
    )


def base_model(folder: Path, **config: Any) -> Path:
    path = folder / "base-model"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Shared: tests use names of their own."""
    folder = tmp_path_factory.mktemp("emulator")
    local = Local(
        EmulatorOptions(
            data=folder / "data",
            port=0,
            trainer=TRAINER,
            base_model=base_model(folder, step_seconds=0.02),
            parallel_jobs=2,
        )
    )
    yield local
    process.stop(local.options.data)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Local]]:
    """Start an emulator of this test's own; ``step_seconds`` makes its trainer slow."""
    started: list[Local] = []

    def begin(step_seconds: float = 0.02, **options: Any) -> Local:
        values: Json = {
            "data": tmp_path / "data",
            "port": 0,
            "trainer": TRAINER,
            "base_model": base_model(tmp_path, step_seconds=step_seconds),
            **options,
        }
        local = Local(EmulatorOptions(**values))
        started.append(local)
        return local

    yield begin
    for local in started:
        process.stop(local.options.data)
