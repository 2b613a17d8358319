"""All that is wrong with a dataset folder or a finished file; what is right is ready to be compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tunestack.dataset import checks
from tunestack.dataset.checks import Example, Examples
from tunestack.dataset.findings import Finding
from tunestack.dataset.formats import supervised
from tunestack.dataset.reader import ColumnType, Row, Shape, read_rows
from tunestack.dataset.reading import Reading, read_all
from tunestack.dataset.repeats import Part, repeated_rows
from tunestack.dataset.report import Report
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Scan, ScanPlan
from tunestack.dataset.sources import open_source
from tunestack.dataset.split import validation_prompts
from tunestack.dataset.template import PromptTemplate, TemplateFault
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.spec.dataset import DatasetSpec


@dataclass
class ExaminedDataset:
    """A dataset with its rendered rows and everything that is wrong; compiled only if that is nothing."""

    spec: DatasetSpec
    records: Examples
    held_out: dict[str, Examples] = field(default_factory=dict)
    validation: set[str] = field(default_factory=set)  # prompts
    findings: list[Finding] = field(default_factory=list)


def check_dataset(folder: Path) -> list[Finding]:
    """Everything that is wrong with the rows and templates of a dataset folder, in the order of the files.

    Raises TunestackError where `dataset.yaml` itself cannot be loaded.
    """
    return sorted(examine_dataset(folder).findings)


def check_file(path: Path, format: Literal["supervised"] = "supervised") -> list[Finding]:  # noqa: A002
    """Everything that is wrong with a finished file of the given format, without any project around it.

    Raises TunestackError (exit status 2) where the file cannot be read.
    """
    try:
        rows, findings = read_rows(path, Shape({supervised.PROMPT: "string", supervised.TARGET: "string"}))
    except OSError as error:
        problem = Problem(
            "file-unreadable", _reason(path.name, error), str(path), fix="give the path of a file"
        )
        raise TunestackError(problem, exit_status=2) from None
    examples = Examples(
        str(path),
        [
            Example(row.line, row.values[supervised.PROMPT], (row.values[supervised.TARGET],), row.values)
            for row in rows
        ],
        f"$.{supervised.PROMPT}",
        f"$.{supervised.TARGET}",
    )
    return sorted(findings + checks.placed(list(checks.repeated(examples)), path))


def check_files(
    paths: Iterable[str | Path],
    *,
    format: str = "supervised",  # noqa: A002
    quick: bool = False,
    processes: int | None = None,
    block_bytes: int | None = None,
) -> Report:
    """Everything that is wrong with finished files of a format, without any project around them.

    Each file is looked at on its own. ``quick``: only whether each line is right by itself; nothing is counted,
    compared or digested. Raises TunestackError (exit status 2) where a file cannot be read.
    """
    report = Report()
    with ExitStack() as closing:
        parts = []
        for path in paths:
            rows = closing.enter_context(Rows())
            try:
                source = open_source(path)
            except OSError as error:
                raise _unreadable(path, error) from None
            rows.starts.append(0)
            parts.append(Part([Reading(ScanPlan(format, quick), Scan(source=source, rows=rows))], rows))
        readings = [reading for part in parts for reading in part.readings]
        try:
            read_all(readings, processes, block_bytes)
        except OSError as error:
            raise _unreadable(error.filename or "", error) from None
        for part in parts:
            repeats = repeated_rows(part, block_bytes=block_bytes)
            for reading in part.readings:
                report.merge(_file_report(reading))
            report.merge(Report(repeats.findings, repeats.counts))
    return report


def _file_report(reading: Reading) -> Report:
    scan = reading.scan
    if not scan.records and not scan.counts:
        scan.add(
            Finding(
                scan.source.name, 0, 0, "no-rows", "", "the file has no rows", "write at least one record"
            )
        )
    report = Report(scan.findings, scan.counts, {scan.source.name: scan.statistics})
    if reading.digests is not None:
        report.sources.append(reading.digests)
    return report


def _unreadable(path: str | Path, error: OSError) -> TunestackError:
    message = _reason(Path(path).name, error)
    problem = Problem("file-unreadable", message, str(path), fix="give the path of a file")
    return TunestackError(problem, exit_status=2)


def examine_dataset(folder: Path) -> ExaminedDataset:
    """Read, render and check every file of a dataset folder. Raises TunestackError as check_dataset."""
    from tunestack.spec.dataset import SPEC_FILE, load_dataset
    from tunestack.spec.document import line_and_column

    spec = load_dataset(folder)
    spec_file = folder / SPEC_FILE
    dataset = ExaminedDataset(spec, Examples(str(folder / spec.records[0]), []))

    def declared(code: str, message: str, fix: str, *location: str) -> Finding:
        return Finding(str(spec_file), *line_and_column(spec_file, location), code, "", message, fix)

    prompt = target = None
    try:
        prompt = load_template(folder, spec)
        if not prompt.columns:
            fault = TemplateFault(
                "the template uses no column", prompt.file, 1, "put {{ text }} where the text goes"
            )
            dataset.findings.append(fault.finding())
            prompt = None
    except TemplateFault as fault:
        dataset.findings.append(fault.finding())
    except (OSError, UnicodeDecodeError) as error:
        dataset.findings.append(
            declared(
                "file-unreadable", _reason(spec.template, error), "write the template or its name", "template"
            )
        )
    try:
        target = PromptTemplate(spec.output_text, str(spec_file), spec.columns)
    except TemplateFault as fault:
        dataset.findings.append(declared("template-error", fault.message, fault.fix, "output_text"))

    def examine(
        file: str, columns: Mapping[str, ColumnType], references: str | None, *location: str
    ) -> Examples:
        path = folder / file
        try:
            rows, findings = read_rows(path, Shape(columns))
        except OSError as error:
            message = _reason(file, error)
            dataset.findings.append(
                declared("file-unreadable", message, "write the file or its name", *location)
            )
            return Examples(str(path), [])
        if prompt is not None and target is not None:
            examples, faults = _rendered(path, rows, prompt, target, references)
            findings += faults
            findings += checks.repeated(examples)
            findings += checks.without_instruction(examples)
            if spec.labels is not None:
                findings += checks.unlabelled(examples, spec.labels)
        else:
            examples = Examples(str(path), [])
        dataset.findings += checks.placed(findings, path)
        return examples

    dataset.records = examine(spec.records[0], spec.columns, None, "records")
    held_out_columns: dict[str, ColumnType] = dict(spec.columns)
    if spec.references is not None:
        asked = prompt.columns if prompt is not None else spec.columns
        held_out_columns = {column: spec.columns[column] for column in asked} | {
            spec.references: "list[string]"
        }
    for name, file in spec.held_out.items():
        examples = examine(file, held_out_columns, spec.references, "held_out", name)
        dataset.held_out[name] = examples
        dataset.findings += checks.placed(
            list(checks.leaked(examples, dataset.records, spec.records[0])), folder / file
        )

    rows = dataset.records.rows
    if not dataset.findings and spec.split.validation >= len(rows):
        message = f"{spec.split.validation} rows to validate on leave none of the {len(rows)} to train on"
        dataset.findings.append(
            declared("split-too-large", message, "validate on fewer", "split", "validation")
        )
    stratify = spec.split.stratify
    dataset.validation = validation_prompts(
        [row.prompt for row in rows],
        spec.split.validation,
        [row.values[stratify] for row in rows] if stratify is not None else None,
    )
    return dataset


def load_template(folder: Path, spec: DatasetSpec) -> PromptTemplate:
    """The prompt template of a dataset. Raises TemplateFault, OSError, UnicodeDecodeError."""
    path = folder / spec.template
    return PromptTemplate(path.read_text("utf-8-sig"), str(path), spec.columns)


def _rendered(
    path: Path, rows: list[Row], prompt: PromptTemplate, target: PromptTemplate, references: str | None
) -> tuple[Examples, list[Finding]]:
    examples: list[Example] = []
    findings: list[Finding] = []
    target_path = (
        f"$.{references}" if references else f"$.{target.only_column}" if target.only_column else "$"
    )
    prompt_path = f"$.{prompt.columns[0]}" if prompt.columns else "$"
    for line, values in rows:
        try:
            targets = tuple(values[references]) if references is not None else (target.render(values),)
            text = prompt.render(values)
        except TemplateFault as fault:
            message = f"{fault.message} (template: {Path(fault.file).name}:{fault.line})"
            findings.append(
                Finding(str(path), line, 0, "template-error", "$", message, "mend the template or the row")
            )
            continue
        if not text.strip() or not all(each.strip() for each in targets):
            message = f"the template renders an empty {'target' if text.strip() else 'prompt'}"
            findings.append(
                Finding(str(path), line, 0, "empty-text", "$", message, "mend the template or the row")
            )
            continue
        examples.append(Example(line, text, targets, values))
    return Examples(str(path), examples, prompt_path, target_path), findings


def _reason(file: str, error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{file} does not exist"
    if isinstance(error, UnicodeDecodeError):
        return f"{file} is not UTF-8"
    return f"{file} cannot be read: {(error.strerror or type(error).__name__).lower()}"
