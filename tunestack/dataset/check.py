"""All that is wrong with a dataset folder or with finished files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tunestack.catalog.limits import find_limits
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import cell_kinds
from tunestack.dataset.limits import file_findings, limits_for
from tunestack.dataset.processes import InOrder
from tunestack.dataset.reading import Reading, read_all, reason
from tunestack.dataset.repeats import Part, repeated_rows
from tunestack.dataset.report import Report
from tunestack.dataset.row_checks import PersonalDataCheck
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Scan, ScanPlan
from tunestack.dataset.sources import open_source
from tunestack.dataset.sources.source import Source
from tunestack.dataset.tokens import TokenCheck, counted_total, estimated_total
from tunestack.spec.errors import Problem, TunestackError


def check_dataset(
    folder: Path,
    format: str | None = None,  # noqa: A002
    *,
    processes: int | InOrder | None = None,
    block_bytes: int | None = None,
) -> Report:
    """Everything that is wrong with the rows and templates of a dataset folder.

    Raises TunestackError where `dataset.yaml` itself cannot be loaded.
    """
    from tunestack.dataset.examine import examine_dataset

    return examine_dataset(folder, format=format, processes=processes, block_bytes=block_bytes).report


def check_files(
    paths: Iterable[str | Path | Source],
    *,
    format: str = "supervised",  # noqa: A002
    model: str | None = None,
    quick: bool = False,
    personal_data: bool = False,
    tokenizer: Path | None = None,
    processes: int | InOrder | None = None,
    block_bytes: int | None = None,
) -> Report:
    """Everything that is wrong with finished files of a format, without any project around them.

    Each file, or source that is open already, is looked at on its own. ``model``: whose limits count, those on rows
    and bytes of a file to train on too; None: only the limits on tokens of the format's first row of the table.
    ``quick``: only whether each line is right by itself; nothing is counted, compared or digested.
    ``personal_data``: look for that and for secrets too, which takes about as long as all the rest. ``tokenizer``:
    a file that counts the tokens of every row, which takes some fifty times as long; else they are estimated. Raises
    TunestackError (exit status 2) where a file cannot be read, or for a model or format that nothing is known of.
    """
    limits = None if quick else limits_for(model, format) if model else find_limits(None, format)
    counter = None
    if tokenizer is not None:
        from tunestack.dataset.tokenizer import open_tokenizer

        counter = open_tokenizer(tokenizer)
    plan = ScanPlan(
        format,
        quick=quick,
        tokens=TokenCheck(limits, counter) if limits else None,
        exact_tokens=True,
        personal_data=PersonalDataCheck() if personal_data else None,
    )
    parts = []
    for path in paths:
        source = _opened(path, format) if isinstance(path, str | Path) else path
        rows = Rows()
        parts.append(Part([Reading(plan, Scan(source=source, rows=rows))], rows))
    try:
        read_all([part.readings[0] for part in parts], processes, block_bytes)
    except OSError as error:
        raise _unreadable(error.filename or "", error) from None
    report = Report(limits=limits, checked=plan.personal_data.codes if plan.personal_data else set())
    for part in parts:
        scan, name = part.readings[0].scan, part.readings[0].source.name
        report.merge(part.readings[0].report(name))
        repeats = repeated_rows(part, block_bytes=block_bytes)
        report.merge(Report(repeats.findings, repeats.counts))
        if limits is not None and scan.statistics.rows:
            report.tokens[name] = (
                counted_total(scan.tokens) if scan.tokens is not None else estimated_total(scan.statistics)
            )
        if limits is not None and model is not None:
            size, trained = scan.statistics.bytes, scan.statistics.rows
            report.merge(Report.of(file_findings(limits, name, "train", rows=trained, size=size)))
    return report


def _opened(path: str | Path, format: str) -> Source:  # noqa: A002
    try:
        return open_source(path, kinds=cell_kinds(FORMATS[format].line))
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: OSError) -> TunestackError:
    problem = Problem(
        "file-unreadable", reason(Path(path).name, error), str(path), fix="give the path of a file"
    )
    return TunestackError(problem, exit_status=2)
