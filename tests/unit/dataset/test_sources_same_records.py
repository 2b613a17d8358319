"""The same records come out of every container, at the line and column where each one begins."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.sources import open_source
from tunestack.dataset.sources.source import BLOCK_BYTES, Source

Row = dict[str, str]
COLUMNS = {"text": "string", "label": "string"}


class Placed(NamedTuple):
    """A record and where it begins."""

    line: int
    column: int
    text: bytes


def read(source: Source, size: int = BLOCK_BYTES, records: int = 128) -> list[Placed]:
    """All records, put together as whoever folds the blocks does; every block may be another process's."""
    placed: list[Placed] = []
    before = 0
    for number, block in enumerate(source.blocks(size)):
        assert block.number == number
        block = pickle.loads(pickle.dumps(block))  # noqa: S301
        lines = 0
        for chunk in block.source.chunks(block, records):
            assert len(chunk.texts) == len(chunk.lines) <= records
            columns = chunk.columns or [1] * len(chunk.texts)
            for line, column, text in zip(chunk.lines, columns, chunk.texts, strict=True):
                placed.append(Placed(before + line, column, text))
                lines = line
        before += lines
    return placed


# --- containers: rows to bytes, and the line and column of each row ------------------------------------------

Places = list[tuple[int, int]]
Container = Callable[[list[Row], Any], tuple[bytes, Places]]


def json_lines(rows: list[Row], draw: Any) -> tuple[bytes, Places]:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    ascii_only = draw(st.booleans())
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    last = draw(st.sampled_from(["", end])) if lines else ""
    return (end.join(lines) + last).encode(), [(number, 1) for number in range(1, len(rows) + 1)]


def json_list(rows: list[Row], draw: Any) -> tuple[bytes, Places]:
    spaces = st.sampled_from(["", " ", "\n", "\r\n  ", "\n\n\t"])
    indent = draw(st.sampled_from([None, 2]))
    text, places = draw(spaces) + "[" + draw(spaces), []
    for number, row in enumerate(rows):
        if number:
            text += draw(spaces) + "," + draw(spaces)
        places.append((text.count("\n") + 1, len(text) - text.rfind("\n")))
        text += json.dumps(row, ensure_ascii=draw(st.booleans()), indent=indent)
    return (text + draw(spaces) + "]" + draw(spaces)).encode(), places


def table(delimiter: str) -> Container:
    def build(rows: list[Row], draw: Any) -> tuple[bytes, Places]:
        file = io.StringIO()
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        if any("\r" in cell for row in rows for cell in row.values()):
            quoting = csv.QUOTE_ALL  # Python 3.11 forgets to quote these where it need not quote all
        end = draw(st.sampled_from(["\n", "\r\n"]))
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerow(COLUMNS)
        places = []
        for row in rows:
            places.append((file.getvalue().count("\n") + 1, 1))
            writer.writerow([row[column] for column in COLUMNS])
        return file.getvalue().encode(), places

    return build


def parquet(rows: list[Row], draw: Any) -> tuple[bytes, Places]:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pyarrow_parquet

    file = io.BytesIO()
    schema = pyarrow.schema([(column, pyarrow.string()) for column in COLUMNS])
    pyarrow_parquet.write_table(
        pyarrow.Table.from_pylist(rows, schema), file, row_group_size=draw(st.integers(1, 9))
    )
    return file.getvalue(), [(number, 1) for number in range(1, len(rows) + 1)]


CONTAINERS: dict[str, Container] = {
    "jsonl": json_lines,
    "json": json_list,
    "csv": table(","),
    "tsv": table("\t"),
    "parquet": parquet,
}


def zstd_in_frames(content: bytes) -> bytes:
    half = len(content) // 2
    return zstandard.compress(content[:half]) + zstandard.compress(content[half:])


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}
PACKED_IN_PIECES: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content[:7]) + gzip.compress(content[7:]),
    ".zst": zstd_in_frames,
}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
rows = st.lists(st.fixed_dictionaries({"text": texts, "label": texts}), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("suffix", PACKINGS)
@given(rows=rows, data=st.data())
@settings(max_examples=40, deadline=None)
def test_records_are_the_same_in_any_container_and_any_cut(
    folder: Path, kind: str, suffix: str, rows: list[Row], data: st.DataObject
) -> None:
    if kind == "parquet" and suffix:
        return  # refused: see test_sources_faults
    content, places = CONTAINERS[kind](rows, data.draw)
    pack = data.draw(st.sampled_from([PACKINGS[suffix], PACKED_IN_PIECES.get(suffix, PACKINGS[suffix])]))
    name = data.draw(st.sampled_from([f"rows.{kind}{suffix}", f"rows.{kind}"]))
    (folder / name).write_bytes(pack(content))
    source = pickle.loads(pickle.dumps(open_source(name, root=folder, columns=COLUMNS)))  # noqa: S301
    placed = read(source, data.draw(st.integers(1, 200)), data.draw(st.integers(1, 9)))
    assert [json.loads(text) for _, _, text in placed] == rows
    assert [(line, column) for line, column, _ in placed] == places
    assert placed == read(source)


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8"), max_size=20).map(str.encode), max_size=20),
    last=st.sampled_from([b"", b"\n"]),
    size=st.integers(1, 60),
    records=st.integers(1, 5),
)
@settings(deadline=None)
def test_every_line_of_json_lines_is_in_exactly_one_block_whatever_it_holds(
    folder: Path, lines: list[bytes], last: bytes, size: int, records: int
) -> None:
    content = b"\n".join(line.replace(b"[", b"") for line in lines) + last
    file = folder / "lines.jsonl"
    file.write_bytes(content)
    expected = [Placed(n, 1, line) for n, line in enumerate(io.BytesIO(content), 1)]
    assert read(open_source(file), size, records) == expected
