"""What dataset.yaml may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunestack.spec.dataset import DatasetSpec, Split, load_dataset
from tunestack.spec.errors import TunestackError

CLASSIFICATION = """\
name: sarcasm-classification
description: One line for people.
format: supervised
records: records.jsonl
held_out:
  plain: held-out/plain.jsonl
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [sarcasm, no_sarcasm]
split: {validation: 48, stratify: label}
"""


def load(folder: Path, source: str) -> DatasetSpec:
    (folder / "dataset.yaml").write_text(source)
    return load_dataset(folder)


def test_the_contract_s_example_is_read(tmp_path: Path) -> None:
    spec = load(tmp_path, CLASSIFICATION)
    assert spec.labels == ("sarcasm", "no_sarcasm")
    assert spec.columns == {"text": "string", "label": "string"}
    assert spec.split == Split(validation=48, stratify="label")
    assert spec.references is None


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("records.jsonl", "../other/records.jsonl", 4, "a path inside the dataset folder"),
        ("records.jsonl", "/etc/passwd", 4, "a path inside the dataset folder"),
        ("held-out/plain.jsonl", "held-out/../../x", 6, "a path inside the dataset folder"),
        ("name: sarcasm-classification", "name: Sarcasm", 1, "lower-case letters, digits and hyphens"),
        ("format: supervised", "format: superviced", 3, "write `supervised`"),
        ("text: string", "text: str", 7, "one of string, integer, number, boolean, list[string], messages"),
        ("{text: string, label: string}", "{}", 7, "at least 1 item"),
        ("{text: string, label: string}", "{text: 'list[string]'}", 7, "no column is text"),
        ("stratify: label", "stratify: lable", 11, "which is no text column"),
        ("validation: 48", "validation: -1", 11, "greater than or equal to 0"),
        ("[sarcasm, no_sarcasm]", "[sarcasm]", 10, "at least two labels"),
        ("[sarcasm, no_sarcasm]", "[sarcasm, sarcasm]", 10, "a label stands twice"),
        ("[sarcasm, no_sarcasm]", "[' sarcasm', no]", 10, "without spaces around it"),
        ("labels:", "references: replies\nlabels:", 10, "`references` for generation"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in CLASSIFICATION
    with pytest.raises(TunestackError) as refused:
        load(tmp_path, CLASSIFICATION.replace(old, new))
    assert f"dataset.yaml:{line}:" in str(refused.value)
    assert said in str(refused.value)
