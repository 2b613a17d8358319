"""Rows shown beside their findings are those of the file, wherever it was cut into blocks."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tunestack.dataset.row_texts import RowText, read_row_texts


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_found_by_their_lines(name: str, tmp_path: Path) -> None:
    lines = [b'{"text": "%d"}\n' % number for number in range(1, 400)]
    lines[9] = b'{"text": "\xff"}\n'
    content = b"".join(lines)
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    places = [(str(file), line) for line in (1, 10, 399, 400)]
    assert read_row_texts(places) == {
        (str(file), 1): RowText('{"text": "1"}\n'),
        (str(file), 10): RowText('{"text": "\ufffd"}\n'),
        (str(file), 399): RowText('{"text": "399"}\n'),
    }


def test_a_row_of_a_table_is_shown_by_its_fields(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('input_text,output_text\n"a\nb",c\nd,e\n')
    texts = read_row_texts([(str(file), 2), (str(file), 4)])
    assert [(row.column, "d" in row.text) for row in texts.values()] == [(0, False), (0, True)]


def test_what_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    assert read_row_texts([(str(tmp_path / "absent.jsonl"), 1)]) == {}
