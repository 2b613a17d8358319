"""``tunestack dataset …``: every defect of every row, before anything is uploaded; and what a dataset consists of."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tunestack.cli import dataset_beam
from tunestack.cli.documents import say
from tunestack.cli.help_formatter import help_formatter

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
DIFFERENCE_STATUS = "exit status: 0 the same, 1 they differ, 2 cannot run"


class _Action(argparse.ArgumentParser):
    """The parser of one action, whose arguments are made when it is its turn: nine such take as long as a check."""

    def __init__(self, fill: Callable[[argparse.ArgumentParser], None], **options: Any) -> None:
        super().__init__(formatter_class=help_formatter, allow_abbrev=False, **options)
        self._fill: Callable[[argparse.ArgumentParser], None] | None = fill

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._fill is None:
            return super().parse_known_args(args, namespace)
        fill, self._fill = self._fill, None
        _import_msgspec()
        self.add_argument("--json", action="store_true", help="one JSON document, for machines")
        fill(self)
        return self.parse_known_args(args, namespace)


def _import_msgspec() -> None:
    """Import msgspec without typing_extensions, which it prefers to an equal `typing`, and which takes as long itself.

    A None in `sys.modules` is how Python's import system is told that there is no such module.
    """
    if "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        import msgspec  # noqa: F401

        del sys.modules["typing_extensions"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check, compile, split and compare datasets."
    parser.epilog = EXAMPLES
    parser.set_defaults(action=None, show_help=parser.print_help, json=False)
    actions = parser.add_subparsers(
        title="actions", metavar="ACTION", prog="tunestack dataset", parser_class=_Action
    )
    for name, fill, run_action, summary, epilog in (
        ("check", _of_check, _check, "list everything that is wrong with datasets or files", CHECK_EXAMPLES),
        ("compile", _of_compile, _compile, "turn dataset folders into finished files, and lock them", STATUS),
        ("stats", _of_stats, _stats, "show rows, lengths, labels and tokens", STATUS),
        ("split", _of_split, _split, "show which prompts are validated on, by stratum", STATUS),
        ("diff", _of_diff, _diff, "name the rows that two datasets do not have in common", DIFFERENCE_STATUS),
        ("collect", _of_collect, _collect, "turn votes on served answers into preferences", STATUS),
        ("beam", _of_beam, dataset_beam.run, dataset_beam.SUMMARY, dataset_beam.EXAMPLES),
    ):
        described = f"{summary[0].upper()}{summary[1:]}."
        actions.add_parser(name, fill=fill, help=summary, description=described, epilog=epilog).set_defaults(
            action=run_action
        )


def run(arguments: argparse.Namespace) -> int:
    if arguments.action is None:
        arguments.show_help()
        return 0
    status: int = arguments.action(arguments)
    return status


def _of_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="+", metavar="PATH", help="a dataset folder, a finished file or a gs:// object"
    )
    _of_files(parser)
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report as one self-contained page too"
    )
    parser.add_argument(
        "--fix", action="store_true", help="write a patch for what can be mended mechanically, and show it"
    )
    parser.add_argument(
        "--quick", action="store_true", help="bare files: only each line by itself, nothing across rows"
    )
    parser.add_argument(
        "--personal-data", action="store_true", help="bare files: look for personal data and secrets"
    )


def _of_compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="+", type=Path, metavar="FOLDER", help="a dataset folder")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where dataset.lock.json is not of this dataset",
    )
    parser.add_argument("--format", type=_format, metavar="F", help="another format than dataset.yaml says")
    parser.add_argument(
        "--output", type=Path, default=Path(".tunestack/compiled"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--upload", metavar="gs://BUCKET/PREFIX", help="bring the files there, once")


def _of_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="+", metavar="PATH", help="as for check")
    _of_files(parser)
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report as one self-contained page too"
    )


def _of_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a dataset folder")


def _of_diff(parser: argparse.ArgumentParser) -> None:
    sides = "a dataset folder, compiled folder, file, lock file or gs://bucket/object#generation"
    parser.add_argument("old", metavar="OLD", help=sides)
    parser.add_argument("new", metavar="NEW", help="the same")


def _of_collect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "log", nargs="+", metavar="LOG", help="a log of votes: JSON Lines, CSV, Parquet; or gs://"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the dataset folder to write"
    )
    parser.add_argument(
        "--columns",
        action="append",
        type=_column,
        default=[],
        metavar="WORD=FIELD",
        help="which field of the log is the prompt, the answer, …; may be repeated",
    )
    parser.add_argument(
        "--minimum-margin", type=float, default=0.0, metavar="N", help="between two mean ratings"
    )
    parser.add_argument("--pairs-per-prompt", type=int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--validation", type=int, default=0, metavar="N", help="pairs that dataset.yaml sets aside"
    )
    parser.add_argument("--name", help="the dataset's; default: the folder's")


def _of_beam(parser: argparse.ArgumentParser) -> None:
    dataset_beam.add_arguments(parser, _format, _model)


def _of_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        type=_format,
        metavar="F",
        help=f"of bare files (default: supervised), or of a folder instead of its own. {_formats()}",
    )
    parser.add_argument(
        "--model", type=_model, metavar="M", help="bare files: whose limits count; default: the format's own"
    )
    parser.add_argument(
        "--exact-tokens",
        type=Path,
        metavar="TOKENIZER",
        help="bare files: count with this tokenizer.json or SentencePiece .model",
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
    from tunestack.cli.dataset_checks import check

    return check(arguments)


def _stats(arguments: argparse.Namespace) -> int:
    from tunestack.cli.dataset_checks import stats

    return stats(arguments)


def _compile(arguments: argparse.Namespace) -> int:
    from tunestack.cli.dataset_compile import compile_folders

    return compile_folders(arguments)


def _split(arguments: argparse.Namespace) -> int:
    from tunestack.dataset.split_report import json_split, split_of, terminal_split

    split = split_of(arguments.folder)
    say(arguments, lambda: json_split(split), lambda: terminal_split(split))
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from tunestack.dataset.difference import compare
    from tunestack.dataset.difference_report import json_difference, terminal_difference

    difference = compare(arguments.old, arguments.new)
    say(arguments, lambda: json_difference(difference), lambda: terminal_difference(difference))
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
    say(arguments, lambda: json_collection(collected), lambda: terminal_collection(collected))
    return 0
