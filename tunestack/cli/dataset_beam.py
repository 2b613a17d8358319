"""``tunestack dataset beam``: the check of finished files by an Apache Beam pipeline, here or on Dataflow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

SUMMARY = "check finished files with Apache Beam, for more than one machine can do (docs/beam.md)"
EXAMPLES = """\
What follows `--` are Beam's own options. The report is that of `tunestack dataset check`.

examples:
  tunestack dataset beam train.jsonl -- --direct_num_workers 4 --direct_running_mode multi_processing
  tunestack dataset beam gs://bucket/train.jsonl --runner DataflowRunner -- --project p --region us-central1 \\
      --temp_location gs://bucket/beam --sdk_container_image us-docker.pkg.dev/p/r/tunestack:0.1

exit status: 0 good, 1 findings, 2 cannot run"""


def add_arguments(
    parser: argparse.ArgumentParser, format_of: Callable[[str], str], model_of: Callable[[str], str]
) -> None:
    """To the parser of the action, which has --json already."""
    parser.add_argument("file", nargs="+", metavar="FILE", help="a finished file or a gs:// object")
    parser.add_argument(
        "--format", type=format_of, default="supervised", metavar="F", help="default: supervised"
    )
    parser.add_argument(
        "--model", type=model_of, metavar="M", help="whose limits count; default: the format's own"
    )
    parser.add_argument("--personal-data", action="store_true", help="look for that and for secrets too")
    parser.add_argument(
        "--runner", default="DirectRunner", metavar="R", help="Beam's runner; default: %(default)s"
    )
    parser.add_argument(
        "--deadline",
        type=_seconds,
        default=3600.0,
        metavar="SECONDS",
        help="when the pipeline is cancelled; default: 3600",
    )
    parser.set_defaults(options=[])
    inherited = parser.parse_known_args

    # argparse (before 3.12) takes what follows `--` for more files, and only if no option stands between.
    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        words = list(args or ())
        at = words.index("--") if "--" in words else len(words)
        parsed, unknown = inherited(words[:at], namespace)
        parsed.options = words[at + 1 :]
        return parsed, unknown

    parser.parse_known_args = parse_known_args  # type: ignore[assignment, method-assign]


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 good, 1 findings. Raises TunestackError."""
    import json
    import logging

    logging.getLogger("root").setLevel(logging.ERROR)  # Beam warns of every library that it might use
    from tunestack.dataset.beam import check_files_with_beam
    from tunestack.dataset.report import json_report, terminal_report

    report = check_files_with_beam(
        arguments.file,
        format=arguments.format,
        model=arguments.model,
        personal_data=arguments.personal_data,
        runner=arguments.runner,
        options=arguments.options,
        deadline=arguments.deadline,
    )
    if arguments.json:
        print(json.dumps(json_report(report), indent=2, ensure_ascii=False))
    else:
        print(terminal_report(report))
    return 0 if report.good else 1


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
