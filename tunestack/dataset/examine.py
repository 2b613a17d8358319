"""A dataset folder, read once: everything that is wrong with it, and its rows compiled and waiting in files.

What `check_dataset` reports and what `compile_dataset` writes comes from here, so that a check that is green and a
compilation that is refused cannot be.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from tunestack.catalog.limits import Limits
from tunestack.dataset.batches import Batch
from tunestack.dataset.findings import MOST_SHOWN, Finding
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.limits import file_findings, limits_for
from tunestack.dataset.part_checks import LABEL_COLUMNS, class_balance, embedding_report
from tunestack.dataset.processes import InOrder
from tunestack.dataset.reading import Reading, read_all, reason
from tunestack.dataset.render import Recipe, load_recipe
from tunestack.dataset.repeats import (
    Part,
    Repeats,
    leaked_rows,
    near_leaked_rows,
    near_rows,
    repeated_rows,
)
from tunestack.dataset.report import Report
from tunestack.dataset.row_checks import PersonalDataCheck, texts_of
from tunestack.dataset.rows import Rows
from tunestack.dataset.rules import Ledger, Rules
from tunestack.dataset.scan import Scan, ScanPlan
from tunestack.dataset.sources import open_existing, open_source
from tunestack.dataset.sources.source import Source
from tunestack.dataset.split import split_finding, validation_hashes
from tunestack.dataset.tokenizer import open_tokenizer
from tunestack.dataset.tokens import TokenCheck, estimated_total, sampled_total
from tunestack.spec.allow_list import ALLOW_FILE, load_allow_list
from tunestack.spec.dataset import SPEC_FILE, DatasetSpec, EmbeddingFiles, load_dataset
from tunestack.spec.document import line_and_column


class ExaminedPart(msgspec.Struct):
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
        rows = self.part.rows
        return list(self._kept(iter(rows.strata))) if rows.left_out else rows.strata

    def _spooled(self) -> Iterator[bytes]:
        for reading in self.part.readings:
            if (spool := reading.plan.spool) is not None:
                for number in range(len(reading.scan.blocks)):
                    with (spool / f"{number}.jsonl").open("rb") as lines:
                        yield from lines

    def _kept(self, of_rows: Iterator[Any]) -> Iterator[Any]:
        left_out = self.part.rows.left_out
        return compress(of_rows, (not each for each in left_out)) if left_out else of_rows


class Examined(msgspec.Struct):
    """A dataset folder with everything that is wrong with it; to be compiled only if that is nothing.

    ``report`` has the findings, the digests of the sources and the ledger (all parts together, dropped duplicates
    counted). Its statistics are by part as the parts are named here: of `train` and `validation` whoever splits
    takes them (`measure.Measure`). ``recipe`` renders the records; none where there are none, or a fault in it.
    """

    spec: DatasetSpec
    format: str
    recipe: Recipe | None = None
    report: Report = msgspec.field(default_factory=Report)
    parts: dict[str, ExaminedPart] = msgspec.field(default_factory=dict)


def examine_dataset(
    folder: Path,
    spool: Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    processes: int | InOrder | None = None,
    block_bytes: int | None = None,
) -> Examined:
    """Read, render and check every file of a dataset folder.

    ``spool`` is an empty folder that the compiled lines go to and that must outlive the result; None: they are not
    kept. ``format`` stands for the one in `dataset.yaml`. Raises TunestackError where `dataset.yaml` cannot be
    loaded or an object not be reached; everything else that is wrong is in the report.
    """
    return _Examination(folder, load_dataset(folder, format), spool, block_bytes).run(processes)


class _Examination:
    """One run over one folder."""

    def __init__(self, folder: Path, spec: DatasetSpec, spool: Path | None, block_bytes: int | None) -> None:
        self._folder, self._spec, self._spool = folder, spec, spool
        self._spec_file, self._block_bytes = folder / SPEC_FILE, block_bytes
        self._examined = Examined(spec, spec.format)
        self._format = FORMATS[spec.format]
        self._asked: tuple[str, ...] = ()  # the columns that the prompt is made of
        self._rules = Rules(
            frozenset(spec.rules.drop), dict(spec.rules.truncate), frozenset(spec.rules.repair)
        )
        where = ""
        if spec.checks.model is not None:
            where = "{}:{}:{}".format(self._spec_file, *self._place("checks", "model"))
        self._limits: Limits = limits_for(spec.checks.model, spec.format, where)
        self._tokens = self._token_check()
        self._personal_data = self._personal_data_check()

    def run(self, processes: int | InOrder | None) -> Examined:
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
        self._unused_allowances()
        self._uncount()
        self._whole_parts()
        self._count_tokens()
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
                    plan = self._plan(spec.format, None, None)
                    self._open(name, [open_existing(address)], plan, spooled=False)
            for name, address in spec.held_out.items():
                self._open_held_out(name, address, None)
            return
        if spec.embedding is not None:
            self._open_embedding(spec.embedding)
            return
        recipe, faults = load_recipe(self._folder, spec)
        self._examined.recipe = recipe
        self._asked = recipe.asked() if recipe is not None else ()
        self._examined.report.merge(Report.of(faults))
        self._open(
            "records",
            self._sources(spec.records, spec.columns, "records"),
            self._plan(spec.format, recipe, spec.columns, spec.split.stratify),
        )
        for name, address in spec.held_out.items():
            self._open_held_out(name, address, recipe)

    def _open_embedding(self, files: EmbeddingFiles) -> None:
        for name in ("queries", "corpus", "train_labels", "test_labels"):
            if (address := getattr(files, name)) is not None:
                labels = name.endswith("labels")
                columns = LABEL_COLUMNS if labels else None
                sources = self._sources([address], columns, "embedding", name)
                plan = self._plan("embedding-labels" if labels else "embedding", None, None)
                self._open(name.replace("_", "-"), sources, plan)

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
            instruction=self._spec.checks.instruction and recipe is not None and recipe.prompt is not None,
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
        if (name := self._spec.checks.tokenizer) is None:
            return TokenCheck(self._limits)
        where = "{}:{}:{}".format(self._spec_file, *self._place("checks", "tokenizer"))
        return TokenCheck(self._limits, open_tokenizer(self._folder / name, where))

    def _personal_data_check(self) -> PersonalDataCheck | None:
        checks = self._spec.checks
        if not (checks.personal_data or checks.secrets):
            return None
        self._allow_file = self._folder / (checks.allow or ALLOW_FILE)
        allowed = load_allow_list(self._allow_file) if checks.allow or self._allow_file.exists() else None
        return PersonalDataCheck(checks.personal_data, checks.secrets, allowed)

    # --- what is found ----------------------------------------------------------------------------------------

    def _across_parts(self, ledger: Ledger) -> None:
        """What only a look at several rows, or at whole parts, shows."""
        parts = {name: examined.part for name, examined in self._examined.parts.items()}
        drop, checks, block_bytes = self._rules.drop, self._spec.checks, self._block_bytes
        held_out = [part for name, part in parts.items() if name.startswith("held-out-")]
        checked = self._examined.report.checked
        for name in ("records", "train", "validation"):
            if (part := parts.get(name)) is None:
                continue
            others = [parts["validation"]] if name == "train" and "validation" in parts else []
            if others or held_out:
                checked.add("leakage")
            for repeats in leaked_rows(part, [*others, *held_out], drop, block_bytes):
                self._take(repeats, ledger)
            if not part.counted:
                continue
            if checks.near_duplicates is not None:
                checked.add("near-duplicate")
                self._take(near_rows(part, checks.near_duplicates, self._own_text, drop, block_bytes), ledger)
            if checks.near_leakage is not None and (others or held_out):
                checked.add("near-leakage")
                for repeats in near_leaked_rows(
                    part, [*others, *held_out], checks.near_leakage, self._own_text, drop, block_bytes
                ):
                    self._take(repeats, ledger)
        if "corpus" in parts:
            self._examined.report.merge(embedding_report(parts, self._limits))

    def _uncount(self) -> None:
        """Take rows that were left out after they were counted out of the figures again."""
        for name, examined in self._examined.parts.items():
            rows = [row for row, left_out in enumerate(examined.part.rows.left_out) if left_out]
            for start in range(0, len(rows), MOST_SHOWN):
                for known in examined.part.records(
                    rows[start : start + MOST_SHOWN], self._block_bytes
                ).values():
                    form = FORMATS[known.reading.plan.format]
                    lines = known.batch.lines[known.at : known.at + 1]
                    facts = form.facts(lines)
                    self._examined.report.statistics[name].remove(
                        len(known.batch.encoded[known.at]), form.lengths(lines, facts), facts.labels
                    )

    def _own_text(self, batch: Batch, at: int) -> str:
        """What a row has of its own: its values of the columns that the prompt is made of; else its whole prompt."""
        if not batch.examples:
            return self._format.facts(batch.lines[at : at + 1]).prompts[0]
        values = batch.values[at]
        return "\n".join(text for column in self._asked for text, _ in texts_of(values[column]))

    def _whole_parts(self) -> None:
        """The limits, the balance and the split, by what is left of the rows."""
        spec, report, parts = self._spec, self._examined.report, self._examined.parts
        found: list[Finding] = []
        if (records := parts.get("records")) is not None and records.part.counted:
            file, rows = records.part.readings[0].source.name, records.rows
            found += class_balance(
                file, report.statistics["records"], spec.labels, spec.checks.minimum_label_share
            )
            if not report.counts:  # else rows are missing, and their number says nothing
                asked = spec.split.validation
                place = self._place("split", "validation") if asked else (0, 0)
                if too_large := split_finding(self._limits, rows, asked, str(self._spec_file), *place):
                    found.append(too_large)
                validated = validation_hashes(records.prompt_hashes(), asked, records.strata())
                chosen = sum(each in validated for each in records.prompt_hashes()) if validated else 0
                size = self._trained_bytes(records, validated)
                found += file_findings(self._limits, file, "train", rows=rows - chosen, size=size)
        trained = parts["train"].rows if "train" in parts else None
        for name in ("train", "validation", "queries", "corpus"):
            if name in parts and parts[name].part.counted and not report.counts:
                reading = parts[name].part.readings[0]
                found += file_findings(
                    self._limits,
                    reading.source.name,
                    name,
                    rows=parts[name].rows,
                    size=reading.scan.statistics.bytes,
                    trained=trained if name == "validation" else None,
                )
        report.merge(Report.of(found))

    def _trained_bytes(self, records: ExaminedPart, validated: frozenset[int]) -> int:
        """Bytes of the compiled lines to train on; those of all lines where even these are few enough."""
        total = self._examined.report.statistics["records"].bytes
        most = self._limits.most_bytes
        if most is None or total <= most or not validated:
            return total
        return sum(
            len(batch.encoded[at])
            for (_, batch, at), each in zip(records.part.rows_again(), records.prompt_hashes(), strict=True)
            if each not in validated
        )

    def _count_tokens(self) -> None:
        report, tokenizer = self._examined.report, self._tokens.tokenizer
        for name, examined in self._examined.parts.items():
            tallies = [each.scan.tokens for each in examined.part.readings if each.scan.tokens is not None]
            if tokenizer is not None and tallies:
                for other in tallies[1:]:
                    tallies[0].merge(other)
                report.tokens[name] = sampled_total(tallies[0], tokenizer)
            elif name in report.statistics and report.statistics[name].rows:
                report.tokens[name] = estimated_total(report.statistics[name])

    def _unused_allowances(self) -> None:
        """Entries of the allow-list that allow nothing that is there."""
        check = self._personal_data
        if check is None:
            return
        self._examined.report.checked |= check.codes
        if check.allowed is None:
            return
        readings = [each for part in self._examined.parts.values() for each in part.part.readings]
        used = set[int]().union(*(each.scan.allowed for each in readings))
        if any(each.plan.quick for each in readings):
            return
        for number in check.allowed.unused(used):
            line, column = line_and_column(self._allow_file, ("allow", number))
            message, fix = "the entry allows nothing that is there", "delete the entry"
            finding = Finding(str(self._allow_file), line, column, "allow-list", "", message, fix)
            self._examined.report.merge(Report.of([finding]))

    def _take(self, repeats: Repeats, ledger: Ledger) -> None:
        self._examined.report.merge(Report(repeats.findings, repeats.counts))
        ledger.dropped.update(repeats.dropped)

    def _declared(self, code: str, message: str, fix: str, *location: str | int) -> None:
        finding = Finding(str(self._spec_file), *self._place(*location), code, "", message, fix)
        self._examined.report.merge(Report.of([finding]))

    def _place(self, *location: str | int) -> tuple[int, int]:
        return line_and_column(self._spec_file, location)
