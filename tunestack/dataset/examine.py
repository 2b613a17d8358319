"""A dataset folder, read once: everything that is wrong with it, and its rows compiled and waiting in files.

What `check_dataset` reports and what `compile_dataset` writes comes from here, so that a check that is green and a
compilation that is refused cannot be.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.dataset.findings import Finding
from tunestack.dataset.reading import Reading, read_all
from tunestack.dataset.render import Recipe, load_recipe
from tunestack.dataset.repeats import Part, Repeats, leaked_rows, repeated_rows
from tunestack.dataset.report import Report
from tunestack.dataset.row_checks import PersonalDataCheck
from tunestack.dataset.rows import Rows
from tunestack.dataset.rules import Ledger, Rules
from tunestack.dataset.scan import Scan, ScanPlan
from tunestack.dataset.sources import open_existing, open_source
from tunestack.dataset.sources.source import Source
from tunestack.dataset.split import split_finding

if TYPE_CHECKING:
    from tunestack.catalog.limits import Limits
    from tunestack.dataset.tokens import TokenCheck
    from tunestack.spec.dataset import DatasetSpec


@dataclass
class ExaminedPart:
    """The rows of one part that are fit to be written; rows that `rules.drop` leaves out are in none of these.

    ``name``: `records` (train and validation, still to be split), `held-out-<set>`; with `existing` `train` and
    `validation`; for embedding `queries`, `corpus`, `train-labels`, `test-labels`.
    """

    name: str
    part: Part

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.part.rows) - sum(self.part.rows.left_out)

    def lines(self) -> Iterator[bytes]:
        """The compiled lines with their line feeds, in the order of the records. Only where a spool was given."""
        return self._kept(self._spooled())

    def prompt_hashes(self) -> array[int]:
        """`split.prompt_hash` of each row, in the order of `lines`: an array("Q")."""
        hashes = array("Q")
        for piece in self.part.rows.prompts.pieces():
            hashes.extend(piece)
        return array("Q", self._kept(iter(hashes))) if self.part.rows.left_out else hashes

    def strata(self) -> list[str] | None:
        """The text of the column `split.stratify` of each row, in the order of `lines`; None without it."""
        if not any(reading.plan.stratify for reading in self.part.readings):
            return None
        return list(self._kept(iter(self.part.rows.strata)))

    def _spooled(self) -> Iterator[bytes]:
        for reading in self.part.readings:
            if (spool := reading.plan.spool) is not None:
                for number in range(len(reading.scan.blocks)):
                    with (spool / f"{number}.jsonl").open("rb") as lines:
                        yield from lines

    def _kept(self, of_rows: Iterator[Any]) -> Iterator[Any]:
        left_out = self.part.rows.left_out
        return compress(of_rows, (not each for each in left_out)) if left_out else of_rows


@dataclass
class Examined:
    """A dataset folder with everything that is wrong with it; to be compiled only if that is nothing.

    ``report`` has the findings, the digests of the sources and the ledger (all parts together, dropped duplicates
    counted). Its statistics are by part as the parts are named here: of `train` and `validation` whoever splits
    takes them (`measure.Measure`).
    """

    spec: DatasetSpec
    format: str
    report: Report = field(default_factory=Report)
    parts: dict[str, ExaminedPart] = field(default_factory=dict)


def examine_dataset(
    folder: Path,
    spool: Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    processes: int | None = None,
    block_bytes: int | None = None,
) -> Examined:
    """Read, render and check every file of a dataset folder.

    ``spool`` is an empty folder that the compiled lines go to and that must outlive the result; None: they are not
    kept. ``format`` stands for the one in `dataset.yaml`. Raises TunestackError where `dataset.yaml` cannot be
    loaded or an object not be reached; everything else that is wrong is in the report.
    """
    from tunestack.spec.dataset import load_dataset

    return _Examination(folder, load_dataset(folder, format), spool, block_bytes).run(processes)


class _Examination:
    """One run over one folder."""

    def __init__(self, folder: Path, spec: DatasetSpec, spool: Path | None, block_bytes: int | None) -> None:
        from tunestack.dataset.limits import limits_for
        from tunestack.spec.dataset import SPEC_FILE

        self._folder, self._spec, self._spool = folder, spec, spool
        self._spec_file, self._block_bytes = folder / SPEC_FILE, block_bytes
        self._examined = Examined(spec, spec.format)
        self._rules = Rules(
            frozenset(spec.rules.drop), dict(spec.rules.truncate), frozenset(spec.rules.repair)
        )
        where = ""
        if spec.checks.model is not None:
            where = "{}:{}:{}".format(self._spec_file, *self._place("checks", "model"))
        self._limits: Limits = limits_for(spec.checks.model, spec.format, where)
        self._tokens = self._token_check()
        self._personal_data = self._personal_data_check()

    def run(self, processes: int | None) -> Examined:
        """Everything, in order."""
        report, parts = self._examined.report, self._examined.parts
        self._open_parts()
        readings = [reading for each in parts.values() for reading in each.part.readings]
        read_all(readings, processes, self._block_bytes)
        ledger = Ledger()
        for name, examined in parts.items():
            part = examined.part
            self._take(repeated_rows(part, self._rules.drop, self._block_bytes), ledger)
            for reading in part.readings:
                report.merge(reading.report(name))
                ledger.merge(reading.ledger())
        self._across_parts(ledger)
        ledger.rows_out = sum(part.rows for part in parts.values())
        if not report.counts:
            report.ledger = ledger
        report.limits = self._limits
        return self._examined

    # --- what is read -----------------------------------------------------------------------------------------

    def _open_parts(self) -> None:
        spec = self._spec
        if spec.existing is not None:
            for name in ("train", "validation"):
                if (address := getattr(spec.existing, name)) is not None:
                    self._open(name, [open_existing(address)], ScanPlan(spec.format), spooled=False)
            for name, address in spec.held_out.items():
                self._open_held_out(name, address, None)
            return
        recipe, faults = load_recipe(self._folder, spec)
        self._examined.report.merge(Report.of(faults))
        self._open(
            "records",
            self._sources(spec.records, spec.columns, "records"),
            self._plan(spec.format, recipe, spec.columns, spec.split.stratify),
        )
        for name, address in spec.held_out.items():
            self._open_held_out(name, address, recipe)

    def _open_held_out(self, name: str, address: str, recipe: Recipe | None) -> None:
        of_set = recipe.for_held_out(self._spec.references) if recipe is not None else None
        columns = of_set.columns if of_set is not None else None
        sources = self._sources([address], columns, "held_out", name)
        if of_set is not None or self._spec.existing is not None:
            self._open(f"held-out-{name}", sources, self._plan("evaluation", of_set, columns))

    def _plan(
        self,
        form: str,
        recipe: Recipe | None,
        columns: Any,
        stratify: str | None = None,
    ) -> ScanPlan:
        if recipe is None and columns is not None:  # its templates are at fault; its records can be checked
            return ScanPlan(form, columns=dict(columns), quick=True)
        return ScanPlan(
            form,
            recipe,
            rules=self._rules,
            labels=self._spec.labels,
            stratify=stratify,
            instruction=recipe is not None and recipe.prompt is not None,
            tokens=self._tokens,
            personal_data=self._personal_data,
        )

    def _sources(self, addresses: Any, columns: Any, *location: str) -> list[Source]:
        sources = []
        for number, address in enumerate(addresses):
            try:
                sources.append(open_source(address, root=self._folder, columns=columns))
            except OSError as error:
                at: tuple[str | int, ...] = location if len(addresses) == 1 else (*location, number)
                self._declared("file-unreadable", reason(address, error), "write the file or its name", *at)
        return sources

    def _open(self, name: str, sources: list[Source], plan: ScanPlan, *, spooled: bool = True) -> None:
        rows = Rows()
        readings = []
        for number, source in enumerate(sources):
            if self._spool is not None and spooled:
                home = self._spool / f"{name}-{number}"
                home.mkdir()
                plan = replace(plan, spool=home)
            readings.append(Reading(plan, Scan(source=source, rows=rows)))
        self._examined.parts[name] = ExaminedPart(name, Part(readings, rows))

    def _token_check(self) -> TokenCheck:
        from tunestack.dataset.tokenizer import open_tokenizer
        from tunestack.dataset.tokens import TokenCheck

        if (name := self._spec.checks.tokenizer) is None:
            return TokenCheck(self._limits)
        where = "{}:{}:{}".format(self._spec_file, *self._place("checks", "tokenizer"))
        return TokenCheck(self._limits, open_tokenizer(self._folder / name, where))

    def _personal_data_check(self) -> PersonalDataCheck | None:
        from tunestack.spec.allow_list import ALLOW_FILE, load_allow_list

        checks = self._spec.checks
        if not (checks.personal_data or checks.secrets):
            return None
        allow = self._folder / (checks.allow or ALLOW_FILE)
        allowed = load_allow_list(allow) if checks.allow or allow.exists() else None
        return PersonalDataCheck(checks.personal_data, checks.secrets, allowed)

    # --- what is found ----------------------------------------------------------------------------------------

    def _across_parts(self, ledger: Ledger) -> None:
        parts = {name: examined.part for name, examined in self._examined.parts.items()}
        held_out = [part for name, part in parts.items() if name.startswith("held-out-")]
        for name in ("records", "train", "validation"):
            if name in parts:
                others = [parts["validation"]] if name == "train" and "validation" in parts else []
                for repeats in leaked_rows(
                    parts[name], [*others, *held_out], self._rules.drop, self._block_bytes
                ):
                    self._take(repeats, ledger)
        if "records" in parts and not self._examined.report.counts:
            rows, place = self._examined.parts["records"].rows, self._place("split", "validation")
            found = split_finding(
                self._limits, rows, self._spec.split.validation, str(self._spec_file), *place
            )
            self._examined.report.merge(Report.of([found] if found is not None else []))

    def _take(self, repeats: Repeats, ledger: Ledger) -> None:
        self._examined.report.merge(Report(repeats.findings, repeats.counts))
        ledger.dropped.update(repeats.dropped)

    def _declared(self, code: str, message: str, fix: str, *location: str | int) -> None:
        finding = Finding(str(self._spec_file), *self._place(*location), code, "", message, fix)
        self._examined.report.merge(Report.of([finding]))

    def _place(self, *location: str | int) -> tuple[int, int]:
        from tunestack.spec.document import line_and_column

        return line_and_column(self._spec_file, location)


def reason(file: str | Path, error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return f"{file} does not exist"
    if isinstance(error, UnicodeDecodeError):
        return f"{file} is not UTF-8"
    return f"{file} cannot be read: {(error.strerror or type(error).__name__).lower()}"
