"""``tunestack dataset …``: every defect of every row, before anything is uploaded; and what a dataset consists of."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.dataset import CompiledDataset, Report
    from tunestack.dataset.fix import Patch

EXAMPLES = """\
examples:
  tunestack dataset check train.jsonl                         a finished file, without any project
  tunestack dataset check *.jsonl --format gemini             several, in another format
  tunestack dataset check datasets/sarcasm-classification     a dataset folder: records, template, split, held-out sets
  tunestack dataset check data.jsonl --html report.html       the same as a page for a pull request
  tunestack dataset compile datasets/sarcasm-classification   the folder to finished files, and its lock
  tunestack dataset diff main/datasets/x datasets/x           what rows were added, removed, changed or moved

exit status: 0 good, 1 findings, 2 cannot run
docs: docs/datasets.md (how to write one), docs/dataset-checks.md (what is checked)"""

CHECK_EXAMPLES = """\
A PATH is a dataset folder (with a dataset.yaml), a finished file, or gs://bucket/object. Files are JSON Lines; JSON
lists, CSV, TSV and Parquet are read too, plain or compressed with gzip or zstd.

examples:
  tunestack dataset check train.jsonl
  tunestack dataset check train.jsonl --format gemini --model gemini-2.5-flash
  tunestack dataset check gs://my-bucket/train.jsonl --json
  tunestack dataset check datasets/weather --html report.html
  tunestack dataset check datasets/weather --fix

exit status: 0 good, 1 findings, 2 cannot run"""

STATUS = "exit status: 0 good, 1 findings, 2 cannot run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check, compile, split and compare datasets."
    parser.epilog = EXAMPLES
    parser.set_defaults(action=None, show_help=parser.print_help, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", prog="tunestack dataset")

    def action(
        name: str, run: Callable[[argparse.Namespace], int], summary: str, epilog: str = STATUS
    ) -> argparse.ArgumentParser:
        made = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.set_defaults(action=run)
        made.add_argument("--json", action="store_true", help="one JSON document, for machines")
        return made

    check = action(
        "check", _check, "list everything that is wrong with datasets or finished files", CHECK_EXAMPLES
    )
    check.add_argument(
        "path", nargs="+", metavar="PATH", help="a dataset folder, a finished file or a gs:// object"
    )
    _of_files(check)
    check.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report as one self-contained page too"
    )
    check.add_argument(
        "--fix", action="store_true", help="write a patch for what can be mended mechanically, and show it"
    )
    check.add_argument(
        "--quick", action="store_true", help="bare files: only each line by itself, nothing across rows"
    )
    check.add_argument(
        "--personal-data", action="store_true", help="bare files: look for personal data and secrets"
    )

    compiled = action(
        "compile", _compile, "turn dataset folders into finished files under the digest of their content"
    )
    compiled.add_argument("folder", nargs="+", type=Path, metavar="FOLDER", help="a dataset folder")
    compiled.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where dataset.lock.json is not of this dataset",
    )
    compiled.add_argument("--format", type=_format, metavar="F", help="another format than dataset.yaml says")
    compiled.add_argument(
        "--output", type=Path, default=Path(".tunestack/compiled"), metavar="DIR", help="default: %(default)s"
    )
    compiled.add_argument("--upload", metavar="gs://BUCKET/PREFIX", help="bring the files there, once")

    stats = action("stats", _stats, "show rows, lengths, labels and tokens")
    stats.add_argument("path", nargs="+", metavar="PATH", help="as for check")
    _of_files(stats)
    stats.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report as one self-contained page too"
    )

    split = action(
        "split",
        _split,
        "show which prompts are validated on, by stratum",
        "exit status: 0 good, 1 findings, 2 cannot run",
    )
    split.add_argument("folder", type=Path, metavar="FOLDER", help="a dataset folder")

    diff = action(
        "diff",
        _diff,
        "name the rows that two datasets do not have in common",
        "exit status: 0 the same, 1 they differ, 2 cannot run",
    )
    diff.add_argument(
        "old", type=Path, metavar="OLD", help="a dataset folder, compiled folder, file or lock file"
    )
    diff.add_argument("new", type=Path, metavar="NEW", help="the same")

    collect = action(
        "collect", _collect, "turn votes on served answers into a preference dataset (docs/feedback.md)"
    )
    collect.add_argument(
        "log", nargs="+", metavar="LOG", help="a log of votes: JSON Lines, CSV, Parquet; or gs://"
    )
    collect.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the dataset folder to write"
    )
    collect.add_argument(
        "--columns",
        action="append",
        type=_column,
        default=[],
        metavar="WORD=FIELD",
        help="which field of the log is the prompt, the answer, …; may be repeated",
    )
    collect.add_argument(
        "--minimum-margin", type=float, default=0.0, metavar="N", help="between two mean ratings"
    )
    collect.add_argument("--pairs-per-prompt", type=int, default=8, metavar="N", help="default: %(default)s")
    collect.add_argument(
        "--validation", type=int, default=0, metavar="N", help="pairs that dataset.yaml sets aside"
    )
    collect.add_argument("--name", help="the dataset's; default: the folder's")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action is None:
        arguments.show_help()
        return 0
    status: int = arguments.action(arguments)
    return status


def _of_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", type=_format, metavar="F", help=f"of bare files; default: supervised. {_formats()}"
    )
    parser.add_argument(
        "--model", type=_model, metavar="M", help="whose limits count; default: the format's own"
    )
    parser.add_argument(
        "--exact-tokens",
        type=Path,
        metavar="TOKENIZER",
        help="count with this tokenizer.json or SentencePiece .model",
    )
    parser.add_argument("--processes", type=_number, metavar="N", help="default: as many as it pays for")


def _formats() -> str:
    from tunestack.dataset.formats import FORMATS

    return "One of " + ", ".join(FORMATS)


def _format(name: str) -> str:
    from tunestack.dataset.formats import FORMATS

    return _one_of(FORMATS, name, "format")


def _model(name: str) -> str:
    from tunestack.catalog.limits import LIMITS

    return _one_of({model: None for row in LIMITS for model in row.models}, name, "model")


def _one_of(known: Iterable[str], name: str, what: str) -> str:
    from tunestack.spec.suggestion import listed, nearest

    names = list(known)
    if name in names:
        return name
    close = nearest(name, names)
    raise argparse.ArgumentTypeError(
        f"there is no {what} {name!r}; " + (f"did you mean {close!r}?" if close else listed(names))
    )


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1 or more")
    return int(text)


def _column(text: str) -> tuple[str, str]:
    word, equals, field = text.partition("=")
    if not (word and equals and field):
        raise argparse.ArgumentTypeError(f"{text!r} is not WORD=FIELD")
    return word, field


def _check(arguments: argparse.Namespace) -> int:
    from tunestack.dataset import json_report, terminal_report
    from tunestack.dataset.report import counted

    report = _report(arguments)
    if arguments.html:
        _write_page(report, arguments)
    patches = _patches(report) if arguments.fix else []

    def document() -> dict[str, Any]:
        return json_report(report) | (
            {
                "patches": [
                    {
                        "file": patch.file,
                        "patch": str(patch.path),
                        "command": patch.command,
                        "fixed": len(patch.fixed),
                        "remaining": len(patch.remaining),
                    }
                    for patch in patches
                ]
            }
            if arguments.fix
            else {}
        )

    def text() -> str:
        told = [terminal_report(report)]
        for patch in patches:
            told += [
                "",
                f"{patch.path} mends {counted(len(patch.fixed), 'finding')}:",
                "",
                str(patch).rstrip("\n"),
            ]
            told += ["", f"Read it, then apply it: {patch.command}"]
        if arguments.fix and not report.good and not patches:
            told += ["", "Nothing of this can be mended mechanically: there is no patch."]
        return "\n".join(told)

    _say(arguments, document, text)
    return 0 if report.good else 1


def _patches(report: Report) -> list[Patch]:
    """For each file with findings that leave no doubt what was meant: the patch, written beside it."""
    from tunestack.dataset.fix import fixes
    from tunestack.dataset.sources import open_source

    written = []
    for name in sorted({found.file for found in report.findings}):
        patch = fixes(report.findings, open_source(name))
        if patch.diff:
            patch.write()
            written.append(patch)
    return written


def _stats(arguments: argparse.Namespace) -> int:
    from tunestack.dataset.report import json_report
    from tunestack.dataset.statistics_report import terminal_statistics

    report = _report(arguments)
    if arguments.html:
        _write_page(report, arguments)

    def figures() -> dict[str, Any]:
        return {name: value for name, value in json_report(report).items() if name != "findings"}

    _say(arguments, figures, lambda: terminal_statistics(report))
    return 0 if report.good else 1


def _compile(arguments: argparse.Namespace) -> int:
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
    _say(
        arguments, lambda: _compiled_document(documents, refused), lambda: _compiled_text(documents, refused)
    )
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


def _split(arguments: argparse.Namespace) -> int:
    raise NotImplementedError


def _diff(arguments: argparse.Namespace) -> int:
    from tunestack.dataset.difference import compare
    from tunestack.dataset.difference_report import json_difference, terminal_difference

    difference = compare(arguments.old, arguments.new)
    _say(arguments, lambda: json_difference(difference), lambda: terminal_difference(difference))
    return 0 if difference.same else 1


def _collect(arguments: argparse.Namespace) -> int:
    from tunestack.dataset.feedback import CollectOptions, collect, json_collection, terminal_collection

    collected = collect(
        arguments.log,
        arguments.output,
        CollectOptions(
            columns=dict(arguments.columns),
            minimum_margin=arguments.minimum_margin,
            pairs_per_prompt=arguments.pairs_per_prompt,
            name=arguments.name,
            validation=arguments.validation,
        ),
    )
    _say(arguments, lambda: json_collection(collected), lambda: terminal_collection(collected))
    return 0


def _report(arguments: argparse.Namespace) -> Report:
    """The reports on all paths as one; of several folders each part is named with its folder."""
    from tunestack.dataset.check import check_dataset, check_files
    from tunestack.dataset.report import Report

    report = Report()
    folders = [path for path in arguments.path if Path(path).is_dir()]
    for folder in folders:
        found = Report.of(check_dataset(Path(folder)))
        if len(arguments.path) > 1:
            found.statistics = {f"{folder}: {part}": each for part, each in found.statistics.items()}
            found.tokens = {f"{folder}: {part}": each for part, each in found.tokens.items()}
        report.merge(found)
    if files := [path for path in arguments.path if path not in folders]:
        report.merge(
            check_files(
                files,
                format=arguments.format or "supervised",
                quick=getattr(arguments, "quick", False),
                processes=arguments.processes,
            )
        )
    return report


def _write_page(report: Report, arguments: argparse.Namespace) -> None:
    from tunestack.dataset.aside import write_aside
    from tunestack.dataset.html_report import html_report, worst_rows
    from tunestack.dataset.row_texts import read_row_texts

    names = [Path(path).resolve().name if Path(path).is_dir() else str(path) for path in arguments.path]
    page = html_report(report, title=", ".join(names), texts=read_row_texts(worst_rows(report)))
    write_aside(arguments.html, page.encode())
    if not arguments.json:
        print(f"written: {arguments.html}", file=sys.stderr)


def _say(arguments: argparse.Namespace, document: Callable[[], Any], text: Callable[[], str]) -> None:
    if arguments.json:
        import json

        print(json.dumps(document(), indent=2, ensure_ascii=False))
    else:
        print(text())
