"""The jobs of a stack, read from a project folder and resolved: the one place where plan touches the disk."""

from __future__ import annotations

import difflib
from datetime import date
from pathlib import Path

from tunestack.dataset import CompiledDataset, compile_dataset
from tunestack.dataset.lock import lock_of, read_lock, stale
from tunestack.plan.resolve import ResolvedPlan, resolve
from tunestack.spec.document import load_document, place_of
from tunestack.spec.errors import Problem, SeveralErrors, TunestackError
from tunestack.spec.job import JobSpec
from tunestack.spec.stack import StackSpec

JOBS = "jobs"
DATASETS = "datasets"
COMPILED = Path(".tunestack") / "compiled"


def resolve_jobs(root: Path, stack: StackSpec, *, today: date) -> list[ResolvedPlan]:
    """Read, compile and resolve every job of ``stack``; compiled datasets go to ``.tunestack/compiled``.

    Raises TunestackError with the problems of all jobs and datasets, not only the first.
    """
    plans: list[ResolvedPlan] = []
    errors: list[TunestackError] = []
    compiled: dict[str, CompiledDataset] = {}
    refused: set[str] = set()
    for name in stack.jobs:
        try:
            job, variables = _load_job(root, name, stack)
            if job.dataset in refused:  # its problems are listed already
                continue
            if job.dataset not in compiled:
                refused.add(job.dataset)
                compiled[job.dataset] = _compiled(root, job.dataset, stack)
                refused.discard(job.dataset)
            path = root / JOBS / f"{name}.yaml"

            def where(field: str, path: Path = path, variables: dict[str, str] = variables) -> str:
                return place_of(path, (field,), variables)

            plans.append(resolve(job, compiled[job.dataset], stack, today=today, where=where))
        except TunestackError as error:
            errors.append(error)
    if errors:
        raise SeveralErrors(errors, root=str(root))
    return plans


def _compiled(root: Path, name: str, stack: StackSpec) -> CompiledDataset:
    """Compile a dataset; one whose committed lock says otherwise is not what was agreed on.

    On the local stack the lock is let be: trying things is what that stack is for.
    """
    folder = _existing(root / DATASETS, name, "dataset")
    compiled = compile_dataset(folder, root / COMPILED)
    lock = None if stack.is_local else read_lock(folder)
    if lock is not None and (problems := stale(folder, lock, lock_of(folder, compiled))):
        raise TunestackError(*problems)
    return compiled


def load_job(root: Path, name: str, stack: StackSpec) -> JobSpec:
    """Read ``jobs/<name>.yaml`` for ``stack``. Raises TunestackError."""
    return _load_job(root, name, stack)[0]


def _load_job(root: Path, name: str, stack: StackSpec) -> tuple[JobSpec, dict[str, str]]:
    variables = {"stack": stack.name, "project": stack.project}
    path = _existing(root / JOBS, f"{name}.yaml", "job")
    job = load_document(path, JobSpec, variables)
    if job.name != name:
        raise TunestackError(
            Problem(
                "job-name",
                "a job's name is its file's name",
                place_of(path, ("name",), variables),
                have=job.name,
                need=name,
            )
        )
    return job, variables


def _existing(folder: Path, name: str, what: str) -> Path:
    """Return ``folder/name``; TunestackError naming what there is where it is missing."""
    path = folder / name
    if path.exists():
        return path
    there = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    close = difflib.get_close_matches(name, there, n=1)
    raise TunestackError(
        Problem(
            f"no-such-{what}",
            f"there is no {what} {name.removesuffix('.yaml')!r}"
            + (f" (did you mean {close[0]!r}?)" if close else ""),
            f"{folder.name}/{name}",
            need=", ".join(there) or f"a {what} in {folder.name}/",
            fix="name one of these, or write it",
        )
    )
