"""``tunestack dataset check`` and ``stats``: one report on folders and finished files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.cli.documents import say

if TYPE_CHECKING:
    from tunestack.dataset import Report
    from tunestack.dataset.fix import Patch


def check(arguments: argparse.Namespace) -> int:
    reports = _reports(arguments)

    from tunestack.dataset import json_report, terminal_report
    from tunestack.dataset.findings import counted

    report = _merged(reports)
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
        told = [_told(reports, terminal_report)]
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

    say(arguments, document, text)
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


def stats(arguments: argparse.Namespace) -> int:
    reports = _reports(arguments)

    from tunestack.dataset.report import json_report
    from tunestack.dataset.statistics_report import terminal_statistics

    report = _merged(reports)
    if arguments.html:
        _write_page(report, arguments)

    def figures() -> dict[str, Any]:
        return {name: value for name, value in json_report(report).items() if name != "findings"}

    say(arguments, figures, lambda: _told(reports, terminal_statistics))
    return 0 if report.good else 1


def _reports(arguments: argparse.Namespace) -> dict[str, Report]:
    """A report for each folder, by its path, and one for all bare files, under the empty name."""
    from tunestack.cli.progress import at_work

    reports = {}
    folders = [path for path in arguments.path if Path(path).is_dir()]
    for folder in folders:
        with at_work(Path(folder).rglob("*"), arguments.processes) as processes:
            from tunestack.dataset.check import check_dataset

            reports[folder] = check_dataset(Path(folder), arguments.format, processes=processes)
    if files := [path for path in arguments.path if path not in folders]:
        with at_work(files, arguments.processes) as processes:
            from tunestack.dataset.check import check_files

            reports[""] = check_files(
                files,
                format=arguments.format or "supervised",
                model=arguments.model,
                quick=getattr(arguments, "quick", False),
                personal_data=getattr(arguments, "personal_data", False),
                tokenizer=arguments.exact_tokens,
                processes=processes,
            )
    return reports


def _merged(reports: dict[str, Report]) -> Report:
    """All of them as one; of several, the parts and sources of a folder are named with it."""
    from msgspec.structs import replace

    from tunestack.dataset.report import Report

    if len(reports) == 1:
        return next(iter(reports.values()))
    merged = Report()
    for folder, report in reports.items():
        if folder:
            report = replace(
                report,
                statistics={f"{folder}: {part}": each for part, each in report.statistics.items()},
                tokens={f"{folder}: {part}": each for part, each in report.tokens.items()},
                sources=[
                    replace(each, name=each.name if "//" in each.name else str(Path(folder, each.name)))
                    for each in report.sources
                ],
            )
        merged.merge(report)
    if any(report.limits != merged.limits for report in reports.values()):
        merged.limits = None  # each is held against its own
    return merged


def _told(reports: dict[str, Report], tell: Callable[[Report], str]) -> str:
    """Each report by itself, under the name of its folder where there are several."""
    if len(reports) == 1:
        return tell(next(iter(reports.values())))
    return "\n\n".join(f"{folder or 'finished files'}\n{tell(report)}" for folder, report in reports.items())


def _write_page(report: Report, arguments: argparse.Namespace) -> None:
    from tunestack.dataset.aside import write_aside
    from tunestack.dataset.html_report import html_report, worst_rows
    from tunestack.dataset.row_texts import read_row_texts
    from tunestack.spec.errors import Problem, TunestackError

    names = [Path(path).resolve().name if Path(path).is_dir() else str(path) for path in arguments.path]
    page = html_report(report, title=", ".join(names), texts=read_row_texts(worst_rows(report)))
    try:
        write_aside(arguments.html, page.encode())
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("output-unwritable", f"cannot write the page: {reason}", str(arguments.html))
        raise TunestackError(problem, exit_status=2) from None
    if not arguments.json:
        print(f"written: {arguments.html}", file=sys.stderr)
