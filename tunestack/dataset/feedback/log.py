"""A log of votes, wherever it lies and in whatever form it was exported → its votes, or everything wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from tunestack.dataset.explain import explain, place
from tunestack.dataset.feedback.columns import Columns, detect_columns, known_fields, value_at
from tunestack.dataset.feedback.pairs import LeftOutVote
from tunestack.dataset.feedback.votes import LeftOut, RecordRefused, Vote, is_thumb, vote_of
from tunestack.dataset.findings import Finding
from tunestack.dataset.formats.format import Violation
from tunestack.dataset.sources.source import Source, SourceFault
from tunestack.spec.errors import TunestackError


class _Object(msgspec.Struct):
    """Any JSON object: what its fields must be is known only when the whole log is."""

    prompt: Any = None
    response: Any = None
    rating: Any = None


class _Record(NamedTuple):
    line: int
    column: int
    text: bytes


class ReadLog(msgspec.Struct):
    """What one log holds. ``thumbs`` and ``numbers``: the lines of the ratings of either kind."""

    name: str
    columns: Columns | None = None
    records: int = 0
    votes: list[Vote] = msgspec.field(default_factory=list)
    left_out: list[LeftOutVote] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)
    thumbs: list[int] = msgspec.field(default_factory=list)
    numbers: list[int] = msgspec.field(default_factory=list)


def read_log(source: Source, name: str, given: Mapping[str, str]) -> ReadLog:
    """Every vote of a log; ``name`` stands for it in references, ``given`` are the columns that were said outright.

    Raises OSError where it cannot be read, TunestackError where it cannot be told which field is what.
    """
    log = ReadLog(name)
    wanted = known_fields(given)
    present: set[str] = set()
    kept: list[tuple[int, dict[str, Any]]] = []
    for record in _records(source, log.findings):
        try:
            fields = _decoded(record.text)
        except (ValueError, RecursionError):
            log.findings += _told(source, record, explain(record.text, _Object))
            continue
        # What is certainly not wanted is not kept: a log's other fields may be most of it.
        present.update(fields)
        kept.append((record.line, {word: value for word, value in fields.items() if word in wanted}))
    log.records = len(kept)
    if not kept:
        if not log.findings:
            fix = "give a log with at least one record"
            log.findings.append(Finding(source.name, 0, 0, "no-rows", "", "the log has no records", fix))
        return log
    try:
        columns = log.columns = detect_columns(source.name, present, given)
    except TunestackError:
        if log.findings:
            return log  # of a broken log its defects are the answer
        raise
    refused: dict[int, list[Violation]] = {}
    for line, fields in kept:
        try:
            vote = vote_of(fields, columns, name, line, source.translated)
        except LeftOut as left_out:
            log.left_out.append(LeftOutVote(str(left_out), name, line, f"{name}:{line}"))
        except RecordRefused as refusal:
            refused[line] = list(refusal.violations)
        else:
            log.votes.append(vote)
            if columns.kind == "ratings":
                thumb = is_thumb(value_at(fields, columns.fields["rating"]))
                (log.thumbs if thumb else log.numbers).append(line)
    log.findings += findings_at(source, refused)
    return log


def findings_at(source: Source, refused: Mapping[int, list[Violation]]) -> list[Finding]:
    """The findings for violations by line; the log is read once more, to point into its records."""
    found: list[Finding] = []
    if refused:
        for record in _records(source, []):
            if violations := refused.get(record.line):
                defects = explain(record.text, _Object, violations=lambda _: violations)
                found += _told(source, record, defects)
    return found


def _records(source: Source, findings: list[Finding]) -> Iterator[_Record]:
    """The records with their places in the file; what is broken is added to ``findings``."""
    before = 0
    try:
        for block in source.blocks():
            last = 0
            for chunk in source.chunks(block):
                findings += [_fault(source, fault, before) for fault in chunk.faults]
                columns = chunk.columns or [1] * len(chunk.texts)
                for text, line, column in zip(chunk.texts, chunk.lines, columns, strict=True):
                    last = line
                    yield _Record(before + line, column, text)
            before += last
    except SourceFault as fault:
        findings.append(_fault(source, fault, 0))


def _fault(source: Source, fault: SourceFault, before: int) -> Finding:
    return Finding(source.name, before + fault.line, fault.column, fault.code, "", fault.message, fault.fix)


def _told(source: Source, record: _Record, defects: Iterable[Any]) -> Iterator[Finding]:
    for defect in defects:
        if source.translated:
            line, column = record.line, source.cell(record.line, defect.path)
        else:
            line, column = place(record.text, defect.offset, record.line, record.column)
        yield defect.finding(source.name, line, column)


def _decoded(text: bytes) -> dict[str, Any]:
    """The fields of a record. Raises ValueError for what JSON Lines does not allow, RecursionError."""
    record = _decode(text.decode("utf-8"))
    if b"\\u" in text:
        json.dumps(record, ensure_ascii=False).encode()  # a lone surrogate cannot be written
    return record if isinstance(record, dict) else _refuse("no object")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(members)
    if len(record) < len(members):
        _refuse("a key stands twice")
    return record


def _refuse(what: str) -> Any:
    raise ValueError(what)


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse).decode
