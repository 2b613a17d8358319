"""A dataset folder to finished files, under the digest of their content.

Nothing is written while anything is wrong. What is written is written aside, flushed and renamed, so that a folder
under its digest is always whole; a folder that is there already and intact is left as it is. The rows are read once,
by the examination, which leaves the compiled lines in files of its own; they go from there, in their order, to the
side that the hashes of their prompts choose.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tunestack.dataset.aside import folder_aside, remove_aside, sync_folder
from tunestack.dataset.digest import CompiledFile, DigestedFile, digest_of_parts, file_digest
from tunestack.dataset.findings import DatasetRefused
from tunestack.dataset.measure import Measure, remaining
from tunestack.dataset.part_checks import LABEL_COLUMNS
from tunestack.dataset.report import Report
from tunestack.dataset.split import validation_hashes
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.dataset.examine import Examined, ExaminedPart

PROMPT = "prompt.json"
_HELD_OUT = "held-out-"
# The parts of an embedding dataset, and what they are called where every dataset has the same names.
_EMBEDDING_PARTS = {"train-labels": "train", "test-labels": "validation"}


@dataclass(frozen=True)
class CompiledDataset:
    """What a dataset became. ``digest`` names all the parts together: BLAKE3, 64 hexadecimal digits.

    An embedding dataset is trained on the pairs in its labels: ``train`` and ``validation`` are the files of train
    and test labels, ``beside`` holds the `queries` and the `corpus` that they refer to.
    """

    name: str
    digest: str
    train: CompiledFile
    validation: CompiledFile | None
    held_out: dict[str, CompiledFile] = field(default_factory=dict)
    labels: tuple[str, ...] = ()  # the classes of a classification; none for other tasks
    format: str = "supervised"
    beside: dict[str, CompiledFile] = field(default_factory=dict)
    # How a model tuned on this is asked (serving.py): no part of what it is tuned on, so not in ``digest``.
    prompt: CompiledFile | None = None
    # Where the bytes came from does not make them others.
    report: Report = field(default_factory=Report, compare=False)

    @property
    def files(self) -> dict[str, CompiledFile]:
        """Every part by its name: `train`, `validation`, `held-out-<set>`, `queries`, `corpus`."""
        return {
            "train": self.train,
            **({"validation": self.validation} if self.validation is not None else {}),
            **{f"{_HELD_OUT}{name}": file for name, file in self.held_out.items()},
            **self.beside,
        }


def compile_dataset(
    folder: Path,
    output: Path,
    format: str | None = None,  # noqa: A002
    *,
    processes: int | None = None,
) -> CompiledDataset:
    """Compile ``folder`` to `<output>/<name>/<digest>/{train,validation,held-out-<set>}.jsonl`.

    ``format`` stands for the one that `dataset.yaml` names, where the dataset declares what it needs. Finished files
    in a bucket are checked where they lie and not copied. The bytes depend on the folder's content alone, not on
    ``processes`` (None: as many as there are cores). Raises DatasetRefused with every finding, TunestackError where
    `dataset.yaml` cannot be loaded or the output not be written.
    """
    from tunestack.dataset.examine import examine_dataset

    try:
        with _made(output), folder_aside(output) as aside:
            spool, parts = aside / "spool", aside / "parts"
            spool.mkdir()
            parts.mkdir()
            examined = examine_dataset(folder, spool, format=format, processes=processes)
            if examined.report.counts:
                raise DatasetRefused(examined.report)
            written = _write(examined, parts)
            files = _in_buckets(examined) | written
            prompt = _write_prompt(examined, parts)
            if written:
                home = output / examined.spec.name
                home.mkdir(exist_ok=True)
                final = home / digest_of_parts(files)
                sync_folder(parts)
                _put(parts, final, [*written.values(), *([prompt] if prompt else [])])
                files |= {
                    part: msgspec.structs.replace(file, path=final / _file_name(file))
                    for part, file in written.items()
                }
                prompt = msgspec.structs.replace(prompt, path=final / PROMPT) if prompt else None
    except OSError as error:
        raise _unworkable(error, folder, output) from error
    return CompiledDataset(
        examined.spec.name,
        digest_of_parts(files),
        files["train"],
        files.get("validation"),
        {name: files[f"{_HELD_OUT}{name}"] for name in examined.spec.held_out},
        tuple(examined.spec.labels or ()),
        examined.format,
        {part: files[part] for part in ("queries", "corpus") if part in files},
        prompt,
        examined.report,
    )


def _write(examined: Examined, folder: Path) -> dict[str, CompiledFile]:
    """Every part that does not lie in a bucket already, with its figures in the report."""
    files: dict[str, CompiledFile] = {}
    existing = _in_buckets(examined)
    for name, part in examined.parts.items():
        if name == "records":
            files |= _split(examined, folder)
        elif name in _EMBEDDING_PARTS:
            called = _EMBEDDING_PARTS[name]
            files[called] = _write_table(part, folder / f"{called}.tsv")
            examined.report.statistics[called] = examined.report.statistics.pop(name)
        elif name not in existing:
            files[name] = _write_lines(examined, part, folder / f"{name}.jsonl")
    return files


def _write_prompt(examined: Examined, folder: Path) -> CompiledFile | None:
    from tunestack.dataset.serving import ServingPrompt

    if examined.recipe is None:
        return None
    with DigestedFile(folder / PROMPT) as file:
        file.write(ServingPrompt.of(examined.recipe, PROMPT).as_json())
        return file.finish()


def _write_lines(examined: Examined, part: ExaminedPart, path: Path) -> CompiledFile:
    statistics = examined.report.statistics
    held_out = part.name.startswith(_HELD_OUT)
    # What was counted while reading holds rows, too, that a rule left out afterwards.
    measure = Measure("evaluation") if held_out and statistics[part.name].rows != part.rows else None
    with DigestedFile(path) as file:
        for line in part.lines():
            file.write(line)
            if measure is not None:
                measure.add(line)
        if measure is not None:
            statistics[part.name] = measure.finish()
        return file.finish()


def _write_table(labels: ExaminedPart, path: Path) -> CompiledFile:
    with DigestedFile(path) as file:
        file.write("\t".join(LABEL_COLUMNS).encode() + b"\n", rows=0)
        for line in labels.lines():
            file.write(_table_row(line))
        return file.finish()


def _table_row(line: bytes) -> bytes:
    """A label as a row of the table that the service takes: a score that was left out is 1."""
    label = {"score": 1} | json.loads(line)
    row = io.StringIO()
    csv.writer(row, delimiter="\t", lineterminator="\n").writerow(label[name] for name in LABEL_COLUMNS)
    return row.getvalue().encode()


def _split(examined: Examined, folder: Path) -> dict[str, CompiledFile]:
    """The records in their order, each on its side, and the figures of the sides."""
    records, statistics = examined.parts["records"], examined.report.statistics
    hashes = records.prompt_hashes()
    chosen = validation_hashes(hashes, examined.spec.split.validation, records.strata())
    whole = statistics.pop("records")
    exact = whole.rows == records.rows
    train, validation = Measure(examined.format), Measure(examined.format)
    with contextlib.ExitStack() as stack:
        train_file = stack.enter_context(DigestedFile(folder / "train.jsonl"))
        validation_file = None
        if chosen:
            validation_file = stack.enter_context(DigestedFile(folder / "validation.jsonl"))
        for line, each in zip(records.lines(), hashes, strict=True):
            if validation_file is not None and each in chosen:
                validation_file.write(line)
                validation.add(line)
            else:
                train_file.write(line)
                if not exact:
                    train.add(line)
        files = {"train": train_file.finish()}
        if validation_file is not None:
            files["validation"] = validation_file.finish()
            statistics["validation"] = validation.finish()
        statistics["train"] = remaining(whole, validation.finish()) if exact else train.finish()
        return files


def _in_buckets(examined: Examined) -> dict[str, CompiledFile]:
    """Finished files, by the generation that was checked."""
    existing = examined.spec.existing
    if existing is None:
        return {}
    sources = {source.name: source for source in examined.report.sources}
    files = {}
    for part, address in (("train", existing.train), ("validation", existing.validation)):
        if address is not None:
            source = sources[address]
            files[part] = CompiledFile(
                None,
                examined.parts[part].rows,
                source.blake3,
                source.crc32c,
                source.bytes,
                address.rpartition("#")[0],
                source.generation,
            )
    return files


def _put(parts: Path, final: Path, files: Sequence[CompiledFile]) -> None:
    """Give the folder its name; leave one alone that has it and the very same files."""
    if final.exists():
        if _intact(final, files):
            return
        remove_aside(final)  # somebody changed what lies under a digest: it is worth nothing
    parts.chmod(0o755)
    try:
        parts.rename(final)
    except OSError:
        if not _intact(final, files):  # else another compilation of the same content was faster
            raise
    sync_folder(final.parent)


def _intact(final: Path, files: Iterable[CompiledFile]) -> bool:
    try:
        present = {path.name: file_digest(path) for path in final.iterdir()}
    except OSError:
        return False
    return present == {_file_name(file): file.digest for file in files}


def _file_name(file: CompiledFile) -> str:
    return file.path.name if file.path is not None else ""


def _unworkable(error: OSError, folder: Path, output: Path) -> TunestackError:
    """What the system refused: a file of the dataset that is gone in the middle of it, else the output."""
    reason = (error.strerror or type(error).__name__).lower()
    if isinstance(error.filename, str) and Path(error.filename).is_relative_to(folder):
        problem = Problem("file-unreadable", f"cannot read the dataset: {reason}", error.filename)
    else:
        problem = Problem("output-unwritable", f"cannot write the compiled dataset: {reason}", str(output))
    return TunestackError(problem, exit_status=2)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder is there inside the block; where nothing was put into it, it goes again with those above it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for each in missing:
                each.rmdir()
