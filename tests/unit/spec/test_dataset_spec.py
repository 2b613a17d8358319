"""What dataset.yaml may say."""

# ruff: noqa: E501 - a line of the tables is one case

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from tunestack.dataset.rules import DROPPABLE
from tunestack.spec.dataset import Checks, DatasetSpec, Droppable, Rules, Split, load_dataset
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


HEAD = "name: one\ndescription: One.\n"
PREFERENCE = """\
records: [a.jsonl, "gs://bucket/b.jsonl#17"]
columns: {text: string, good: string, bad: string, better: integer, turns: messages}
template: template.j2
candidate_0: "{{ good }}"
candidate_1: "{{ bad }}"
choice: "{{ better }}"
"""


@pytest.mark.parametrize(
    "body",
    [
        "format: code\nrecords: r.jsonl\ncolumns: {text: string}\ntemplate: t.j2\noutput_text: x\n",
        "format: chat\nrecords: r.jsonl\ncolumns: {turns: messages}\nmessages: turns\n",
        "format: chat\nrecords: r.jsonl\ncolumns: {text: string}\ntemplate: t.j2\noutput_text: x\ncontext: c\n",
        "format: gemini\nrecords: r.csv\ncolumns: {turns: messages, a: string}\nmessages: turns\noutput_text: x\n",
        "format: rlhf-prompt\nrecords: r.jsonl\ncolumns: {text: string}\ntemplate: t.j2\nreferences: r\n",
        f"format: rlhf-preference\n{PREFERENCE}",
        f"format: gemini-preference\n{PREFERENCE}context: c\n",
        "format: gemini\nexisting: {train: 'gs://b/t#1', validation: 'gs://b/v#2'}\nlabels: [a, b]\n"
        "held_out: {plain: p.jsonl}\nchecks: {model: gemini-2.5-flash}\n",
        "format: embedding\nembedding: {queries: q, corpus: 'gs://b/c#3', train_labels: t.tsv, test_labels: u.tsv}\n",
    ],
)
def test_every_format_can_be_declared(tmp_path: Path, body: str) -> None:
    assert load(tmp_path, HEAD + body).name == "one"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    spec = load(tmp_path, CLASSIFICATION)
    assert spec.records == ("records.jsonl",)
    assert spec.checks == Checks(
        model=None,
        tokenizer=None,
        near_duplicates=None,
        near_leakage=0.8,
        minimum_label_share=0.05,
        personal_data=True,
        secrets=True,
        allow=None,
    )
    assert spec.rules == Rules(drop=(), truncate={}, repair=())
    assert list(spec.columns) == ["text", "label"]  # in the order of the file


def test_checks_and_rules_are_read(tmp_path: Path) -> None:
    rules = "rules: {drop: duplicate-row, truncate: {text: 9}, repair: [strip, blank-line]}\n"
    checks = "checks: {near_duplicates: 0.9, near_leakage: null, minimum_label_share: 0, secrets: false}\n"
    spec = load(tmp_path, CLASSIFICATION + rules + checks)
    assert spec.rules == Rules(drop=("duplicate-row",), truncate={"text": 9}, repair=("strip", "blank-line"))
    assert (spec.checks.near_duplicates, spec.checks.near_leakage, spec.checks.secrets) == (0.9, None, False)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "format: supervised\n",
            ["1:1 records is missing", "1:1 columns is missing", "1:1 template is missing", "1:1 output_text is missing"],
        ),
        (
            "format: supervised\nrecords: r\ncolumns: {turns: messages}\nmessages: turns\ncontext: c\n"
            "template: t\noutput_text: x\nchoice: x\n",
            [
                "6:11 `messages` is nothing to the format supervised",
                "6:11 `template` and `messages` both say",
                "7:10 `context` is nothing",
                "10:9 `choice` is nothing",
            ],
        ),
        (
            "format: rlhf-preference\nrecords: r\ncolumns: {text: string}\nmessages: text\noutput_text: x\nlabels: [a, b]\n",
            [
                "1:1 candidate_0 is missing",
                "1:1 candidate_1 is missing",
                "1:1 choice is missing",
                "6:11 `messages` names `text`, which is no column of turns",
                "7:14 `output_text` is nothing to the format rlhf-preference",
                "8:9 `labels` is nothing",
            ],
        ),
        ("format: chat\nrecords: r\ncolumns: {text: string}\n", ["1:1 neither `template` nor `messages`", "1:1 output_text is"]),
        (
            "format: gemini\nexisting: {train: 'gs://b/t#1'}\nrecords: r\nsplit: {validation: 3}\nrules: {drop: leakage}\n",
            [
                "5:10 `records` cannot stand beside `existing`",
                "6:8 `split` cannot stand beside `existing`",
                "7:8 `rules` cannot stand beside `existing`",
            ],
        ),
        ("format: embedding\nrecords: r\n", ["1:1 embedding is missing", "4:10 `records` is nothing to the format embedding"]),
        (
            "format: rlhf-prompt\nrecords: [r, r]\ncolumns: {n: integer}\ntemplate: t\nreferences: n\n"
            "rules: {truncate: {n: 3}}\n",
            [
                "4:10 a file of records stands twice",
                "5:10 no column is text",
                "7:13 `references` names `n`, which is a column of another type",
                "8:23 `rules.truncate` names `n`",
            ],
        ),
        ("format: rlhf-prompt\nrecords: gs://b/o\ncolumns: {t: string}\ntemplate: t\n", ["4:10 \"gs://b/o\" does not say"]),
        (
            "format: rlhf-prompt\nrecords: r\ncolumns: {t: string}\ntemplate: t\nrules: {drop: [duplicate-rows]}\n"
            "checks: {near_leakage: 2, minimum_label_share: 0.6}\n",
            ["7:16 `rules.drop[0]` has a value", "8:24 `checks.near_leakage`", "8:48 `checks.minimum_label_share`"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_all_told_at_its_place(
    tmp_path: Path, body: str, said: list[str]
) -> None:
    with pytest.raises(TunestackError) as refused:
        load(tmp_path, HEAD + body)
    found = [
        f"{problem.where.partition('dataset.yaml:')[2]} {problem.message}".replace("the key `", "").replace(
            "` is m", " is m"
        )
        for problem in refused.value.problems
    ]
    assert len(found) == len(said), found
    for one, expected in zip(found, said, strict=True):
        assert one.startswith(expected)
    assert all(problem.fix or problem.need for problem in refused.value.problems)


def test_another_format_may_be_asked_for_where_the_records_allow_it(tmp_path: Path) -> None:
    load(tmp_path, HEAD + f"format: rlhf-preference\n{PREFERENCE}")
    assert load_dataset(tmp_path, "gemini-preference").format == "gemini-preference"
    with pytest.raises(TunestackError, match="output_text") as refused:
        load_dataset(tmp_path, "supervised")
    assert {problem.code for problem in refused.value.problems} == {"missing-key", "value-invalid"}
    with pytest.raises(TunestackError, match="write `gemini`") as unknown:
        load_dataset(tmp_path, "gemnii")
    assert unknown.value.exit_status == 2


def test_what_may_be_dropped_is_what_belongs_to_a_row() -> None:
    assert set(get_args(Droppable)) == DROPPABLE
