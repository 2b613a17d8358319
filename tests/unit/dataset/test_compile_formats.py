"""One declared dataset compiles to every format that it holds what is needed for, with the same rows and split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunestack.dataset import CompiledDataset, DatasetRefused, compile_dataset
from tunestack.dataset.difference import compare
from tunestack.dataset.split import prompt_hash, validation_hashes
from tunestack.spec.errors import TunestackError

SUPERVISED = """\
name: weather
description: Remarks on the weather.
format: supervised
records: [records.jsonl, more.jsonl]
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [wet, dry]
split: {validation: 4, stratify: label}
"""
PREFERENCE = """\
name: pairs
description: Which reply is better.
format: rlhf-preference
records: records.jsonl
held_out: {plain: plain.jsonl}
columns: {text: string, good: string, bad: string, choice: integer}
template: template.j2
candidate_0: "{{ good }}"
candidate_1: "{{ bad }}"
choice: "{{ choice }}"
split: {validation: 3}
"""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def supervised(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    rows = [{"text": f"Remark {n}: é\u2028☂", "label": ["wet", "dry"][n % 2]} for n in range(20)]
    write_rows(folder / "records.jsonl", rows[:13])
    write_rows(folder / "more.jsonl", rows[13:])
    (folder / "template.j2").write_text("Classify: {{ text }}")
    (folder / "dataset.yaml").write_text(SUPERVISED)
    return folder


@pytest.fixture
def preference(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = [
        {"text": f"Remark {n}.", "good": f"Good {n}.", "bad": f"Bad {n}.", "choice": n % 2} for n in range(12)
    ]
    write_rows(folder / "records.jsonl", rows)
    write_rows(folder / "plain.jsonl", [{"text": "Is it?"}])
    (folder / "template.j2").write_text("Answer: {{ text }}")
    (folder / "dataset.yaml").write_text(PREFERENCE)
    return folder


def lines(compiled: CompiledDataset, part: str) -> list[dict[str, Any]]:
    path = compiled.files[part].path
    assert path is not None
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("form", ["code", "chat", "gemini"])
def test_a_supervised_source_compiles_to_every_format_with_one_answer(
    supervised: Path, tmp_path: Path, form: str
) -> None:
    declared = compile_dataset(supervised, tmp_path / "out")
    other = compile_dataset(supervised, tmp_path / "out", form)
    assert (declared.format, other.format) == ("supervised", form)
    assert (declared.train.rows, other.train.rows) == (16, 16)
    assert other.train.path is not None
    assert declared.train.path is not None
    # The same prompts and answers, in the same parts.
    assert compare(declared.train.path.parent, other.train.path.parent).same
    assert (declared.digest == other.digest) == (form == "code")


def test_the_lines_are_those_of_the_format(supervised: Path, tmp_path: Path) -> None:
    prompt, answer = "Classify: Remark 0: é\u2028☂", "wet"
    expected: dict[str, dict[str, Any]] = {
        "supervised": {"input_text": prompt, "output_text": answer},
        "chat": {
            "messages": [{"author": "user", "content": prompt}, {"author": "assistant", "content": answer}]
        },
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": prompt}]},
                {"role": "model", "parts": [{"text": answer}]},
            ]
        },
    }
    for form, line in expected.items():
        compiled = compile_dataset(supervised, tmp_path / "out", form)
        assert line in lines(compiled, "train") + lines(compiled, "validation")


def test_a_preference_source_compiles_to_both_preference_formats(preference: Path, tmp_path: Path) -> None:
    palm = compile_dataset(preference, tmp_path / "out")
    gemini = compile_dataset(preference, tmp_path / "out", "gemini-preference")
    assert palm.validation is not None
    assert gemini.validation is not None
    assert (palm.validation.rows, gemini.validation.rows) == (3, 3)
    for one, other in zip(lines(palm, "train"), lines(gemini, "train"), strict=True):
        assert other["contents"] == [{"role": "user", "parts": [{"text": one["input_text"]}]}]
        preferred = next(each for each in other["completions"] if each["score"] == 1.0)
        wanted = one[f"candidate_{one['choice']}"]
        assert preferred["completion"]["parts"] == [{"text": wanted}]
    assert lines(palm, "held-out-plain") == [{"input_text": "Answer: Is it?"}]


def test_a_format_that_the_dataset_has_nothing_for_is_refused(supervised: Path, tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match="candidate_0"):
        compile_dataset(supervised, tmp_path / "out", "rlhf-preference")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_bytes_do_not_depend_on_processes(supervised: Path, tmp_path: Path, processes: int) -> None:
    one = compile_dataset(supervised, tmp_path / "out")
    assert compile_dataset(supervised, tmp_path / "out", processes=processes) == one


def test_what_rules_change_is_in_the_ledger_and_nothing_else_changes(
    supervised: Path, tmp_path: Path
) -> None:
    with (supervised / "more.jsonl").open("a", encoding="utf-8") as more:
        more.write('{"text": "  Remark 5: é\u2028☂ ", "label": "dry"}\n{"text": "x", "label": "snow"}\n\n')
    declared = (supervised / "dataset.yaml").read_text()
    (supervised / "dataset.yaml").write_text(
        declared
        + "rules: {drop: [duplicate-row, unknown-label], repair: [strip, blank-line], truncate: {text: 9}}\n"
    )
    compiled = compile_dataset(supervised, tmp_path / "out")
    assert compiled.report.ledger is not None
    ledger = compiled.report.ledger.as_json()
    assert (ledger["rows_in"], ledger["rows_out"]) == (22, 20)
    assert ledger["dropped"] == {"duplicate-row": 1, "unknown-label": 1}
    assert ledger["repaired"] == {"blank-line": 1, "strip": 1}
    assert ledger["truncated"]["text"] >= 20
    rows = lines(compiled, "train") + lines(compiled, "validation")
    assert sorted({len(row["input_text"].removeprefix("Classify: ")) for row in rows}) == [9]
    assert compiled.report.statistics["train"].rows + compiled.report.statistics["validation"].rows == 20


def test_more_rows_to_validate_on_than_the_service_takes_are_refused_and_not_cut(
    supervised: Path, tmp_path: Path
) -> None:
    write_rows(supervised / "more.jsonl", [{"text": f"Note {n}", "label": "dry"} for n in range(2_000)])
    declared = (supervised / "dataset.yaml").read_text()
    (supervised / "dataset.yaml").write_text(
        declared.replace("validation: 4", "validation: 1500").replace("supervised", "gemini")
        + "checks: {minimum_label_share: 0}\n"
    )
    with pytest.raises(DatasetRefused) as refused:
        compile_dataset(supervised, tmp_path / "out")
    (found,) = refused.value.findings
    assert (found.code, found.where) == ("split-too-large", f"{supervised / 'dataset.yaml'}:9:21")
    assert "1,500 rows to validate on" in found.message


def test_an_embedding_dataset_is_checked_and_copied_under_its_digest(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    write_rows(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"Question {n}?"} for n in range(20)])
    write_rows(
        folder / "corpus.jsonl", [{"_id": f"c{n}", "text": f"Answer {n}.", "title": "é"} for n in range(20)]
    )
    for name, rows in (("train", range(15)), ("test", range(15, 20))):
        labels = "".join(f"q{n}\tc{n}\t{n % 3}\r\n" for n in rows)
        (folder / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\r\n" + labels, newline="")
    (folder / "dataset.yaml").write_text(
        """\
name: answers
description: Which answer fits which question.
format: embedding
embedding: {queries: queries.jsonl, corpus: corpus.jsonl, train_labels: train.tsv, test_labels: test.tsv}
"""
    )
    compiled = compile_dataset(folder, tmp_path / "out")
    assert {part: file.rows for part, file in compiled.files.items()} == {
        "train": 15,
        "validation": 5,
        "queries": 20,
        "corpus": 20,
    }
    assert compiled.train.path is not None
    assert sorted(path.name for path in compiled.train.path.parent.iterdir()) == [
        "corpus.jsonl",
        "queries.jsonl",
        "train.tsv",
        "validation.tsv",
    ]
    assert compiled.train.path.read_text().splitlines()[:3] == [
        "query-id\tcorpus-id\tscore",
        "q0\tc0\t0",
        "q1\tc1\t1",
    ]
    queries = compiled.beside["queries"].path
    assert queries is not None
    assert [json.loads(line) for line in queries.read_text().splitlines()][:1] == [
        {"_id": "q0", "text": "Question 0?"}
    ]
    assert compare(compiled.train.path.parent, folder).same


def test_rows_keep_the_order_of_the_records_on_either_side(supervised: Path, tmp_path: Path) -> None:
    compiled = compile_dataset(supervised, tmp_path / "out")
    numbers = {
        part: [int(row["input_text"].split()[2].rstrip(":")) for row in lines(compiled, part)]
        for part in ("train", "validation")
    }
    assert all(numbers[part] == sorted(numbers[part]) for part in numbers)
    assert sorted(numbers["train"] + numbers["validation"]) == list(range(20))
    # The very rows that the split chooses by its rule.
    hashes = [prompt_hash(f"Classify: Remark {n}: é\u2028☂") for n in range(20)]
    chosen = validation_hashes(hashes, 4, [["wet", "dry"][n % 2] for n in range(20)])
    assert numbers["validation"] == [n for n in range(20) if hashes[n] in chosen]
