"""Whatever is in a file, a check ends in a report or in an error for people, and says the same however it is cut.

Runs for seconds; for longer with `make fuzz`, or TUNESTACK_FUZZ set to a number of files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.dataset.check import check_files
from tunestack.dataset.findings import CODES
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.report import Report, json_report, terminal_report
from tunestack.spec.errors import TunestackError

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.dataset_mutations import mutated

FILES = int(os.environ.get("TUNESTACK_FUZZ", "400"))


def turns(*texts: str, roles: tuple[str, str] = ("user", "model")) -> list[dict[str, Any]]:
    return [{"role": roles[number % 2], "parts": [{"text": text}]} for number, text in enumerate(texts)]


def messages(*texts: str) -> list[dict[str, Any]]:
    return [
        {"author": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)
    ]


# One right row of each shape that a line of the format can have, from a question and an answer.
SHAPES: dict[str, list[Callable[[str, str], dict[str, Any]]]] = {
    "supervised": [lambda q, a: {"input_text": q, "output_text": a}],
    "code": [lambda q, a: {"output_text": a, "input_text": q}],
    "chat": [lambda q, a: {"context": a, "messages": messages(q, a, q, a)}],
    "gemini": [lambda q, a: {"systemInstruction": {"parts": [{"text": q}]}, "contents": turns(q, a)}],
    "rlhf-prompt": [lambda q, a: {"input_text": q}, lambda q, a: {"messages": messages(q, a, q)}],
    "rlhf-preference": [
        lambda q, a: {"input_text": q, "candidate_0": a, "candidate_1": q, "choice": 1},
        lambda q, a: {"messages": messages(q), "candidate_0": a, "candidate_1": q, "choice": 0},
    ],
    "gemini-preference": [
        lambda q, a: {
            "contents": turns(q),
            "completions": [
                {"score": 1.0, "completion": turns(a, roles=("model", "user"))[0]},
                {"score": 0.0, "completion": turns(q, roles=("model", "user"))[0]},
            ],
        }
    ],
    "embedding": [lambda q, a: {"_id": q, "text": a, "title": q}],
    "embedding-labels": [lambda q, a: {"query-id": q, "corpus-id": a, "score": 1}],
    "evaluation": [
        lambda q, a: {"input_text": q, "output_text": a, "references": [a, q]},
        lambda q, a: {"messages": messages(q, a, q), "context": a},
    ],
}


def table(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    written = io.StringIO()
    writer = csv.DictWriter(
        written, list(rows[0]) if rows else ["a"], delimiter=delimiter, extrasaction="ignore"
    )
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    written = io.BytesIO()
    with pyarrow.BufferOutputStream() as stream:
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), stream)
        written.write(stream.getvalue())
    return written.getvalue()


CONTAINERS: dict[str, Callable[[list[dict[str, Any]], list[bytes]], bytes]] = {
    "rows.jsonl": lambda rows, lines: b"\n".join(lines),
    "rows.jsonl.gz": lambda rows, lines: gzip.compress(b"\n".join(lines)),
    "rows.jsonl.zst": lambda rows, lines: zstandard.compress(b"\n".join(lines)),
    "rows.json": lambda rows, lines: b"[" + b",\n".join(lines) + b"]",
    "rows.csv": lambda rows, lines: table(rows, ","),
    "rows.tsv": lambda rows, lines: table(rows, "\t"),
    "rows.csv.gz": lambda rows, lines: gzip.compress(table(rows, ",")),
    "rows.parquet": lambda rows, lines: parquet(rows),
}
words = st.sampled_from(
    ["sun", "Wie spät?", "昨日", "🚀", "a\tb", 'say "no"', " ", "", "\\", "-1", "me@example.org"]
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A format, a file's name, and its bytes: rows that are right, then broken row by row and as a whole."""
    form = draw(st.sampled_from(sorted(FORMATS)))
    name = draw(st.sampled_from(sorted(CONTAINERS)))
    if draw(st.integers(0, 9)) == 0:
        return form, name, draw(st.binary(max_size=200))
    choose = draw(st.randoms(use_true_random=False))
    shapes = SHAPES[form]
    rows = [draw(st.sampled_from(shapes))(draw(words), draw(words)) for _ in range(draw(st.integers(0, 6)))]
    lines = [json.dumps(row, ensure_ascii=choose.random() < 0.5).encode() for row in rows]
    if draw(st.booleans()):
        lines = [mutated(choose, line) for line in lines]
    content = CONTAINERS[name](rows, lines)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        content = mutated(choose, content)
    return form, name, content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def told(report: Report) -> str:
    """The report as a machine reads it, which must be UTF-8; a person's is made on the way."""
    terminal_report(report).encode()
    for found in report.findings:
        assert found.code in CODES
        assert found.line >= 0
        assert found.column >= 0
        assert found.message
    document = json.dumps(json_report(report), ensure_ascii=False)
    document.encode()
    return document


def refused(error: TunestackError) -> str:
    assert error.exit_status == 2
    assert all(problem.code and problem.message for problem in error.problems)
    return str(error)


def test_every_format_has_its_shapes() -> None:
    assert SHAPES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_what_is_put_into_a_container_comes_out_good(folder: Path, name: str) -> None:
    rows = [SHAPES["supervised"][0](f"question {number}", "answer") for number in range(3)]
    file = folder / name
    file.write_bytes(CONTAINERS[name](rows, [json.dumps(row).encode() for row in rows]))
    report = check_files([file])
    assert report.good
    assert sum(each.rows for each in report.statistics.values()) == 3


@given(files(), st.sampled_from([1, 17, 60, 1000]), st.booleans())
@settings(
    max_examples=FILES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_file_ends_in_findings_or_in_an_error_for_people(
    folder: Path, made: tuple[str, str, bytes], block_bytes: int, personal_data: bool
) -> None:
    form, name, content = made
    file = folder / name
    file.write_bytes(content)
    outcomes = []
    for size in (None, block_bytes):
        try:
            report = check_files([file], format=form, block_bytes=size, personal_data=personal_data)
            outcomes.append(told(report))
            assert report.good is (report.total == 0)
        except TunestackError as error:
            outcomes.append(refused(error))
    assert outcomes[0] == outcomes[1]
