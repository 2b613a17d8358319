"""What `tunestack dataset split` shows is the split that a compilation makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunestack.dataset import DatasetRefused, compile_dataset
from tunestack.dataset.split_report import SplitOfDataset, json_split, split_of, terminal_split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "records.jsonl").write_text(
        "".join(f'{{"text": "Remark {n}.", "label": "{"dry" if n % 4 else "wet"}"}}\n' for n in range(40))
    )
    (folder / "template.j2").write_text("Classify.\n\nText: {{ text }}\n")
    (folder / "dataset.yaml").write_text(
        """\
name: weather
description: Remarks on the weather.
format: supervised
records: records.jsonl
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [wet, dry]
split: {validation: 8, stratify: label}
"""
    )
    return folder


def test_the_split_that_is_shown_is_the_one_that_is_compiled(folder: Path, tmp_path: Path) -> None:
    split = split_of(folder)
    compiled = compile_dataset(folder, tmp_path / "out")
    assert compiled.validation is not None
    assert compiled.validation.path is not None
    validated = [json.loads(line) for line in compiled.validation.path.read_text().splitlines()]
    assert split.prompts == [row["input_text"] for row in validated]
    assert split.rows == (compiled.train.rows, compiled.validation.rows)
    assert split.strata == {"dry": (24, 6), "wet": (8, 2)}


def test_for_people_the_numbers_come_by_stratum_and_prompts_without_their_template(folder: Path) -> None:
    shown = terminal_split(split_of(folder)).splitlines()
    assert shown[:4] == [
        "weather · 32 rows to train on, 8 to validate on",
        "  dry         24 to train        6 to validate  20.0%",
        "  wet          8 to train        2 to validate  20.0%",
        "  validated on:",
    ]
    assert all(line.startswith('    "Text: Remark ') for line in shown[4:])
    assert len(shown) == 12


def test_for_machines_every_prompt_is_there(folder: Path) -> None:
    told = json.loads(json.dumps(json_split(split_of(folder))))
    assert (told["train"], told["validation"], told["asked"]) == (32, 8, 8)
    assert told["strata"]["wet"] == {"train": 8, "validation": 2}
    assert len(told["prompts"]) == 8


def test_fewer_than_were_asked_for_is_told_with_its_reason() -> None:
    split = SplitOfDataset("pairs", 8, None, {"": (33, 7)}, ["a"])
    assert "8 were asked for: rows with the same prompt stay together" in terminal_split(split)


def test_a_dataset_that_is_refused_has_no_split(folder: Path) -> None:
    with (folder / "records.jsonl").open("a") as records:
        records.write("{}\n")
    with pytest.raises(DatasetRefused):
        split_of(folder)
