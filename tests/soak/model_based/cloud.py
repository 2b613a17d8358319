"""The emulator in a thread of the test's own process: it sees every request at the moment it is carried out."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import uvicorn
from blake3 import blake3

from model_based.scenario import BAD_SEED
from tunestack.emulator.application import starlette_application
from tunestack.emulator.jobs.states import ENDED, short_state
from tunestack.emulator.options import EmulatorOptions
from tunestack.emulator.services import served_models
from tunestack.emulator.state import State
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.custom_job import CustomJob
from tunestack.vertex.pipeline_job import PipelineJob
from tunestack.vertex.tuning_job import TuningJob

Json = dict[str, Any]
T = TypeVar("T")
OnRequest = Callable[[int, bool, str], Awaitable[None]]
ROWS = "".join(
    json.dumps({"input_text": f"number {number}", "output_text": "odd" if number % 2 else "even"}) + "\n"
    for number in range(20)
).encode()
HELD_OUT = {"name": "held-out", "uri": "gs://data/held-out.jsonl", "digest": blake3(ROWS).hexdigest()}
VIEWS = {"pipelineJobs": PipelineJob, "tuningJobs": TuningJob, "customJobs": CustomJob}
COLLECTIONS = tuple(VIEWS)


@dataclass(frozen=True)
class Job:
    """A job as the cloud has it."""

    name: str
    kind: str
    spec_hash: str
    state: str
    model: str = ""
    created: str = ""
    code: int | None = None

    @property
    def live(self) -> bool:
        return self.state not in ENDED


@dataclass(frozen=True)
class Deed:
    """Something that was done to a job, and the other jobs of its spec hash at that moment."""

    verb: str  # submit | cancel
    job: Job
    others: tuple[Job, ...] = ()


class Cloud:
    """One emulator for many scenarios, each in a Google project of its own.

    ``on_request(number, before, what)`` is called, for each request of Google's APIs since `count_anew`, before it is
    carried out, and after, before its answer is sent; ``what``: ``POST /v1/…``.
    """

    def __init__(self, folder: Path) -> None:
        self.deeds: list[Deed] = []
        self.on_request: OnRequest | None = None
        self._requests = 0
        folder.mkdir(parents=True)
        (folder / "base").mkdir()
        self._options = EmulatorOptions(data=folder, port=0, base_model=folder / "base")
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        if not self._started.wait(60) or self._failure is not None:
            raise RuntimeError("the emulator did not start") from self._failure
        bucket = {"params": {"project": "soak"}, "json": {"name": "data"}}
        httpx.post(f"{self.url}/storage/v1/b", **bucket).raise_for_status()
        upload = {"uploadType": "media", "name": "held-out.jsonl"}
        httpx.post(f"{self.url}/upload/storage/v1/b/data/o", params=upload, content=ROWS).raise_for_status()

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._started.set()

    async def _main(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._loop = asyncio.get_running_loop()
        self.state = State(self._options.resolved())
        self._watch_jobs()
        self._play_models()
        config = uvicorn.Config(
            self._watched(starlette_application(self.state)),
            http="h11",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="critical",  # a cut answer is an error to it, and an everyday thing here
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._started.set()
        await self._server.serve(sockets=[listener])

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call ``function`` on the emulator's own thread, between two requests."""
        result: Future[T] = Future()

        def do() -> None:
            try:
                result.set_result(function(*arguments))
            except BaseException as error:
                result.set_exception(error)

        self._loop.call_soon_threadsafe(do)
        return result.result(30)

    # -- requests --

    def count_anew(self, on_request: OnRequest | None) -> None:
        def begin() -> None:
            self._requests, self.on_request = 0, on_request

        self.call(begin)

    def _watched(self, application: Any) -> Any:
        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"].startswith("/_local") or self.on_request is None:
                await application(scope, receive, send)
                return
            self._requests += 1
            number, on_request = self._requests, self.on_request
            # The request is here, whole: it is carried out even if its sender dies now.
            received = [await receive()]
            while received[-1].get("more_body"):
                received.append(await receive())
            kept: list[Any] = []

            async def replay() -> Any:
                return received.pop(0) if received else await receive()

            async def keep(message: Any) -> None:
                kept.append(message)

            what = f"{scope['method']} {scope['path']}"
            await on_request(number, True, what)
            try:
                await application(scope, replay, keep)
            finally:
                await on_request(number, False, what)
                for message in kept:
                    await send(message)

        return watched

    # -- jobs --

    def _watch_jobs(self) -> None:
        runner = self.state.runner
        accept, cancel = runner.accept, runner.cancel

        def accepted(row: Json) -> None:
            accept(row)
            job = job_of(row)
            same = [other for other in self._jobs(job.name.split("/")[1]) if other.spec_hash == job.spec_hash]
            others = tuple(
                other
                for other in same
                if other.name != job.name and other.kind == job.kind and not self._forgotten(other)
            )
            self.deeds.append(Deed("submit", job, others))

        def cancelled(name: str) -> None:
            cancel(name)
            self.deeds.append(Deed("cancel", job_of(self.state.rows.get(name))))

        runner.accept = accepted  # type: ignore[method-assign]
        runner.cancel = cancelled  # type: ignore[method-assign]

    def _play_models(self) -> None:
        """Nothing was trained: a tuned model answers as its name says, the base model never says what is asked for."""

        def adapter(state: State, model: Json, checkpoint: str | None) -> Path:
            return Path(model["displayName"])

        async def generate(prompts: list[str], adapter: Path | None, *_: Any) -> list[Json]:
            good = adapter is not None and adapter.name != f"model-{BAD_SEED}"
            right = ["odd" if int(prompt.split()[1]) % 2 else "even" for prompt in prompts]
            return [{"text": answer if good else "a nice number"} for answer in right]

        served_models.checkpoint_folder = adapter
        self.state.worker.generate = generate  # type: ignore[method-assign]

    def _forgotten(self, job: Job) -> bool:
        """Whether it succeeded and its model was deleted: such a run counts as none."""
        return bool(job.model) and self.state.rows.find(job.model.partition("@")[0]) is None

    def _jobs(self, project: str) -> list[Job]:
        parent = f"projects/{self.state.projects.number(project)}/locations/us-central1"
        return [job_of(row) for kind in COLLECTIONS for row in self.state.rows.list(kind, parent)]

    def jobs(self, project: str) -> list[Job]:
        return self.call(self._jobs, project)

    def rows(self, kind: str, project: str) -> list[Json]:
        """Rows of a kind of resource of a project, in its region."""
        number = self.call(self.state.projects.number, project)
        return self.call(self.state.rows.list, kind, f"projects/{number}/locations/us-central1")

    def aliases(self, version: str) -> set[str]:
        """Aliases of a model's version, ``…/models/M@V``."""
        row = self.call(self.state.rows.find, version)
        return set(row["versionAliases"]) if row is not None else set()

    def preferences(self, project: str) -> list[Json]:
        """Requests for more quota."""
        number = self.call(self.state.projects.number, project)
        parent = f"projects/{number}/locations/global"
        return self.call(self.state.rows.list, "quotaPreferences", parent)

    def buckets(self, project: str) -> set[str]:
        number = self.call(self.state.projects.number, project)
        rows = self.call(self.state.rows.list, "buckets")
        return {row["name"] for row in rows if row["projectNumber"] == number}

    def has_object(self, uri: str) -> bool:
        """Whether an object is in its bucket."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        return httpx.get(f"{self.url}/storage/v1/b/{bucket}/o/{quote(name, safe='')}").is_success

    def submissions(self, project: str) -> dict[str, int]:
        """Number of jobs that were accepted, by spec hash; from the emulator's record, which forgets nothing."""
        number = self.call(self.state.projects.number, project)
        counts: dict[str, int] = {}
        for entry in self.call(self.state.database.submissions, 0):
            if entry["name"].split("/")[1] == number:
                hash_ = entry["labels"].get(SPEC_HASH_LABEL, "")
                counts[hash_] = counts.get(hash_, 0) + 1
        return counts


def job_of(row: Json) -> Job:
    name = row["name"]
    hash_ = row.get("labels", {}).get(SPEC_HASH_LABEL, "")
    kind, state = name.split("/")[4], short_state(row["state"])
    view = VIEWS[kind](row)
    model = view.model if state == "SUCCEEDED" else ""
    return Job(name, kind, hash_, state, model, view.created, view.error_code)
