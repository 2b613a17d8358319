"""Served predictions and the votes on them → a preference dataset that says where every pair comes from.

All votes are held in memory, some 2 KiB each beside their texts: a million of them take two to three gigabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import msgspec

from tunestack.dataset.feedback.columns import Columns
from tunestack.dataset.feedback.folder import dataset_name, refuse_foreign, write_folder
from tunestack.dataset.feedback.log import ReadLog, findings_at, read_log
from tunestack.dataset.feedback.pairs import POSITION_KEY, REASONS, LeftOutVote, Pair, pair_votes
from tunestack.dataset.findings import DatasetRefused, Finding
from tunestack.dataset.formats.format import Violation
from tunestack.dataset.sources import open_source
from tunestack.dataset.sources.source import Source
from tunestack.spec.errors import Problem, TunestackError


class CollectOptions(msgspec.Struct, frozen=True):
    """``columns``: our word (see `columns.NAMES`) to the log's field, where it is not told by its name.

    ``minimum_margin``: by how much two mean ratings must differ, in the unit of the ratings. ``pairs_per_prompt``:
    at most so many pairs of one prompt, so that a few popular prompts do not become the dataset. ``name``: the
    dataset's, else the output folder's. ``validation``: how many of the pairs `dataset.yaml` sets aside.
    """

    columns: Mapping[str, str] = msgspec.field(default_factory=dict)
    minimum_margin: float = 0.0
    pairs_per_prompt: int = 8
    name: str | None = None
    validation: int = 0


class VoteLedger(msgspec.Struct, frozen=True):
    """Where every record went: ``votes_in`` = ``votes_used`` + the sum of ``left_out`` (by reason)."""

    votes_in: int
    votes_used: int
    left_out: Mapping[str, int]


class Collected(msgspec.Struct, frozen=True):
    """A collected dataset. ``listing``: every vote that is behind no pair, by reason and place."""

    output: Path
    pairs: Sequence[Pair]
    prompts: int
    ledger: VoteLedger
    listing: Sequence[LeftOutVote]
    pairs_over_limit: int
    columns: Mapping[str, Columns]


def collect(logs: Sequence[Path | str], output: Path, options: CollectOptions | None = None) -> Collected:
    """Collect the votes of ``logs`` (files, or `gs://` objects) into the dataset folder ``output``.

    The records depend on what the logs say, not on the order of their lines or of the logs. Raises DatasetRefused
    with everything that is wrong in the logs; TunestackError where it cannot be told which field is what, where no
    pair comes out, or where ``output`` is anything but a folder that was collected before. Nothing is written then.
    """
    options = options or CollectOptions()
    _check(options)
    refuse_foreign(output)
    names = _names(logs)
    opened: list[tuple[Source, ReadLog]] = []
    for log in sorted(logs, key=str):
        try:
            source = open_source(log)
            opened.append((source, read_log(source, names[str(log)], options.columns)))
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            problem = Problem("file-unreadable", f"cannot read the log: {reason}", str(log))
            raise TunestackError(problem, exit_status=2) from error
    read = [log for _, log in opened]
    findings = [found for log in read for found in log.findings]
    findings += _mixed_ratings(opened) + _missing_contexts(opened)
    if findings:
        raise DatasetRefused(findings)
    pairing = pair_votes(
        (vote for log in read for vote in log.votes),
        minimum_margin=Fraction(str(options.minimum_margin)),
        pairs_per_prompt=options.pairs_per_prompt,
    )
    order = list(REASONS)
    listing = sorted(
        [*pairing.left_out, *(vote for log in read for vote in log.left_out)],
        key=lambda vote: (order.index(vote.reason), vote.log, vote.line),
    )
    counts = Counter(vote.reason for vote in listing)
    ledger = VoteLedger(
        sum(log.records for log in read),
        pairing.used,
        {reason: counts[reason] for reason in REASONS if counts[reason]},
    )
    columns = {log.name: log.columns for log in read if log.columns}
    collected = Collected(
        output, pairing.pairs, pairing.prompts, ledger, listing, pairing.pairs_over_limit, columns
    )
    if not pairing.pairs:
        raise TunestackError(_no_pairs(collected))
    provenance = {
        "logs": [
            {
                "name": log.name,
                "records": log.records,
                "bytes": digests.bytes,
                "blake3": digests.blake3,
                "crc32c": digests.crc32c,
                **({"generation": digests.generation} if digests.generation is not None else {}),
                "kind": log.columns.kind if log.columns else "",
                "columns": dict(log.columns.fields) if log.columns else {},
            }
            for source, log in opened
            for digests in [source.digests()]
        ],
        "rules": {
            "minimum_margin": options.minimum_margin,
            "pairs_per_prompt": options.pairs_per_prompt,
            "position_key": f"{POSITION_KEY:016x}",
        },
        "pairs": len(pairing.pairs),
        "pairs_over_limit": pairing.pairs_over_limit,
        "contested": sum(pair.contested for pair in pairing.pairs),
        "ledger": {
            "votes_in": ledger.votes_in,
            "votes_used": ledger.votes_used,
            "left_out": dict(ledger.left_out),
        },
    }
    try:
        write_folder(
            output,
            pairing.pairs,
            listing,
            provenance,
            name=options.name or dataset_name(output),
            validation=options.validation,
        )
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("output-unwritable", f"cannot write the dataset: {reason}", str(output))
        raise TunestackError(problem, exit_status=2) from error
    return collected


def _check(options: CollectOptions) -> None:
    problems = []
    if not 0 <= options.minimum_margin < float("inf"):
        problems.append(
            Problem("option", "the margin cannot be that", have=str(options.minimum_margin), need="0 or more")
        )
    if options.pairs_per_prompt < 1:
        problems.append(
            Problem(
                "option", "no prompt could have a pair", have=str(options.pairs_per_prompt), need="1 or more"
            )
        )
    if problems:
        raise TunestackError(*problems, exit_status=2)


def _names(logs: Sequence[Path | str]) -> dict[str, str]:
    """How references name each log: its file's name, where that tells it from the others."""
    short = Counter(Path(log).name for log in logs)
    if doubled := sorted({str(log) for log in logs if list(map(str, logs)).count(str(log)) > 1}):
        problem = Problem("log-twice", "a log is given twice", ", ".join(doubled), fix="give it once")
        raise TunestackError(problem, exit_status=2)
    return {str(log): Path(log).name if short[Path(log).name] == 1 else str(log) for log in logs}


def _mixed_ratings(opened: Sequence[tuple[Source, ReadLog]]) -> list[Finding]:
    """A mean of thumbs and stars would mean nothing: the rarer kind is found, at every place."""
    thumbs, numbers = (sum(len(getattr(log, kind)) for _, log in opened) for kind in ("thumbs", "numbers"))
    if not thumbs or not numbers:
        return []
    rare, message = (
        ("thumbs", f"a thumb, where {numbers:,} ratings are numbers")
        if thumbs <= numbers
        else ("numbers", f"a number, where {thumbs:,} ratings are thumbs")
    )
    fix = "rate everything in one way, or collect the logs apart"
    found: list[Finding] = []
    for source, log in opened:
        if log.columns and (lines := getattr(log, rare)):
            violation = Violation(log.columns.paths["rating"], "wrong-type", message, fix)
            found += findings_at(source, {line: [violation] for line in lines})
    return found


def _missing_contexts(opened: Sequence[tuple[Source, ReadLog]]) -> list[Finding]:
    """A context is a column, and a column has no empty text: all prompts have one, or none has."""
    without = [
        (source, log, vote) for source, log in opened for vote in log.votes if vote.prompt.context is None
    ]
    if not without or len(without) == sum(len(log.votes) for _, log in opened):
        return []
    message = "no system instruction here, where other prompts have one"
    fix = "give it everywhere or nowhere, or collect the logs apart"
    found: list[Finding] = []
    for source, log in opened:
        lines = {vote.line for _, owner, vote in without if owner is log}
        path = log.columns.paths["prompt"] if log.columns else "$"
        found += findings_at(
            source, {line: [Violation(path, "missing-field", message, fix)] for line in lines}
        )
    return found


def _no_pairs(collected: Collected) -> Problem:
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in collected.ledger.left_out.items())
    return Problem(
        "no-pairs",
        "no two answers to one prompt were voted on differently, so there is nothing to prefer",
        have=f"{collected.ledger.votes_in:,} records: {left_out}",
        fix="collect several answers for each prompt, or votes on two at once",
    )
