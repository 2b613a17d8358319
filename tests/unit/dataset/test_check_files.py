"""A finished file is checked whole, and the report is the same however it was cut and whoever read it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tunestack.dataset.check import check_files
from tunestack.dataset.report import json_report
from tunestack.spec.errors import TunestackError

# One bad line of each kind, and the code it is found by.
PLANTS: list[tuple[bytes, str]] = [
    (b'{"input_text": "x\xff", "output_text": "a"}\n', "encoding"),
    (b'\xef\xbb\xbf{"input_text": "x", "output_text": "a"}\n', "byte-order-mark"),
    (b" \t\n", "blank-line"),
    (b'{"input_text": "x", "output_text": "a",}\n', "json-syntax"),
    (b'{"input_text": "x", "output_text": "a"} {}\n', "json-syntax"),
    (b'["x", "a"]\n', "not-an-object"),
    (b'{"input_text": "x", "output_text": "a", "input_text": "y"}\n', "duplicate-key"),
    (
        b'{"input_text": "\\u0022\\u0022", "output_text": "\\u0022\\u0022", "input_text": "y"}\n',
        "duplicate-key",
    ),
    (b'{"input_text": "x", "output_text": "a", "extra": 1}\n', "unknown-field"),
    (b'{"input_text": "x"}\n', "missing-field"),
    (b'{"input_text": 3, "output_text": "a"}\n', "wrong-type"),
    (b'{"input_text": "", "output_text": "a"}\n', "empty-text"),
    (b'{"input_text": "x", "output_text": " \\u3000\\n"}\n', "empty-text"),
    (b'{"input_text": "x\\ud800", "output_text": "a"}\n', "lone-surrogate"),
]


def line(number: int, choose: random.Random) -> bytes:
    text = f'row {number} "quoted" \\ é {"日本" * (number % 3)}'
    return (
        json.dumps(
            {"input_text": text, "output_text": "no" if number % 3 else "yes"},
            ensure_ascii=choose.random() < 0.3,
        ).encode()
        + b"\n"
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """3,000 rows, 280 of them bad in 14 ways, 10 repeated under other escapes, 10 contradicted."""
    choose = random.Random(7)
    lines = [line(number, choose) for number in range(3_000)]
    expected: dict[int, str] = {}
    places = choose.sample(range(100, len(lines)), 300)
    for count, place in enumerate(places[:280]):
        lines[place], expected[place + 1] = PLANTS[count % len(PLANTS)]
    for place in places[280:]:
        row = json.loads(lines[place % 100])
        code = "duplicate-row" if place % 2 else "conflicting-rows"
        answer = row["output_text"] if place % 2 else "perhaps"
        # Escaped where the other is not, and the other way round, so that no byte comparison finds it.
        escaped = b"\\u00e9" not in lines[place % 100]
        lines[place] = (
            json.dumps(
                {"output_text": answer, "input_text": row["input_text"]}, ensure_ascii=escaped
            ).encode()
            + b"\r\n"
        )
        expected[place + 1] = code
    file = tmp_path_factory.mktemp("planted") / "rows.jsonl"
    file.write_bytes(b"".join(lines))
    return file, expected


def test_every_planted_error_is_found_at_its_line_and_nothing_else(
    planted: tuple[Path, dict[int, str]],
) -> None:
    file, expected = planted
    report = check_files([file])
    assert {found.line: found.code for found in report.findings} == expected
    assert len(report.findings) == report.total == len(expected) == 300
    assert report.statistics[str(file)].rows == 3_000 - 280


def test_the_report_is_the_same_for_any_processes_and_blocks(planted: tuple[Path, dict[int, str]]) -> None:
    file, _ = planted
    whole = json.dumps(json_report(check_files([file], processes=1)))
    for processes, block_bytes in ((1, 65_537), (1, 701), (2, 65_537), (3, 20_011)):
        cut = json.dumps(json_report(check_files([file], processes=processes, block_bytes=block_bytes)))
        assert cut == whole


def test_a_quick_check_finds_what_is_wrong_with_each_line_by_itself(
    planted: tuple[Path, dict[int, str]],
) -> None:
    file, expected = planted
    report = check_files([file], quick=True)
    alone = {
        line: code
        for line, code in expected.items()
        if not code.endswith(("duplicate-row", "conflicting-rows"))
    }
    assert {found.line: found.code for found in report.findings} == alone
    assert report.statistics[str(file)].rows == 3_000 - 280


def test_a_message_names_the_earlier_line_and_both_answers(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [("a", "b"), ("c", "d"), ("a", "b"), ("a", "z"), ("a", "z")]
    file.write_text("".join(json.dumps({"input_text": p, "output_text": a}) + "\n" for p, a in rows))
    assert [(found.where, found.code, found.message) for found in check_files([file]).findings] == [
        (f"{file}:3:16", "duplicate-row", "the row repeats line 1"),
        (f"{file}:4:16", "conflicting-rows", 'line 1 answers the same prompt with "b", this one with "z"'),
        (f"{file}:5:16", "duplicate-row", "the row repeats line 4"),
    ]


def test_findings_beyond_a_thousand_of_a_code_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n" * 1_500 + b"[]\n" * 30)
    for block_bytes in (None, 100):
        report = check_files([file], block_bytes=block_bytes)
        assert report.counts == {"blank-line": 1_500, "not-an-object": 30}
        assert [found.line for found in report.findings] == [*range(1, 1_001), *range(1_501, 1_531)]


def test_a_file_that_cannot_be_read_ends_the_check(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(TunestackError) as refused:
            check_files([path])
        assert refused.value.exit_status == 2


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert [found.code for found in check_files([tmp_path / "rows.jsonl"]).findings] == ["no-rows"]


def test_the_cells_of_a_bare_table_are_what_the_format_has_there(tmp_path: Path) -> None:
    file = tmp_path / "preferences.csv"
    file.write_text("input_text,candidate_0,candidate_1,choice\nhello,a,b,1\n12,1,2,0\nwhat,c,d,2\n")
    [found] = check_files([file], format="rlhf-preference").findings
    assert (found.code, found.line, found.column) == ("choice-out-of-range", 4, 10)
    turns = (
        '[{""role"":""user"",""parts"":[{""text"":""a""}]},{""role"":""model"",""parts"":[{""text"":""b""}]}]'
    )
    file.write_text(f'contents\n"{turns}"\n')
    assert check_files([file], format="gemini").good
