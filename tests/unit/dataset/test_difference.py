"""A difference names every row that was added, removed, changed or moved, and no other."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.dataset import compile_dataset
from tunestack.dataset import difference as differences
from tunestack.dataset.difference import KINDS, DatasetDifference, compare
from tunestack.dataset.difference_report import json_difference, terminal_difference
from tunestack.dataset.lock import LOCK_FILE, lock_of, write_lock
from tunestack.spec.errors import TunestackError

Rows = list[tuple[str, str]]


def write(path: Path, rows: Rows, *, escaped: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            json.dumps({"input_text": prompt, "output_text": answer}, ensure_ascii=escaped) + "\n"
            for prompt, answer in rows
        )
    )
    return path


def folder(path: Path, parts: dict[str, Rows]) -> Path:
    for old in path.glob("*.jsonl"):
        old.unlink()
    for part, rows in parts.items():
        write(path / f"{part}.jsonl", rows)
    return path


def counts(difference: DatasetDifference) -> dict[str, int]:
    return {kind: count for kind, count in difference.counts.items() if count}


rows = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), min_size=1, max_size=12)
datasets = st.fixed_dictionaries({"train": rows, "validation": rows})
any_size = pytest.mark.parametrize("plain_rows", [0, 20_000], ids=["many rows", "few rows"])
several = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@any_size
@several
@given(old=datasets, new=datasets)
def test_old_and_its_difference_make_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_rows: int, old: Any, new: Any
) -> None:
    monkeypatch.setattr(differences, "_PLAIN_ROWS", plain_rows)
    found = compare(folder(tmp_path / "old", old), folder(tmp_path / "new", new), shown=1_000)
    assert {part: (len(old[part]), len(new[part])) for part in old} == found.rows
    assert {kind: len(found.examples.get(kind, [])) for kind in KINDS} == {
        kind: found.counts[kind] for kind in KINDS
    }

    had = Counter((part, *row) for part, rows in old.items() for row in rows)
    has = Counter((part, *row) for part, rows in new.items() for row in rows)
    for kind in ("removed", "added", "changed", "moved"):
        for row in found.examples.get(kind, []):
            if kind == "moved" and row.old_answer != row.new_answer:
                continue  # it is told as changed too, and taken along there
            if row.old is not None:
                had[row.old.part, row.prompt, row.old_answer] -= 1
                assert old[row.old.part][row.old.line - 1] == (row.prompt, row.old_answer)
            if row.new is not None:
                has[row.new.part, row.prompt, row.new_answer] -= 1
                assert new[row.new.part][row.new.line - 1] == (row.prompt, row.new_answer)
    assert had == has, "what is left on both sides is the same"
    assert min(had.values(), default=0) >= 0


@any_size
@several
@given(old=datasets, new=datasets)
def test_the_other_way_round_what_was_added_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_rows: int, old: Any, new: Any
) -> None:
    monkeypatch.setattr(differences, "_PLAIN_ROWS", plain_rows)
    one, two = folder(tmp_path / "old", old), folder(tmp_path / "new", new)
    there, back = compare(one, two), compare(two, one)
    assert (there.counts["added"], there.counts["removed"]) == (back.counts["removed"], back.counts["added"])
    assert there.counts["changed"] == back.counts["changed"]
    assert compare(one, one).same


@any_size
@several
@given(old=datasets, seed=st.randoms(use_true_random=False))
def test_the_order_of_rows_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_rows: int, old: Any, seed: Any
) -> None:
    monkeypatch.setattr(differences, "_PLAIN_ROWS", plain_rows)
    new = {part: seed.sample(rows, len(rows)) for part, rows in old.items()}
    assert compare(folder(tmp_path / "old", old), folder(tmp_path / "new", new)).same


def test_each_kind_is_told_with_its_labels_and_examples(tmp_path: Path) -> None:
    old = {
        "train": [(f"Classify:\nText: remark {n}\n", "wet" if n % 2 else "dry") for n in range(8)],
        "validation": [("Classify:\nText: remark 8\n", "dry")],
    }
    new = {"train": [row for row in old["train"] if "3" not in row[0]], "validation": old["validation"][:]}
    new["train"][0] = (old["train"][0][0], "wet")
    new["validation"].append(new["train"].pop(1))
    new["train"].append(("Classify:\nText: remark 9\n", "wet"))
    found = compare(folder(tmp_path / "old", old), folder(tmp_path / "new", new))
    assert counts(found) == {"added": 1, "removed": 1, "changed": 1, "moved": 1}
    assert terminal_difference(found).replace(f"{tmp_path}/", "") == (
        """\
--- old
+++ new
  train: 8 rows → 7
  validation: 1 row → 2

added 1: wet 1
  + train:7  "Text: remark 9" → "wet"

removed 1: wet 1
  - train:4  "Text: remark 3" → "wet"

changed 1: dry → wet 1
  train:1  "Text: remark 0"
    - "dry"
    + "wet"

moved 1: train → validation 1
  train:2 → validation:2  "Text: remark 1\""""
    )
    told = json.loads(json.dumps(json_difference(found)))
    assert told["counts"] == {"added": 1, "removed": 1, "changed": 1, "moved": 1}
    assert told["labels"]["changed"] == [{"old": "dry", "new": "wet", "rows": 1}]
    assert told["moves"] == [{"from": "train", "to": "validation", "rows": 1}]
    assert told["examples"]["added"] == [
        {
            "prompt": "Classify:\nText: remark 9\n",
            "new": {"part": "train", "line": 7},
            "new_answer": "wet",
        }
    ]


def test_two_files_are_compared_whatever_they_are_called(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", [("é", "b")])
    new = write(tmp_path / "new.jsonl", [("é", "b"), ("c", "d")], escaped=True)
    found = compare(old, new)
    assert (counts(found), found.rows) == ({"added": 1}, {"rows": (1, 2)})


def test_a_dataset_in_another_format_has_the_same_rows(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", [("a", "b")])
    new = tmp_path / "new.jsonl"
    new.write_text(
        '{"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]}'
    )
    assert compare(old, new).same


def test_few_examples_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", [("a", "x")])
    new = write(tmp_path / "new.jsonl", [(f"prompt {n}", "x") for n in range(30)])
    found = compare(old, new, shown=2)
    assert (counts(found), len(found.examples["added"])) == ({"added": 30, "removed": 1}, 2)
    assert "  … and 28 more" in terminal_difference(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "file-unreadable: new.jsonl cannot be read: no such file"),
        ('{"input_text": "a", "output_text": "b"}\n{"text": "raw"}\n', "new.jsonl:2"),
        ("not json\n", "the line is of none of the formats"),
    ],
)
def test_what_cannot_be_compared_is_told_with_its_place(
    tmp_path: Path, content: str | None, said: str
) -> None:
    old, new = write(tmp_path / "old.jsonl", [("a", "b")]), tmp_path / "new.jsonl"
    if content is not None:
        new.write_text(content)
    with pytest.raises(TunestackError) as refused:
        compare(old, new)
    assert said in str(refused.value)
    assert refused.value.exit_status == 2


def test_a_folder_without_rows_is_told_what_may_stand_there(tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match=r"neither a dataset\.yaml nor compiled files"):
        compare(tmp_path, tmp_path)


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "records.jsonl").write_text(
        "".join(f'{{"text": "Remark {n}.", "label": "{"wet" if n % 2 else "dry"}"}}\n' for n in range(12))
    )
    (folder / "template.j2").write_text("Classify: {{ text }}")
    (folder / "dataset.yaml").write_text(
        """\
name: weather
description: Remarks on the weather.
format: supervised
records: records.jsonl
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
split: {validation: 4}
"""
    )
    return folder


def test_dataset_folders_are_compared_as_they_compile(weather: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(weather, changed)
    records = (weather / "records.jsonl").read_text().splitlines(keepends=True)
    (changed / "records.jsonl").write_text("".join([records[0].replace('"dry"', '"fog"'), *records[2:]]))
    found = compare(weather, changed)
    # One row was deleted; where it was validated on, another one took its place.
    assert found.counts["removed"] == 1
    assert found.counts["changed"] == 1
    assert found.counts["added"] == 0
    assert found.examples["removed"][0].prompt == "Classify: Remark 1."
    assert compare(weather, compile_dataset(weather, tmp_path / "out").train.path.parent).same  # type: ignore[union-attr]


def test_a_folder_against_its_lock_tells_what_moved(weather: Path, tmp_path: Path) -> None:
    lock = write_lock(weather, lock_of(weather, compile_dataset(weather, tmp_path / "out")))
    assert compare(lock, weather).same
    assert terminal_difference(compare(lock, weather)).endswith("The lock is of this dataset.")
    records = (weather / "records.jsonl").read_text()
    (weather / "records.jsonl").write_text(records + '{"text": "Another.", "label": "wet"}\n')
    found = compare(lock, weather)
    assert not found.same
    assert sum(new - old for old, new in found.rows.values()) == 1
    assert "sources.records.jsonl.blake3" in [each.what for each in found.lock]
    assert "sources.records.jsonl.blake3: " in terminal_difference(found)
    assert json_difference(found)["lock"][0].keys() == {"what", "old", "new"}


def test_only_a_dataset_folder_has_a_lock(weather: Path, tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match="does not exist"):
        compare(weather / LOCK_FILE, weather)
    lock = write_lock(weather, lock_of(weather, compile_dataset(weather, tmp_path / "out")))
    with pytest.raises(TunestackError, match="is no dataset folder"):
        compare(lock, write(tmp_path / "rows.jsonl", [("a", "b")]))
