"""The scan takes exactly the good records, explains the others, and never gives a traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.batches import FinishedLines, fault_finding
from tunestack.dataset.explain import explain
from tunestack.dataset.findings import CODES, Finding
from tunestack.dataset.records import Records
from tunestack.dataset.sources.content import LocalFile
from tunestack.dataset.sources.json_lines import JsonLines
from tunestack.dataset.sources.source import SourceFault

COLUMNS = {"text": "string", "label": "string"}
WITH_LIST = {"text": "string", "references": "list[string]"}


class Row(NamedTuple):
    line: int
    values: dict[str, Any]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader") / "rows.jsonl"


def read(file: Path, content: bytes, columns: Mapping[str, str] = COLUMNS) -> tuple[list[Row], list[Finding]]:
    file.write_bytes(content)
    source, records = JsonLines(LocalFile(file, str(file))), Records(columns)
    front = FinishedLines(records.acceptor)
    rows: list[Row] = []
    findings: list[Finding] = []
    try:
        for block in source.blocks():
            for chunk in source.chunks(block):
                batch = front.read(source, chunk, first=True)
                for row, line in zip(batch.rows, batch.lines, strict=True):
                    rows.append(Row(chunk.lines[row], records.values(line)))
                findings += [found for row in sorted(batch.found) for found in batch.found[row]]
    except SourceFault as fault:
        findings.append(fault_finding(source, fault))
    return rows, findings


# --- what is good -------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: not text.isspace())


@given(
    st.lists(st.fixed_dictionaries({"text": texts, "references": st.lists(texts, min_size=1)}), min_size=1),
    st.data(),
)
@settings(max_examples=60)
def test_good_rows_are_read_as_they_were_written(
    file: Path, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = []
    for row in rows:
        keys = data.draw(st.permutations(list(row)))
        separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]))
        shuffled = {key: row[key] for key in keys}
        lines.append(json.dumps(shuffled, ensure_ascii=data.draw(st.booleans()), separators=separators))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    last = data.draw(st.sampled_from(["", end]))
    read_back, findings = read(file, (end.join(lines) + last).encode(), WITH_LIST)
    assert findings == []
    assert read_back == [Row(number, row) for number, row in enumerate(rows, 1)]


def test_columns_may_have_any_name(file: Path) -> None:
    shape = {"class": "string", "self": "string", "__init__": "string", "column_0": "string"}
    row = {"class": "a", "self": "b", "__init__": "c", "column_0": "d"}
    assert read(file, json.dumps(row).encode() + b"\n", shape) == ([Row(1, row)], [])


# --- what is bad: code, line, column, path ------------------------------------------------------------------

GOOD = b'{"text": "one", "label": "a"}\n'

# fmt: off
BAD: list[tuple[bytes, list[tuple[int, int, str, str]]]] = [
    (b"", []),
    (b"\n", [(1, 1, "blank-line", "")]),
    (GOOD + b" \t\r\n" + GOOD, [(2, 1, "blank-line", "")]),
    (b"\xef\xbb\xbf" + GOOD, [(1, 1, "byte-order-mark", "")]),
    (GOOD + b'\xef\xbb\xbf{"text": "x", "label": 1}\n', [(2, 1, "byte-order-mark", ""), (2, 25, "wrong-type", "$.label")]),  # noqa: E501
    (b'{"text": true, "label": "a"}\n', [(1, 10, "wrong-type", "$.text")]),
    (b'{"text": "", "label": "a"}\n', [(1, 10, "empty-text", "$.text")]),
    (b'{"text": "x", "label": " \\t"}\n', [(1, 24, "empty-text", "$.label")]),
    ('{"text": "é'.encode() + b'\xff", "label": "a"}\n', [(1, 12, "encoding", "")]),
    (b'{"text": "\xed\xa0\x80", "label": "a"}\n', [(1, 11, "encoding", "")]),
    ("\ufeff{}".encode("utf-16"), [(1, 1, "encoding", "")]),
    ('{"text": "x"}\n'.encode("utf-16-le"), [(1, 1, "encoding", "")]),
    (b'{\n  "text": "x",\n  "label": "a"\n}\n', [(1, 1, "not-json-lines", "")]),
    (GOOD + b'{"text": "two", "lab', [(2, 17, "truncated-line", "$")]),
    (GOOD + b'{"text": "two"', [(2, 15, "truncated-line", "$")]),
    (GOOD + b'{"text": tr', [(2, 10, "truncated-line", "$")]),
    (GOOD + b"{'text': 1}", [(2, 2, "json-syntax", "$")]),
    (GOOD + b'{"text": "two", "label": "a"} {}', [(2, 31, "json-syntax", "$")]),
    (b'{"text": "two", "label": "a",}\n', [(1, 30, "json-syntax", "$")]),
    (b"{'text': 1}\n", [(1, 2, "json-syntax", "$")]),
    ('{"text": "日本"; "label": "a"}\n'.encode(), [(1, 14, "json-syntax", "$")]),
    (b'{"text": "a\tb", "label": "a"}\n', [(1, 12, "json-syntax", "$")]),
    (b'{"text": "a\\x", "label": "a"}\n', [(1, 12, "json-syntax", "$")]),
    (b'{"text": NaN, "label": "a"}\n', [(1, 10, "json-syntax", "$.text")]),
    (b'{"text": ' + b"[" * 5000 + b"\n", [(1, 1, "json-syntax", "$")]),
    (b"3\n", [(1, 1, "not-an-object", "$")]),
    (GOOD + b"  []\n", [(2, 3, "not-an-object", "$")]),
    ('{"text": "é", "label": "a", "text": "y"}\n'.encode(), [(1, 29, "duplicate-key", "$.text")]),
    (b'{"text": "x", "label": "\\u0022\\u0022\\u0022\\u0022", "text": "y"}\n', [(1, 52, "duplicate-key", "$.text")]),
    (b'{"text": "x", "label": "a", "t\\u0065xt": "y"}\n', [(1, 29, "duplicate-key", "$.text")]),
    (b'{"text": "x", "label": "a", "extra key": 1}\n', [(1, 29, "unknown-field", '$["extra key"]')]),
    (b'{"txt": "x", "label": "a"}\n', [(1, 2, "unknown-field", "$.txt")]),
    (b' {"text": "x"}\n', [(1, 2, "missing-field", "$.label")]),
    (b"{}\n", [(1, 1, "missing-field", "$.label"), (1, 1, "missing-field", "$.text")]),
    (b'{"text": null, "label": 3}\n', [(1, 10, "wrong-type", "$.text"), (1, 25, "wrong-type", "$.label")]),
    (b'{"text": "", "label": " \\n\\u3000"}\n', [(1, 10, "empty-text", "$.text"), (1, 23, "empty-text", "$.label")]),
    ('{"text": "é\\ud83d\\ude00\\ud83dx", "label": "a"}\n'.encode(), [(1, 24, "lone-surrogate", "$.text")]),
    (b'{"text": "\\udc00\\ud800", "label": "a"}\n', [(1, 11, "lone-surrogate", "$.text")]),
    (b'{"text": "\\\\ud800", "label": "\\ud800\\ud800\\udc00"}\n', [(1, 31, "lone-surrogate", "$.label")]),
    (b'{"\\ud800": "x", "text": "x", "label": "a"}\n', [(1, 2, "unknown-field", '$["\\ud800"]'), (1, 3, "lone-surrogate", "$")]),  # noqa: E501
]
# fmt: on


@pytest.mark.parametrize(
    ("content", "expected"), BAD, ids=lambda value: repr(value)[:60] if isinstance(value, bytes) else ""
)
def test_a_bad_line_is_told_with_line_column_and_path(
    file: Path, content: bytes, expected: list[tuple[int, int, str, str]]
) -> None:
    _, findings = read(file, content)
    assert [(found.line, found.column, found.code, found.path) for found in sorted(findings)] == expected


def test_lists_are_checked_item_by_item(file: Path) -> None:
    lists = (b'["a", "", 3, " "]', b"[]", b'"a"')
    content = b"".join(b'{"text": "x", "references": %b}\n' % each for each in lists)
    _, findings = read(file, content, WITH_LIST)
    assert [(found.line, found.column, found.code, found.path) for found in findings] == [
        (1, 35, "empty-text", "$.references[1]"),
        (1, 39, "wrong-type", "$.references[2]"),
        (1, 42, "empty-text", "$.references[3]"),
        (2, 29, "empty-text", "$.references"),
        (3, 29, "wrong-type", "$.references"),
    ]


def test_planted_errors_are_all_found_at_their_lines_and_nothing_else(file: Path) -> None:
    single = [
        (content, expected[0][2])
        for content, expected in BAD
        if len(expected) == 1 and content.endswith(b"\n") and content.count(b"\n") == 1
    ]
    plantable = [
        (line, code) for line, code in single if code not in ("no-rows", "not-json-lines", "truncated-line")
    ]
    assert len({code for _, code in plantable}) == 11
    choose = random.Random(7)
    lines = [json.dumps({"text": f'row {n} "quoted" é', "label": "a"}).encode() + b"\n" for n in range(3_000)]
    planted = {}
    for number in choose.sample(range(1, len(lines)), 280):
        lines[number], planted[number + 1] = choose.choice(plantable)
    rows, findings = read(file, b"".join(lines))
    assert {found.line: found.code for found in findings} == planted
    assert len(findings) == len(planted)
    assert [row.line for row in rows] == [
        number for number in range(1, len(lines) + 1) if number not in planted
    ]


# --- the reader against the standard library ----------------------------------------------------------------


def reference_accepts(raw: bytes, columns: Mapping[str, str]) -> bool:
    """The standard library's verdict with the stricter rules: see the codes of findings."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        record = json.loads(raw.decode(), object_pairs_hook=members, parse_constant=constant, parse_int=float)
        record_texts = [
            text for value in record.values() for text in (value if isinstance(value, list) else [value])
        ]
        for text in record_texts:
            text.encode()
    except (ValueError, RecursionError, AttributeError):
        return False
    types = {"string": str, "list[string]": list}
    return (
        record.keys() == columns.keys()
        and all(
            isinstance(record[column], types[kind]) and record[column] for column, kind in columns.items()
        )
        and all(isinstance(text, str) and text and not text.isspace() for text in record_texts)
    )


SEEDS = [
    b'{"text": "one", "references": ["a"]}',
    '{"text": "é 日本 😀", "references": ["\\u0022", "\\ud83d\\ude00", "q\\"q"]}'.encode(),
    b'{"references":["x","y","z"],"text":"t"}',
]
SCRAPS = [
    *(content for content, _ in BAD if len(content) < 100),
    *b'{}[]",:\\ \t\r\nu0',
    b'"text":"x",',
    b"\\ud83d",
    b"\xff",
    b"NaN",
]
scraps = st.sampled_from([scrap if isinstance(scrap, bytes) else bytes([scrap]) for scrap in SCRAPS])
seeds = st.sampled_from(SEEDS)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    line = draw(seeds)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(line)))
        end = draw(st.integers(start, min(len(line), start + 4)))
        line = line[:start] + draw(scraps | st.binary(max_size=2)) + line[end:]
    return line


@given(st.lists(mutated() | seeds | st.binary(max_size=40), min_size=1, max_size=4))
@settings(max_examples=400)
def test_a_line_is_accepted_if_and_only_if_the_reference_accepts_it(file: Path, lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    rows, findings = read(file, content, WITH_LIST)
    numbered = dict(enumerate(content.removesuffix(b"\n").split(b"\n"), 1)) if content else {}
    good = {number for number, raw in numbered.items() if reference_accepts(raw, WITH_LIST)}
    if any(found.code == "not-json-lines" or "UTF-16" in found.message for found in findings):
        assert 1 not in good
        assert not rows
    else:
        assert {row.line for row in rows} == good
        assert {found.line for found in findings if found.line} == numbered.keys() - good
    for found in findings:
        assert found.code in CODES
        assert f"{found.message}{found.fix}{found.excerpt}".isprintable()
        json.dumps(found.path).encode()


@given(mutated() | st.binary(max_size=60))
@settings(max_examples=400)
def test_every_defect_has_a_place_within_its_line(raw: bytes) -> None:
    line = raw.split(b"\n")[0] + b"\n"
    for defect in explain(line, Records(WITH_LIST).type):
        assert 0 <= defect.offset <= len(line.decode("utf-8", "replace"))
