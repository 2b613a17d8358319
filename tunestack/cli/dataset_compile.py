"""``tunestack dataset compile``: folders to finished files, held against their locks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.cli.documents import say

if TYPE_CHECKING:
    from tunestack.dataset import CompiledDataset, Report


def compile_folders(arguments: argparse.Namespace) -> int:
    from tunestack.dataset import DatasetRefused, Report

    refused = Report()
    documents: list[dict[str, Any]] = []
    for folder in arguments.folder:
        try:
            compiled = (
                _checked_against_lock(folder, arguments) if arguments.check else _compiled(folder, arguments)
            )
        except DatasetRefused as error:
            refused.merge(error.report)
            continue
        documents.append(
            {
                "name": compiled.name,
                "digest": compiled.digest,
                "format": compiled.format,
                "files": {
                    part: {
                        "path": None if file.path is None or arguments.check else str(file.path),
                        "uri": file.uri,
                        "generation": file.generation,
                        "rows": file.rows,
                        "bytes": file.bytes,
                        "digest": file.digest,
                        "crc32c": file.crc32c,
                    }
                    for part, file in compiled.files.items()
                },
            }
        )
    say(arguments, lambda: _compiled_document(documents, refused), lambda: _compiled_text(documents, refused))
    return 0 if refused.good else 1


def _compiled(folder: Path, arguments: argparse.Namespace) -> CompiledDataset:
    from tunestack.dataset import compile_dataset
    from tunestack.dataset.lock import lock_of, write_lock

    compiled = compile_dataset(folder, arguments.output, arguments.format)
    if arguments.format is None:  # the lock is of the dataset as it is declared
        write_lock(folder, lock_of(folder, compiled))
    if arguments.upload:
        from tunestack.dataset.upload import upload_dataset

        compiled = upload_dataset(compiled, arguments.upload)
    return compiled


def _checked_against_lock(folder: Path, arguments: argparse.Namespace) -> CompiledDataset:
    """Compiled to a place that is gone afterwards. Raises TunestackError where the lock says something else."""
    import tempfile

    from tunestack.dataset import compile_dataset
    from tunestack.dataset.lock import LOCK_FILE, lock_of, read_lock, stale
    from tunestack.spec.errors import Problem, TunestackError

    lock = read_lock(folder)
    with tempfile.TemporaryDirectory() as aside:
        compiled = compile_dataset(folder, Path(aside), arguments.format)
        now = lock_of(folder, compiled)
    if lock is None:
        fix = f"tunestack dataset compile {folder}, and commit the lock"
        raise TunestackError(Problem("lock-stale", "there is no lock", str(folder / LOCK_FILE), fix=fix))
    if problems := stale(folder, lock, now):
        raise TunestackError(*problems)
    return compiled


def _compiled_document(documents: list[dict[str, Any]], refused: Report) -> dict[str, Any]:
    from tunestack.dataset import json_report

    return {"datasets": documents} | ({} if refused.good else {"refused": json_report(refused)})


def _compiled_text(documents: list[dict[str, Any]], refused: Report) -> str:
    from tunestack.dataset import terminal_report

    lines = []
    for document in documents:
        lines.append(f"{document['name']} · {document['format']} · digest {document['digest'][:16]}")
        width = max(map(len, document["files"]))
        folders = {str(Path(file["path"]).parent) for file in document["files"].values() if file["path"]}
        for part, file in document["files"].items():
            where = f"  {file['uri']}#{file['generation']}" if file["uri"] else ""
            lines.append(f"  {part:<{width}}  {file['rows']:>9,} rows  {file['bytes']:>13,} bytes{where}")
        lines += [f"  in {folder}" for folder in sorted(folders)]
    return "\n".join(lines if refused.good else [*lines, *[""] * bool(lines), terminal_report(refused)])
