"""What is wrong with a file as a file is told at its place, and what can be read of it is read all the same."""

from __future__ import annotations

import base64
import csv
import errno
import gzip
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import blake3
import google_crc32c
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.findings import CODES
from tunestack.dataset.sources import json_lines, json_list, open_source, table
from tunestack.dataset.sources.source import SourceFault
from tunestack.spec.errors import TunestackError

COLUMNS = {"text": "string", "label": "string"}
GOOD = b'{"text": "one", "label": "a"}\n'

Fault = tuple[str, int, int]


def read(
    file: Path, content: bytes, columns: dict[str, str] | None = None
) -> tuple[list[tuple[int, bytes]], list[Fault], list[str]]:
    """Records with their lines; faults as code, line, column; their messages. In blocks of a few bytes."""
    file.write_bytes(content)
    source = open_source(file, columns=columns)
    records: list[tuple[int, bytes]] = []
    faults: list[SourceFault] = []
    before = 0
    try:
        for block in source.blocks(50):
            lines = 0
            for chunk in source.chunks(block, 2):
                records += [
                    (before + line, text) for line, text in zip(chunk.lines, chunk.texts, strict=True)
                ]
                for fault in chunk.faults:
                    fault.line += before
                    faults.append(fault)
                lines = chunk.lines[-1] if chunk.lines else lines
            before += lines
    except SourceFault as fault:
        faults.append(fault)
    for fault in faults:
        assert fault.code in CODES
        assert fault.fix
    return records, [(fault.code, fault.line, fault.column) for fault in faults], [f.message for f in faults]


# --- what a file is: its bytes, then its name ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("rows.jsonl", GOOD, "JsonLines"),
        ("rows", GOOD, "JsonLines"),
        ("rows.csv", GOOD, "JsonLines"),
        ("rows.parquet", GOOD, "JsonLines"),
        ("rows.json", GOOD, "JsonLines"),
        ("rows.json", b" \n[" + GOOD + b"]", "JsonList"),
        ("rows.jsonl", b"[" + GOOD + b"]", "JsonList"),
        ("rows.csv", b'\xef\xbb\xbf[{"text": 1}]', "JsonList"),
        ("rows.jsonl", b"[" + GOOD.strip() + b"," + GOOD.strip() * 9999 + b"]\n", "JsonList"),
        ("rows.jsonl", b'["a line that is a list"]\n' + GOOD, "JsonLines"),
        ("rows.csv", b"[sic],text\n1,2\n", "Table"),
        ("rows.csv", b"{id},text\n1,2\n", "Table"),
        ("rows.TSV", b"text\tlabel\n1\t2\n", "Table"),
        ("rows.csv.gz", b"text,label\n1,2\n", "Table"),
        ("rows.jsonl", b"PAR1....PAR1", "Parquet"),
        ("rows.parquet", b"what is this", "Parquet"),
        ("rows.jsonl", b"", "JsonLines"),
    ],
)
def test_content_says_what_a_file_is_before_its_name(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert type(open_source(name, root=tmp_path)).__name__ == kind
    (tmp_path / name).write_bytes(gzip.compress(content))
    assert type(open_source(name, root=tmp_path)).__name__ == kind


def test_a_source_is_named_so_that_it_can_be_opened_and_digested_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(GOOD)
    source = open_source("rows.jsonl", root=tmp_path)
    assert source.name == str(tmp_path / "rows.jsonl")
    digests = source.digests()
    assert (digests.name, digests.bytes, digests.generation) == ("rows.jsonl", len(GOOD), None)
    assert digests.blake3 == blake3.blake3(GOOD).hexdigest()
    assert digests.crc32c == base64.b64encode(google_crc32c.Checksum(GOOD).digest()).decode()


def test_what_is_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_source(tmp_path / "nowhere.jsonl")
    with pytest.raises(IsADirectoryError):
        open_source(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="read twice") as raised:
        open_source(tmp_path / "pipe")
    assert raised.value.errno == errno.ESPIPE


def test_opening_json_lines_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(GOOD)
    heavy = ["pyarrow", "zstandard", "blake3", "google.cloud.storage", "numpy", "csv", "gzip"]
    program = (
        "import sys; from tunestack.dataset.sources import open_source; "
        f"list(open_source({str(tmp_path / 'rows.jsonl')!r}).blocks()); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


# --- JSON Lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json"])
def test_other_encodings_are_told_of_the_whole_file(tmp_path: Path, codec: str, name: str) -> None:
    text = "text,label\n" if name.endswith("csv") else '[{"text": 1}]'
    assert read(tmp_path / name, text.encode(codec))[:2] == ([], [("encoding", 1, 1)])


def test_a_record_over_several_lines_is_told_of_the_whole_file(tmp_path: Path) -> None:
    content = json.dumps({"text": "x"}, indent=1).encode()
    assert read(tmp_path / "rows.jsonl", content)[:2] == ([], [("not-json-lines", 1, 1)])


def test_bytes_that_are_no_utf_8_and_a_byte_order_mark_come_through(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + GOOD + b'{"text": "\xff"}\n\r\n\n'
    records, faults, _ = read(tmp_path / "rows.jsonl", content)
    assert b"".join(text for _, text in records) == content
    assert faults == []


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_a_line_that_never_ends_is_told_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setattr(json_lines, "MOST_LINE_BYTES", 1 << 20)
    content = GOOD * 7 + b'{"text": "' + b"x" * (2 << 20) + b'"}\n' + GOOD
    records, faults, _ = read(
        tmp_path / f"rows.jsonl{packing}", gzip.compress(content) if packing else content
    )
    assert (len(records), faults) == (7, [("not-json-lines", 8, 1)])
    long = GOOD * 7 + b'{"text": "' + b"x" * (1 << 19) + b'"}\n' + GOOD
    records, faults, _ = read(tmp_path / f"rows.jsonl{packing}", gzip.compress(long) if packing else long)
    assert (len(records), faults) == (9, [])


# --- compression ---------------------------------------------------------------------------------------------

PACKED = {"gz": gzip.compress(GOOD * 500), "zst": zstandard.compress(GOOD * 500)}


@pytest.mark.parametrize("packing", PACKED)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_packed_file_that_breaks_off_is_read_up_to_the_break(
    tmp_path_factory: pytest.TempPathFactory, packing: str, data: st.DataObject
) -> None:
    lines = [b'{"text": "%d"}\n' % (number * 7919 % 100_003) for number in range(300)]
    content = b"".join(lines)
    whole = gzip.compress(content) if packing == "gz" else zstandard.compress(content)
    kept = data.draw(st.integers(5, len(whole) - 1))
    file = tmp_path_factory.getbasetemp() / f"broken.jsonl.{packing}"
    records, faults, messages = read(file, whole[:kept])
    assert faults == [("compression", len(records) + 1, 1)]
    assert "breaks off" in messages[0]
    assert [text for _, text in records] == lines[: len(records)]


def test_of_a_packed_file_that_breaks_off_late_nearly_everything_is_read(tmp_path: Path) -> None:
    lines = [b'{"text": "%d"}\n' % (number * 7919 % 1_000_003) for number in range(100_000)]
    content = b"".join(lines)
    for name, packed in (("a.gz", gzip.compress(content)), ("a.zst", zstandard.compress(content))):
        records, faults, _ = read(tmp_path / name, packed[:-9])
        assert faults == [("compression", len(records) + 1, 1)]
        assert 90_000 < len(records) <= 100_000
        assert [text for _, text in records] == lines[: len(records)]


@pytest.mark.parametrize("packing", PACKED)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_packed_file_never_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, packing: str, data: st.DataObject
) -> None:
    damaged = bytearray(PACKED[packing])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / f"damaged.jsonl.{packing}"
    _, faults, _ = read(file, bytes(damaged))
    assert {code for code, _, _ in faults} <= {"compression"}


def test_damage_that_the_checksum_shows_is_told_after_all_records(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(GOOD * 3))
    packed[-8] ^= 1
    records, faults, messages = read(tmp_path / "rows.jsonl.gz", bytes(packed))
    assert (len(records), faults) == (3, [("compression", 4, 1)])
    assert "CRC" in messages[0]


def test_more_after_a_packed_file_and_packing_twice_are_told(tmp_path: Path) -> None:
    records, faults, _ = read(tmp_path / "rows.jsonl.gz", gzip.compress(GOOD) + b"more")
    assert (len(records), faults) == (1, [("compression", 2, 1)])
    for packed in PACKED.values():
        records, faults, _ = read(tmp_path / "rows.jsonl.gz", gzip.compress(packed))
        assert (records, faults) == ([], [("compression", 1, 1)])


def test_a_small_file_that_unpacks_to_a_very_large_one_does_not_fill_the_memory(tmp_path: Path) -> None:
    size = 300 << 20
    compressor = zstandard.ZstdCompressor().compressobj()
    packed = b"".join(compressor.compress(b"\n" * (1 << 20)) for _ in range(size >> 20))
    for name, content in (("a.zst", packed + compressor.flush()), ("a.gz", gzip.compress(bytes(size), 1))):
        (tmp_path / name).write_bytes(content)
        program = (
            "import resource\n"
            "from tunestack.dataset.sources import open_source\n"
            "resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
            f"with open_source({str(tmp_path / name)!r}).content.open() as stream:\n"
            "    print(sum(map(len, iter(lambda: stream.read(1 << 16), b''))))\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.stdout == f"{size}\n", done.stderr


# --- JSON list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "records", "fault"),
    [
        (b"[]", [], None),
        (b" [ ] \n", [], None),
        (b'[{"a": 1},\n {"b": "\xc3\xa9"}, 3]', [1, 2, 2], None),
        (b'[{"a": 1},\n {"a": 2},\n]\n', [1, 2], ("json-syntax", 2, 10)),
        (b'[{"a": 1}\n {"a": 2}]\n', [1], ("json-syntax", 2, 2)),
        (b'["\xc3\xa9", {"a" 1}, {"a": 2}]', [1], ("json-syntax", 1, 12)),
        (b'["\xc3\xa9", {"a": 1}] x', [1, 1], ("json-syntax", 1, 17)),
        (b'[{"a": 1}] [{"a": 2}]', [1], ("json-syntax", 1, 12)),
        (b'[{"a": 1},\n{"a": ', [1], ("truncated-line", 2, 6)),
        (b'[{"a": 1},\n{"a": "x', [1], ("truncated-line", 2, 9)),
        (b'[{"a": 1}', [1], ("truncated-line", 1, 10)),
        (b"[", [], ("truncated-line", 1, 2)),
        (b"[,1]", [], ("json-syntax", 1, 2)),
        (b"[1,NaN]", [1, 1], None),
        (b"[1,\n" + b"[" * 100_000, [1], ("json-syntax", 2, 1)),
    ],
)
def test_a_list_is_read_up_to_where_it_is_broken(
    tmp_path: Path, content: bytes, records: list[int], fault: Fault | None
) -> None:
    read_back, faults, _ = read(tmp_path / "rows.json", content)
    assert [line for line, _ in read_back] == records
    assert faults == ([fault] if fault else [])


def test_a_byte_order_mark_before_a_list_is_told_and_the_list_read(tmp_path: Path) -> None:
    records, faults, _ = read(tmp_path / "rows.json", b"\xef\xbb\xbf[1,\n2]")
    assert (records, faults) == ([(1, b"1"), (2, b"2")], [("byte-order-mark", 1, 1)])


def test_a_list_that_does_not_fit_the_memory_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_list, "MOST_BYTES", 1 << 20)
    _, faults, messages = read(tmp_path / "rows.json", b"[" + b" " * (1 << 20) + b"]")
    assert faults == [("not-json-lines", 1, 1)]
    assert "1 MiB" in messages[0]


# --- tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "records", "faults"),
    [
        (b"text,label\na,b\nonly one\nc,d\n", [2, 4], [("table-syntax", 3, 9)]),
        (b'text,label\na,b\n"x\ny",2,three,four\nc,d\n', [2, 5], [("table-syntax", 4, 6)]),
        (b'text,label\n"a"b,c\nd,e\n', [3], [("table-syntax", 2, 1)]),
        (b'text,label\n"a,b\nc,d\ne,f\n', [3, 4], [("table-syntax", 2, 1)]),
        (b"text,label\na,b\rc,d\ne,f\n", [3], [("table-syntax", 2, 1)]),
        (b'text,label\na,"x""y\nz"\nc,d', [2, 4], []),
        (b"text,label\n", [], []),
        (b"", [], []),
        (b"\ntext,label\n", [], [("table-syntax", 1, 1)]),
        (b"text,\na,b\n", [], [("table-syntax", 1, 6)]),
        (b"text,label,text\n", [], [("table-syntax", 1, 12)]),
        (b"a,b\nc,d\n", [], [("table-syntax", 1, 1)]),
        (b"text\nx\n", [], [("missing-field", 1, 1)]),
        (b"text,label,more\na,b,c\n", [2], [("unknown-field", 1, 12)]),
        (b"text,lable\na,b\n", [], [("unknown-field", 1, 6)]),
        (b"txt,more\na,b\n", [], [("unknown-field", 1, 1), ("unknown-field", 1, 5), ("missing-field", 1, 1)]),
        (b"\xef\xbb\xbftext,label\na,b\n", [2], [("byte-order-mark", 1, 1)]),
        (b'\xef\xbb\xbf"text",label\na,b\n', [2], [("byte-order-mark", 1, 1)]),
    ],
)
def test_a_row_that_is_none_costs_no_other_row(
    tmp_path: Path, content: bytes, records: list[int], faults: list[Fault]
) -> None:
    read_back, told, _ = read(tmp_path / "rows.csv", content, COLUMNS)
    assert [line for line, _ in read_back] == records
    assert told == faults


def test_a_line_of_a_table_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_LINE_BYTES", 1000)
    content = b"text,label\na,b\n" + b"x" * 2000
    records, faults, _ = read(tmp_path / "rows.csv", content, COLUMNS)
    assert ([line for line, _ in records], faults) == ([2], [("table-syntax", 3, 1)])


def test_a_table_with_semicolons_is_told_so(tmp_path: Path) -> None:
    source = open_source(_write(tmp_path / "rows.csv", b"text;label\na;b\n"), columns=COLUMNS)
    with pytest.raises(SourceFault, match="no header") as raised:
        list(source.blocks())
    assert raised.value.fix == "separate cells by commas, not by ';'"


def test_cells_have_the_type_of_their_column_or_stay_as_they_are(tmp_path: Path) -> None:
    columns = {
        "s": "string",
        "i": "integer",
        "n": "number",
        "b": "boolean",
        "l": "list[string]",
        "m": "messages",
    }
    good = ["1", "-12", "1.5e3", "TRUE", '["a", "b"]', '[{"author": "user", "content": "é"}]']
    bad = ["", "1.0", "nan", "yes", "a, b", "[" * 100_000]
    empty = [""] * 6
    unusual = ["x", "٣", "1_0", "", "null", "{}"]
    file = io.StringIO()
    csv.writer(file).writerows([list(columns), good, bad, empty, unusual])
    records, faults, _ = read(tmp_path / "rows.csv", file.getvalue().encode(), columns)
    assert faults == []
    values = [list(json.loads(text, parse_float=str).values()) for _, text in records]
    assert values == [
        ["1", -12, "1.5e3", True, ["a", "b"], [{"author": "user", "content": "é"}]],
        bad,
        ["", None, None, None, None, None],
        ["x", "٣", "1_0", None, None, {}],
    ]


def test_bytes_that_are_no_utf_8_come_through_a_table(tmp_path: Path) -> None:
    records, _, _ = read(tmp_path / "rows.csv", b'text,label\na\xff"b,\xc3\xa9\x80\n', COLUMNS)
    assert records == [(2, b'{"text":"a\xff\\"b","label":"\xc3\xa9\x80"}')]


def test_the_column_of_a_cell_is_where_it_stands_in_the_file(tmp_path: Path) -> None:
    rows = [["é,1", "b", "c"], ['say "x"', "two\nlines", "z"], ["", "", ""], ["x", 'a"b', "é"]]
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows([["text", "my label", "more"], *rows])
    content = "\ufeff" + file.getvalue()
    source = open_source(_write(tmp_path / "rows.csv", content.encode()))
    lines = content.split("\r\n")
    assert lines[1] == '"é,1",b,c'
    asked = [(2, "$.text"), (2, '$["my label"]'), (2, "$.more[0].content"), (3, '$["my label"]')]
    assert [source.cell(*each) for each in asked] == [1, 7, 9, 13]
    assert source.cell(3, "$.more") == 0  # it begins on the line after
    assert source.cell(5, "$.more") == 3
    assert source.cell(2, "$.more") == 9  # back again
    assert source.cell(6, "$.more") == 10
    assert (source.cell(6, "$.other"), source.cell(4, "$.text"), source.cell(99, "$.text")) == (0, 0, 0)
    assert pickle.loads(pickle.dumps(source)).cell(6, "$.more") == 10  # noqa: S301


@given(st.binary(max_size=60), st.sampled_from(["csv", "json", "jsonl", "parquet", "gz"]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_whatever_give_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str, typed: bool
) -> None:
    start = {"csv": b"text,label\n", "json": b"[", "parquet": b"PAR1", "gz": b"\x1f\x8b\x08\x00"}
    file = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    read(file, start.get(suffix, b"") + content, COLUMNS if typed else None)


# --- Parquet -------------------------------------------------------------------------------------------------


def test_parquet_without_pyarrow_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TunestackError, match=r"pip install 'tunestack\[parquet\]'") as raised:
        read(tmp_path / "rows.parquet", b"PAR1")
    assert raised.value.exit_status == 2


def test_parquet_has_its_own_types_and_null_is_an_absent_field(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"text": "a", "n": 1, "turns": [{"author": "user", "content": "x", "name": None}], "more": None},
        {"text": None, "n": None, "turns": None, "more": [None, "x"]},
    ]
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows * 40), file)
    records, faults, _ = read(tmp_path / "rows.parquet", file.getvalue())
    assert faults == []
    assert [line for line, _ in records] == list(range(1, 81))
    assert [json.loads(text) for _, text in records[:2]] == [
        {"text": "a", "n": 1, "turns": [{"author": "user", "content": "x"}]},
        {"more": [None, "x"]},
    ]
    source = open_source(tmp_path / "rows.parquet")
    assert [source.cell(3, path) for path in ("$.text", "$.turns[0].content", "$.other")] == [1, 3, 0]


def test_parquet_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = io.BytesIO()
    not_utf_8 = pyarrow.array([b"good", b"\xff"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": not_utf_8}), file)
    records, faults, _ = read(tmp_path / "rows.parquet", file.getvalue())
    assert (records, faults) == ([(1, b'{"text":"good"}')], [("encoding", 2, 1)])
    assert read(tmp_path / "rows.parquet", file.getvalue()[:-9])[1] == [("table-syntax", 1, 1)]
    packed = gzip.compress(file.getvalue())
    assert read(tmp_path / "rows.parquet.gz", packed)[1] == [("compression", 1, 1)]
    file = io.BytesIO()
    twice = pyarrow.Table.from_arrays([pyarrow.array(["x"]), pyarrow.array(["y"])], names=["text", "text"])
    parquet.write_table(twice, file)
    assert read(tmp_path / "rows.parquet", file.getvalue())[1] == [("table-syntax", 1, 1)]


def _write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
