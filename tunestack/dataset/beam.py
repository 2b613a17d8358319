"""The check of finished files beyond one machine: the blocks of the scan as elements of an Apache Beam pipeline.

Never row by row: each worker does whole pieces of the very work that `reading.read_all` gives to processes, and what
they yield is folded here in order, so that the report is the same to the byte. With `DirectRunner` the pipeline runs
here; with `DataflowRunner` and its options (`--project`, `--region`, `--temp_location`) on Dataflow, whose workers need
tunestack installed: a container image that has it (`--sdk_container_image`), or its wheel (`--extra_package`).

Needs the extra `beam`, and beside it `apache-beam[gcp]` for Dataflow and temporary files in a bucket.
"""

from __future__ import annotations

import io
import logging
import pickle
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from tunestack.dataset.sources import open_source
from tunestack.dataset.sources.cloud_storage import CloudObject
from tunestack.dataset.sources.content import fault_of
from tunestack.dataset.sources.detection import refuse_other_than_json
from tunestack.dataset.sources.json_lines import MOST_LINE_BYTES, JsonLines
from tunestack.dataset.sources.source import BLOCK_BYTES, Block, Chunk, Source, SourceDigests
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineResult

    from tunestack.dataset.report import Report

Piece = TypeVar("Piece")
Result = TypeVar("Result")

# A pipeline of which a worker cannot start waits for it for ever. Dataflow needs some minutes to start its own.
DEADLINE_SECONDS = 3600.0
# What Beam's own DirectRunner comes down to: that one would first fetch a Go program (Prism) from the network.
_DIRECT_RUNNER = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
_BUFFER_BYTES = 256 << 10


def check_files_with_beam(
    files: Iterable[str | Path],
    *,
    format: str = "supervised",  # noqa: A002
    model: str | None = None,
    personal_data: bool = False,
    runner: str = "DirectRunner",
    options: Sequence[str] = (),
    deadline: float = DEADLINE_SECONDS,
    block_bytes: int = BLOCK_BYTES,
) -> Report:
    """The report of `check.check_files`, whose first three arguments these are; its blocks are done by a pipeline.

    ``options`` are Beam's own, as on a command line; ``deadline`` in seconds. Objects `gs://…` in JSON Lines are read
    by the workers, each its range; everything else that is not a local file is read here and sent to them. Raises
    TunestackError where a file cannot be read, the extra is missing, or the pipeline fails or is not done in time.
    """
    from tunestack.dataset.check import check_files

    mapped = BeamMap(runner, options, deadline)
    names = list(files)
    if runner.lower().startswith("dataflow"):
        for name in names:
            if not str(name).startswith("gs://"):
                message = "Dataflow's workers cannot read a local file"
                fix = f"gcloud storage cp {name} gs://bucket/"
                raise TunestackError(Problem("address", message, str(name), fix=fix), exit_status=2)
    return check_files(
        map(_spread, names),
        format=format,
        model=model,
        personal_data=personal_data,
        block_bytes=block_bytes,
        processes=mapped,
    )


class BeamMap(msgspec.Struct, frozen=True):
    """`processes.in_order` by a pipeline: a function over pieces of work, its results in the order of the pieces.

    Function, pieces and results are pickled. Results go through files, as they may be more than the memory holds:
    into `--temp_location` where the runner's options name one, else into a temporary folder here. Raises
    TunestackError: extra missing, pipeline failed, deadline passed; and what the function raises.
    """

    runner: str = "DirectRunner"
    options: Sequence[str] = ()
    deadline: float = DEADLINE_SECONDS

    def __call__(self, function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        beam, options = self._beam()
        with _exchange(self._location(options)) as exchange:
            places = exchange.write_pieces(pieces)
            try:
                pipeline = beam.Pipeline(runner=self._runner(), options=options)
            except (ValueError, ImportError, RuntimeError) as error:  # no such runner, options that it misses
                problem = Problem(
                    "beam-options", str(error), self.runner, fix="see the runner's documentation"
                )
                raise TunestackError(problem, exit_status=2) from None
            # The shuffle between keeps the runner from doing all pieces in the one bundle that lists them.
            _ = (
                pipeline
                | "pieces" >> beam.Create(places)
                | "spread" >> beam.Reshuffle()
                | "do" >> beam.Map(_do, exchange, function)
            )
            self._run(pipeline, exchange)
            yield from exchange.results(len(places))

    def _runner(self) -> str:
        return _DIRECT_RUNNER if self.runner.lower() in ("directrunner", "direct") else self.runner

    def _beam(self) -> tuple[Any, PipelineOptions]:
        try:
            import apache_beam as beam
            from apache_beam.options.pipeline_options import PipelineOptions
        except ImportError:
            message, fix = "Apache Beam is not installed", "pip install 'tunestack[beam]'"
            raise TunestackError(Problem("extra-missing", message, fix=fix), exit_status=2) from None
        return beam, PipelineOptions(list(self.options))

    def _location(self, options: PipelineOptions) -> str | None:
        from apache_beam.options.pipeline_options import GoogleCloudOptions

        location: str | None = options.view_as(GoogleCloudOptions).temp_location
        if location is None and self.runner.lower().startswith("dataflow"):
            message, fix = (
                "workers and this machine meet in a bucket",
                "-- --temp_location gs://bucket/folder",
            )
            raise TunestackError(
                Problem("beam-options", message, need="--temp_location", fix=fix), exit_status=2
            )
        return location

    def _run(self, pipeline: Any, exchange: _Exchange) -> None:
        """Run the pipeline to its end, but no longer than until the deadline."""
        outcome: list[PipelineResult | Exception] = []
        state: list[str] = []

        def run() -> None:
            try:
                outcome.append(pipeline.run())  # a runner in this process comes back when all is done
                state.append(str(outcome[0].wait_until_finish()))  # type: ignore[union-attr]
            except Exception as error:  # whatever a runner may raise: told to the caller below
                outcome.insert(0, error)

        # In a thread, because neither that call nor every runner's own waiting takes a deadline.
        thread = threading.Thread(target=run, name="tunestack-beam", daemon=True)
        thread.start()
        thread.join(self.deadline)
        if thread.is_alive():
            exchange.cancel()
            if outcome:
                with suppress(Exception):  # what has no way to be cancelled finds `exchange` cancelled
                    outcome[0].cancel()  # type: ignore[union-attr]
            _end_workers()
            message = f"the pipeline was not done after {self.deadline:g} s and was cancelled"
            fix = "see in the runner's log whether its workers start; a longer --deadline where they do"
            raise TunestackError(Problem("beam-deadline", message, self.runner, fix=fix), exit_status=2)
        if isinstance(outcome[0], Exception):
            lines = str(outcome[0]).strip().splitlines() or [type(outcome[0]).__name__]
            problem = Problem(
                "beam-failed", f"the pipeline failed: {lines[-1]}", self.runner, fix="see its log"
            )
            raise TunestackError(problem, exit_status=2) from outcome[0]
        if state != ["DONE"]:
            problem = Problem("beam-failed", f"the pipeline ended {state[0]}", self.runner, fix="see its log")
            raise TunestackError(problem, exit_status=2)


def _end_workers() -> None:
    """End the processes that a runner here started as workers, which outlive it where they could not start."""
    with suppress(ImportError):  # psutil is no part of the extra; without it they stay
        import psutil

        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "apache_beam.runners.worker.sdk_worker_main" in process.cmdline():
                    process.kill()


def _files() -> Any:
    """Beam's FileSystems, which knows local folders and buckets alike."""
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


class _Exchange(msgspec.Struct, frozen=True):
    """The files through which pieces go to the workers and results come back; picklable."""

    location: str

    def write_pieces(self, pieces: Iterable[Any]) -> list[tuple[int, int, int]]:
        """All of them in one file; of each its number, where it begins, and its bytes: what a pipeline is made of."""
        with _files().create(self._running) as file:
            file.write(b"pieces are done as long as this file is here\n")
        places, at = [], 0
        with _files().create(f"{self.location}/pieces") as file:
            for number, piece in enumerate(pieces):
                data = pickle.dumps(piece)
                file.write(data)
                places.append((number, at, len(data)))
                at += len(data)
        return places

    def piece(self, at: int, size: int) -> Any:
        """A piece, read by a worker."""
        with _files().open(f"{self.location}/pieces") as file:
            file.seek(at)
            return pickle.loads(file.read(size))  # noqa: S301 - our own file

    def write_result(self, number: int, result: Any) -> None:
        """A worker's result; a runner may have a piece done twice, and the same is written again."""
        with _files().create(f"{self.location}/result-{number}") as file:
            file.write(pickle.dumps(result))

    def results(self, count: int) -> Iterator[Any]:
        """All results in order. Raises what a worker raised."""
        for number in range(count):
            with _files().open(f"{self.location}/result-{number}") as file:
                result = pickle.loads(file.read())  # noqa: S301 - our own file
            if isinstance(result, Exception):
                raise result
            yield result

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for results any more."""
        return not _files().exists(self._running)

    def cancel(self) -> None:
        """Have the workers pass over all pieces that they have not begun."""
        _files().delete([self._running])

    @property
    def _running(self) -> str:
        return f"{self.location}/running"


@contextmanager
def _exchange(location: str | None) -> Iterator[_Exchange]:
    """A folder of its own for one pipeline, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="tunestack-beam-", ignore_cleanup_errors=True) as folder:
        if location is None:
            yield _Exchange(folder)
            return
        exchange = _Exchange(_files().join(location, Path(folder).name))
        _files().mkdirs(exchange.location)
        try:
            yield exchange
        finally:
            try:
                # A bucket, which has no folders, takes a name with a slash for all that begins so.
                slash = "" if _files().get_filesystem(exchange.location).has_dirs() else "/"
                _files().delete([exchange.location + slash])
            except Exception as error:  # the result stands all the same
                logging.getLogger(__name__).warning("%s was left behind: %s", exchange.location, error)


def _do(place: tuple[int, int, int], exchange: _Exchange, function: Callable[[Any], Any]) -> None:
    """What a worker does with an element."""
    number, at, size = place
    if exchange.cancelled:
        return
    result: Any
    try:
        result = function(exchange.piece(at, size))
    except Exception as error:  # raised where the results are read, as processes do it, and not tried again
        result = error
    exchange.write_result(number, result)


def _spread(name: str | Path) -> Source | str | Path:
    """An object in JSON Lines as a source of ranges, for any worker to read; everything else as it is."""
    if not str(name).startswith("gs://"):
        return name
    source = open_source(name)
    if isinstance(source, JsonLines) and isinstance(source.content, CloudObject):
        return _RangedObject(_Unbroken(source.content))
    return source


class _RangedObject(JsonLines, frozen=True):
    """JSON Lines in a bucket, in byte ranges as a local file has them."""

    content: _Unbroken

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Ranges, without reading more than the head of the object."""
        with self.content.open() as stream:
            refuse_other_than_json(stream.peek(4096)[:4096])
        end = self.content.object.size
        for number, start in enumerate(range(0, end, size)):
            yield Block(self, number, start, min(start + size, end))

    def chunks(self, block: Block, records: int = 128) -> Iterator[Chunk]:
        """As of a local file."""
        until = replace(self.content, end=block.end + MOST_LINE_BYTES)
        return super(_RangedObject, replace(self, content=until)).chunks(block, records)


class _Unbroken(msgspec.Struct, frozen=True):
    """An object whose stream raises what breaks it, where a reader of a part would take it for the end."""

    object: CloudObject
    end: int | None = None  # where no line reaches that is short enough for the memory

    @property
    def name(self) -> str:
        """The address."""
        return self.object.name

    def open(self) -> io.BufferedReader:
        """Raises TunestackError, as reading from it does."""
        return io.BufferedReader(_Raising(self.object.open(), self), _BUFFER_BYTES)

    def digests(self) -> SourceDigests:
        """As of the object."""
        return self.object.digests()


class _Raising(io.RawIOBase):
    def __init__(self, stream: io.BufferedReader, content: _Unbroken) -> None:
        self._stream, self._content = stream, content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.raw.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.raw.tell()

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        content = self._content
        if content.end is not None and self.tell() >= content.end:
            message = f"a line is longer than {MOST_LINE_BYTES >> 20} MiB"
            problem = Problem("not-json-lines", message, content.name, fix="one record a line: jq -c .")
            raise TunestackError(problem, exit_status=2)
        raw = cast(io.RawIOBase, self._stream.raw)
        count = raw.readinto(buffer)
        if not count and (fault := fault_of(self._stream)) is not None:
            problem = Problem(fault.code, fault.message, content.name, fix=fault.fix)
            raise TunestackError(problem, exit_status=2)
        return count
