"""Records are taken exactly where they are good; of the others every defect is told at its place."""

# ruff: noqa: E501 - a line of the table is one case

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.explain import explain
from tunestack.dataset.findings import CODES, Finding
from tunestack.dataset.positions import find_positions
from tunestack.dataset.reading import Reading, read_all
from tunestack.dataset.records import Records
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Scan, ScanPlan
from tunestack.dataset.sources import open_source

COLUMNS = {"text": "string", "label": "string"}
WITH_LIST = {"text": "string", "references": "list[string]"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "rows.jsonl"


def read(file: Path, content: bytes, columns: Mapping[str, str] = COLUMNS) -> tuple[int, list[Finding]]:
    """How many records of a file are good, and all that is wrong with the others."""
    file.write_bytes(content)
    source = open_source(file, columns=columns)
    reading = Reading(ScanPlan("supervised", columns=columns, quick=True), Scan(source=source, rows=Rows()))
    read_all([reading], processes=1, block_bytes=64)
    return reading.scan.statistics.rows, reading.report("rows").findings


# --- what is bad: code, line, column, path ------------------------------------------------------------------

GOOD = b'{"text": "one", "label": "a"}\n'

# fmt: off
BAD: list[tuple[bytes, list[tuple[int, int, str, str]]]] = [
    (b"", [(0, 0, "no-rows", "")]),
    (b"\n", [(1, 1, "blank-line", "")]),
    (GOOD + b" \t\r\n" + GOOD, [(2, 1, "blank-line", "")]),
    (b"\xef\xbb\xbf" + GOOD, [(1, 1, "byte-order-mark", "")]),
    (GOOD + b'\xef\xbb\xbf{"text": "x", "label": 1}\n', [(2, 1, "byte-order-mark", ""), (2, 25, "wrong-type", "$.label")]),
    (b'{"text": true, "label": "a"}\n', [(1, 10, "wrong-type", "$.text")]),
    (b'{"text": "", "label": "a"}\n', [(1, 10, "empty-text", "$.text")]),
    (b'{"text": "x", "label": " \\t"}\n', [(1, 24, "empty-text", "$.label")]),
    ('{"text": "é'.encode() + b'\xff", "label": "a"}\n', [(1, 12, "encoding", "")]),
    (b'{"text": "\xed\xa0\x80", "label": "a"}\n', [(1, 11, "encoding", "")]),
    ("\ufeff{}".encode("utf-16"), [(1, 1, "encoding", "")]),
    ('{"text": "x"}\n'.encode("utf-16-le"), [(1, 1, "encoding", "")]),
    (b"\x1f\x8b\x08\x00", [(1, 1, "compression", "")]),
    (b'[{"text": "x", "label": "a"},\n  {"text": "x",\n"label": 1}]\n', [(3, 10, "wrong-type", "$.label")]),
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
    (b'{"\\ud800": "x", "text": "x", "label": "a"}\n', [(1, 2, "unknown-field", '$["\\ud800"]'), (1, 3, "lone-surrogate", "$")]),
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


# --- any type -----------------------------------------------------------------------------------------------


class Circle(msgspec.Struct, tag="circle", forbid_unknown_fields=True):
    radius: Annotated[float, msgspec.Meta(gt=0)]


class Square(msgspec.Struct, tag="square", forbid_unknown_fields=True):
    side: float


class Drawing(msgspec.Struct, forbid_unknown_fields=True):
    shapes: Annotated[list[Circle | Square], msgspec.Meta(min_length=1)]
    size: int | float
    size_or_name: int | str
    shown: bool = True
    note: str | None = None
    kind: Literal["sketch", "plan"] = "plan"
    extras: dict[str, int] = {}
    pair: tuple[int, ...] = ()


DRAWING = {"shapes": [{"type": "circle", "radius": 1.5}], "size": 3, "size_or_name": "big"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"note": None, "extras": {"a": 1}, "pair": [1, 2], "kind": "sketch", "shown": False}, []),
        ({"shapes": []}, [("empty-text", "$.shapes")]),
        (
            {"shapes": [{"type": "circle", "side": 1}]},
            [("unknown-field", "$.shapes[0].side"), ("missing-field", "$.shapes[0].radius")],
        ),
        ({"shapes": [{"type": "triangle"}]}, [("wrong-type", "$.shapes[0].type")]),
        ({"shapes": [{}]}, [("missing-field", "$.shapes[0].type")]),
        ({"shapes": [{"type": "circle", "radius": 0}]}, [("wrong-type", "$.shapes[0].radius")]),
        ({"size": "3"}, [("wrong-type", "$.size")]),
        ({"size_or_name": 1.5}, [("wrong-type", "$.size_or_name")]),
        ({"size_or_name": []}, [("wrong-type", "$.size_or_name")]),
        ({"note": 3}, [("wrong-type", "$.note")]),
        ({"shown": 1}, [("wrong-type", "$.shown")]),
        ({"kind": "skech"}, [("wrong-type", "$.kind")]),
        ({"extras": {"a b": "1"}}, [("wrong-type", '$.extras["a b"]')]),
        ({"pair": [1, "2"]}, [("wrong-type", "$.pair[1]")]),
    ],
)
def test_any_type_is_explained(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    raw = json.dumps({**DRAWING, **change}).encode()
    defects = explain(raw, Drawing, refused=False)
    assert sorted((each.code, each.path) for each in defects) == sorted(expected)
    try:
        msgspec.json.decode(raw, type=Drawing)
        assert expected == []
    except msgspec.ValidationError:
        assert expected != []


# --- positions ----------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.sampled_from([(",", ":"), (" ,\n", "\t: ")]), st.booleans())
@settings(max_examples=150)
def test_every_value_is_found_where_it_begins(
    value: Any, separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    found = find_positions(text)
    assert found.value == value
    decoder = json.JSONDecoder()

    def begins(inner: Any, path: str) -> None:
        assert decoder.raw_decode(text, found.values[path])[0] == inner
        members = (
            inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        )
        for key, each in members:
            step = (
                f"[{key}]"
                if isinstance(key, int)
                else f".{key}"
                if key.isidentifier()
                else f"[{json.dumps(key)}]"
            )
            begins(each, path + step)

    begins(value, "$")


# --- anything whatever --------------------------------------------------------------------------------------

SCRAPS = [content for content, _ in BAD if len(content) < 100]
scraps = st.sampled_from(SCRAPS) | st.sampled_from([bytes([each]) for each in b'{}[]",:\\ \t\r\nu0-.'])


@given(
    st.lists(scraps | st.binary(max_size=4), max_size=4).map(b"".join), st.sampled_from([COLUMNS, WITH_LIST])
)
@settings(max_examples=400)
def test_whatever_is_refused_is_explained_at_a_place_within_it(raw: bytes, columns: dict[str, str]) -> None:
    records = Records(columns)
    try:
        record = msgspec.json.decode(raw, type=records.type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    defects = explain(raw, records.type, record is None, records.violations)
    if record is None:
        assert defects
        assert "cannot be decoded" not in {each.message for each in defects}  # the explanation of last resort
    for each in defects:
        assert 0 <= each.offset <= len(raw.decode("utf-8", "replace"))
        assert each.code in CODES
        assert f"{each.message}{each.fix}{each.excerpt}".isprintable()
        json.dumps(each.path).encode()
