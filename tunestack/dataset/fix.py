"""What can be mended without a person: a patch for the file, never a change of it.

Mended is only what leaves no doubt about what was meant, and what says the same afterwards:

- a byte order mark, a blank line, a row that stands twice (the later ones) go;
- a field that is misspelt, where exactly one field that is missing can be meant, gets its name;
- a number or truth value where text is wanted gets quotation marks, and loses them where it is the other way round;
- a comma after the last value goes, a raw control character is escaped, two records on a line get a line each;
- a key that stands twice with the same value stands once.

Everything else is for a person: a text that is empty, a label that is none, bytes that are not UTF-8, a record that
breaks off, a key with two values, prompts with two answers, personal data.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunestack.dataset.aside import write_aside
from tunestack.dataset.findings import Finding
from tunestack.dataset.positions import find_positions
from tunestack.dataset.sources.content import LocalFile
from tunestack.dataset.sources.json_lines import JsonLines
from tunestack.dataset.sources.source import Source
from tunestack.dataset.sources.table import Table, rows_of
from tunestack.dataset.unified_diff import unified_diff

# Two names that are less alike can be two names.
_ALIKE = 0.8
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_COLON = re.compile(r"\s*:\s*")
_DECODER = json.JSONDecoder()


class Patch(msgspec.Struct, frozen=True):
    """Changes to one file as a unified diff. ``folder`` is where it is applied.

    ``fixed``: the findings that are gone when it has been applied; ``remaining``: those that a person must see to.
    """

    file: str
    folder: Path
    diff: bytes
    fixed: tuple[Finding, ...]
    remaining: tuple[Finding, ...]

    @property
    def path(self) -> Path:
        """Where `write` puts it: beside the data."""
        return Path(f"{self.file}.patch")

    @property
    def command(self) -> str:
        """What applies it, once it is written."""
        patch = os.path.relpath(self.path, self.folder)
        here = [] if self.folder.absolute() == Path.cwd() else ["-C", str(self.folder)]
        return shlex.join(["git", *here, "apply", patch])

    def write(self) -> Path:
        """Write the diff to `path`; the data itself stays as it is. Raises OSError."""
        write_aside(self.path, self.diff)
        return self.path

    def __str__(self) -> str:
        """The diff for a terminal: what cannot be shown is replaced."""
        text = self.diff.decode("utf-8", "replace")
        return "".join(
            each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text
        )


def fixes(findings: Iterable[Finding], source: Source, *, root: Path | None = None) -> Patch:
    """The patch for one source's findings; its diff is empty where nothing can be mended.

    Of the findings those of other files are left out. JSON Lines and tables in plain local files can be patched; of
    any other source all findings remain. A report holds the first 1,000 findings of a code, so a file with more
    needs another round; so does one whose findings hid others, as those of a line that was no JSON do.
    ``root``: the folder that the patch is applied in; default: the current one if the file lies in it, else the
    file's own. Raises OSError where the file cannot be read.
    """
    own = sorted(finding for finding in findings if finding.file == source.name)
    file = Path(source.name)
    if root is None:
        root = Path.cwd() if file.absolute().is_relative_to(Path.cwd()) else file.parent
    changes: dict[int, list[bytes]] = {}
    fixed: list[Finding] = []
    if isinstance(source, JsonLines | Table) and isinstance(source.content, LocalFile):
        by_line: dict[int, list[Finding]] = defaultdict(list)
        for finding in own:
            if finding.code in _MENDED:
                by_line[finding.line].append(finding)
        mended = (
            _mended_lines(source, by_line) if isinstance(source, JsonLines) else _mended_rows(source, by_line)
        )
        for line, old, new, gone in mended:
            fixed += gone
            for number, _ in enumerate(old, line):
                changes[number] = []
            changes[line] = new
        with source.content.open() as stream:
            name = Path(os.path.relpath(file, root)).as_posix()
            diff = unified_diff(stream, changes, name)
    else:
        diff = b""
    settled = set(map(id, fixed))  # by identity: findings at the same place are equal
    remaining = [finding for finding in own if id(finding) not in settled]
    return Patch(source.name, root, diff, tuple(fixed), tuple(remaining))


class _Mended(NamedTuple):
    """Lines from ``line`` on, what stands there instead, and the findings that this settles."""

    line: int
    old: Sequence[bytes]
    new: list[bytes]
    fixed: Sequence[Finding]


class _Edit(NamedTuple):
    """Replace the characters [start, end) of a line."""

    start: int
    end: int
    text: str


def _mended_lines(source: JsonLines, by_line: Mapping[int, list[Finding]]) -> Iterator[_Mended]:
    with source.content.open() as stream:
        for line, raw in enumerate(stream, 1):
            if findings := by_line.get(line):
                if any(finding.code in _DELETED for finding in findings):
                    yield _Mended(line, [raw], [], findings)
                    continue
                new, fixed = _mend(raw.decode("utf-8", "surrogateescape"), findings)
                if fixed:
                    yield _Mended(
                        line, [raw], [each.encode("utf-8", "surrogateescape") for each in new], fixed
                    )


def _mended_rows(source: Table, by_line: Mapping[int, list[Finding]]) -> Iterator[_Mended]:
    """Of a table whole rows go; within one only the names in the header are mended."""
    for row in rows_of(source.content, source.delimiter):
        findings = by_line.get(row.line, [])
        old = row.text.encode("utf-8", "surrogateescape").splitlines(keepends=True)
        if row.line > 1:
            if any(finding.code in _DELETED for finding in findings):
                yield _Mended(row.line, old, [], findings)
            continue
        edits: dict[int, _Edit] = {}
        for number, finding in enumerate(findings):
            if finding.code == "byte-order-mark":
                edits[number] = _Edit(0, 1, "")
            elif finding.code == "unknown-field" and (meant := _meant(finding)):
                cell = re.compile(rf'[^"{source.delimiter}\r\n]+').match(row.text, finding.column - 1)
                if cell and _surely(cell[0], meant, findings, finding):
                    edits[number] = _Edit(*cell.span(), meant)
        if edits:
            new = _applied(row.text, list(edits.values())).encode("utf-8", "surrogateescape")
            yield _Mended(1, old, new.splitlines(keepends=True), [findings[number] for number in edits])


def _mend(line: str, findings: Sequence[Finding]) -> tuple[list[str], list[Finding]]:
    """The lines instead of one, and the findings of it that are then gone; none where it stays as it is."""
    edits: list[_Edit] = []
    fixed: list[Finding] = []
    syntax: list[Finding] = []
    for finding in findings:
        if finding.code == "json-syntax":
            syntax.append(finding)
            continue
        try:
            edit = _EDITS[finding.code](line, finding.column - 1, finding, findings)
        except (ValueError, IndexError):
            edit = None  # the line is not what it was when it was checked, or is of a file that is no data
        if edit and all(edit.end <= other.start or other.end <= edit.start for other in edits):
            edits.append(edit)
            fixed.append(finding)
    text = _applied(line, edits)
    body = text.rstrip("\r\n")
    end = text[len(body) :]
    if syntax:
        if (records := _mend_syntax(body)) is not None:
            between = end or "\n"
            return [record + between for record in records[:-1]] + [records[-1] + end], [*fixed, *syntax]
        fixed = [finding for finding in fixed if finding.code == "byte-order-mark"]
    elif _records(body) is None:
        return [line], []
    return [text], fixed


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


# --- one edit for one finding; None where a person must look --------------------------------------------------


def _byte_order_mark(line: str, at: int, finding: Finding, others: Sequence[Finding]) -> _Edit | None:
    marks = len(line) - len(line.lstrip("\ufeff"))
    return _Edit(0, marks, "") if marks else None


def _misspelt_field(line: str, at: int, finding: Finding, others: Sequence[Finding]) -> _Edit | None:
    meant = _meant(finding)
    key, end = _DECODER.raw_decode(line, at)
    if meant is None or not _surely(key, meant, others, finding):
        return None
    return _Edit(at, end, json.dumps(meant, ensure_ascii=False))


def _scalar(line: str, at: int, finding: Finding, others: Sequence[Finding]) -> _Edit | None:
    value, end = _DECODER.raw_decode(line, at)
    token = line[at:end]
    if finding.fix.startswith("put it in double quotes"):
        return _Edit(at, end, f'"{token}"') if _NUMBER.fullmatch(token) or isinstance(value, bool) else None
    if not finding.fix.endswith(", without quotes") or not isinstance(value, str):
        return None
    wanted = finding.fix.removeprefix("write ").removesuffix(", without quotes")
    fits = {
        "true or false": value in ("true", "false"),
        "a number": _NUMBER.fullmatch(value) is not None,
        "a whole number": _NUMBER.fullmatch(value) is not None and not set(value) & set(".eE"),
    }
    return _Edit(at, end, value) if fits.get(wanted, value == wanted) else None


def _doubled_key(line: str, at: int, finding: Finding, others: Sequence[Finding]) -> _Edit | None:
    mark = line.startswith("\ufeff")
    text = line[mark:]
    doubled = next((each for each in find_positions(text).doubled_keys if each.position == at - mark), None)
    if doubled is None:
        return None
    first, _ = _member(text, doubled.first)
    second, end = _member(text, doubled.position)
    if json.dumps(first) != json.dumps(second):
        return None
    comma = text.rindex(",", 0, doubled.position)  # nothing but spaces stands between
    return _Edit(comma + mark, end + mark, "")


_DELETED = {"blank-line", "duplicate-row"}
_EDITS: dict[str, Callable[[str, int, Finding, Sequence[Finding]], _Edit | None]] = {
    "byte-order-mark": _byte_order_mark,
    "unknown-field": _misspelt_field,
    "wrong-type": _scalar,
    "duplicate-key": _doubled_key,
    "missing-field": lambda line, at, finding, others: None,  # only tells what else could be meant
}
_MENDED = {"json-syntax", *_DELETED, *_EDITS}


def _meant(finding: Finding) -> str | None:
    """The name that the finding says to write."""
    found = re.fullmatch(r"write `(.+)`", finding.fix)
    return found[1] if found else None


def _surely(name: str, meant: str, others: Sequence[Finding], finding: Finding) -> bool:
    """Whether nothing but ``meant`` can be meant, and by no other field of the same object."""

    def folded(text: str) -> str:
        return "".join(each for each in text.casefold() if each.isalnum())

    def alike(other: str) -> bool:
        return difflib.SequenceMatcher(None, folded(name), folded(other)).ratio() >= _ALIKE

    parent = _parent(finding.path)
    beside = [each for each in others if each is not finding and _parent(each.path) == parent]
    if any(each.code == "unknown-field" and _meant(each) == meant for each in beside):
        return False
    if folded(name) == folded(meant):
        return True
    missing = [found[1] for each in beside if (found := re.fullmatch(r"(?:add|write) `(.+)`", each.fix))]
    return alike(meant) and not any(map(alike, missing))


def _parent(path: str) -> str:
    return re.sub(r'(?:\.\w+|\[(?:\d+|"(?:[^"\\]|\\.)*")\])$', "", path)


def _member(text: str, at: int) -> tuple[object, int]:
    """The value of the key at a position, and where it ends."""
    _, end = _DECODER.raw_decode(text, at)
    return _DECODER.raw_decode(text, _COLON.match(text, end).end())  # type: ignore[union-attr]  # it is JSON


# --- text that is no JSON yet ---------------------------------------------------------------------------------


def _records(text: str) -> list[str] | None:
    """The text as the one record that it is, None where it is no JSON."""
    try:
        json.loads(text, parse_int=float, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return [text]


def _no_number(name: str) -> None:
    raise ValueError(name)


def _mend_syntax(text: str) -> list[str] | None:
    """The records, one or several, that a line of no JSON surely is. Whatever is done, the parser agrees in the end."""
    for _ in range(1_000):
        try:
            record = json.loads(text, parse_int=float, parse_constant=_no_number)
            return [text] if isinstance(record, dict) else None
        except json.JSONDecodeError as error:
            before, found, after = text[: error.pos], text[error.pos : error.pos + 1], text[error.pos + 1 :]
            if error.msg.startswith("Extra data"):
                rest = (found + after).strip()
                if rest == ",":
                    text = before.rstrip()
                elif rest.startswith("{") and before.lstrip().startswith("{"):
                    more = _mend_syntax(rest)
                    return None if more is None else [before.rstrip(), *more]
                else:
                    return None
            elif error.msg.startswith("Invalid control character"):
                text = before + json.dumps(found)[1:-1] + after
            elif found in ("}", "]") and re.search(r"[^\s\[{,:]\s*,\s*$", before):
                comma = before.rindex(",")
                text = before[:comma] + before[comma + 1 :] + found + after
            elif found == "," and after.lstrip()[:1] in ("}", "]") and re.search(r"[^\s\[{,:]\s*$", before):
                text = before + after  # where later versions of the parser see the comma
            else:
                return None
        except (ValueError, RecursionError):
            return None
    return None
