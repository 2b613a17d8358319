"""A dataset folder to finished JSON Lines files, under the digest of their content.

Nothing is written while anything is wrong. What is written is written aside, flushed and renamed, so that a folder
under its digest is always whole; a folder that is there already and intact is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tunestack.dataset.aside import folder_aside, remove_aside, sync_folder
from tunestack.dataset.check import ExaminedDataset, examine_dataset
from tunestack.dataset.digest import CompiledFile, DigestedFile, digest_of_parts, file_digest
from tunestack.dataset.findings import DatasetRefused
from tunestack.dataset.formats import supervised
from tunestack.dataset.report import Report
from tunestack.spec.errors import Problem, TunestackError


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
    # Where the bytes came from does not make them others.
    report: Report = field(default_factory=Report, compare=False)

    @property
    def files(self) -> dict[str, CompiledFile]:
        """Every part by its name: `train`, `validation`, `held-out-<set>`, `queries`, `corpus`."""
        return {
            "train": self.train,
            **({"validation": self.validation} if self.validation is not None else {}),
            **{f"held-out-{name}": file for name, file in self.held_out.items()},
            **self.beside,
        }


def compile_dataset(folder: Path, output: Path) -> CompiledDataset:
    """Compile ``folder`` to `<output>/<name>/<digest>/{train,validation,held-out-<set>}.jsonl`.

    The bytes depend on the folder's content alone. Raises DatasetRefused with every finding, TunestackError where
    `dataset.yaml` cannot be loaded or the output not be written.
    """
    dataset = examine_dataset(folder)
    if dataset.findings:
        raise DatasetRefused(dataset.findings)
    home = output / dataset.spec.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        with folder_aside(home) as aside:
            files = {}
            for name, lines in _parts(dataset):
                with DigestedFile(aside / f"{name}.jsonl") as file:
                    for line in lines:
                        file.write(line)
                    files[name] = file.finish()
            digest = digest_of_parts(files)
            sync_folder(aside)
            _put(aside, home / digest, files)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("output-unwritable", f"cannot write the compiled dataset: {reason}", str(home))
        raise TunestackError(problem, exit_status=2) from error
    files = {name: replace(file, path=home / digest / f"{name}.jsonl") for name, file in files.items()}
    return CompiledDataset(
        dataset.spec.name,
        digest,
        files["train"],
        files.get("validation"),
        {name: files[f"held-out-{name}"] for name in dataset.held_out},
        tuple(dataset.spec.labels or ()),
    )


def _parts(dataset: ExaminedDataset) -> Iterator[tuple[str, Iterator[bytes]]]:
    rows, chosen = dataset.records.rows, dataset.validation
    yield "train", (supervised.encode(row.prompt, row.targets[0]) for row in rows if row.prompt not in chosen)
    if chosen:
        yield (
            "validation",
            (supervised.encode(row.prompt, row.targets[0]) for row in rows if row.prompt in chosen),
        )
    with_references = dataset.spec.references is not None
    for name, examples in dataset.held_out.items():
        yield (
            f"held-out-{name}",
            (
                supervised.encode(row.prompt, row.targets[0], row.targets if with_references else None)
                for row in examples.rows
            ),
        )


def _put(aside: Path, final: Path, files: Mapping[str, CompiledFile]) -> None:
    if final.exists():
        if _intact(final, files):
            return
        # Somebody changed what lies under a digest: it is worth nothing. It goes where the leftovers go.
        remove_aside(final)
    aside.chmod(0o755)
    try:
        aside.rename(final)
    except OSError:
        if not _intact(final, files):  # else another compilation of the same content was faster
            raise
    sync_folder(final.parent)


def _intact(final: Path, files: Mapping[str, CompiledFile]) -> bool:
    try:
        present = {path.name: file_digest(path) for path in final.iterdir()}
    except OSError:
        return False
    return present == {f"{name}.jsonl": file.digest for name, file in files.items()}
