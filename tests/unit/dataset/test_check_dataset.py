"""A dataset folder is checked whole: its parts, what is between them, and what its rules leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunestack.dataset.check import check_dataset
from tunestack.dataset.examine import examine_dataset
from tunestack.dataset.report import Report, json_report

SPEC = """\
name: weather
description: Remarks on the weather.
format: supervised
records: [records.jsonl, more.csv]
held_out: {plain: plain.jsonl}
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [wet, dry]
split: {validation: 4, stratify: label}
"""


def write(path: Path, *rows: tuple[str, str]) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    write(folder / "records.jsonl", *((f"Remark {n}, é.", "wet" if n % 2 else "dry") for n in range(20)))
    (folder / "more.csv").write_text(
        "label,text\n" + "".join(f'dry,"Note {n},\nwith a line"\n' for n in range(4))
    )
    write(folder / "plain.jsonl", ("Is it wet?", "wet"))
    (folder / "template.j2").write_text("Classify: {{ text }}")
    (folder / "dataset.yaml").write_text(SPEC)
    return folder


def found(report: Report, folder: Path) -> list[tuple[str, str]]:
    return [(each.where.removeprefix(f"{folder}/"), each.code) for each in report.findings]


def test_a_good_folder_has_figures_of_every_part(weather: Path) -> None:
    report = check_dataset(weather)
    assert report.findings == []
    assert {part: each.rows for part, each in report.statistics.items()} == {
        "records": 24,
        "held-out-plain": 1,
    }
    assert [source.name for source in report.sources] == ["more.csv", "plain.jsonl", "records.jsonl"]
    assert report.ledger is not None
    assert report.ledger.as_json() == {
        "rows_in": 25,
        "rows_out": 25,
        "dropped": {},
        "repaired": {},
        "truncated": {},
    }


def test_findings_point_into_whatever_file_the_row_is_from(weather: Path) -> None:
    with (weather / "more.csv").open("a") as more:
        more.write("dry,Note 9\nwet,Note 9\nsnow,Note 10\nwet\n")
        more.write('dry,"Remark 2, é."\n')
    write(weather / "plain.jsonl", ("Is it wet?", "wet"), ("Note 9", "dry"), ("Remark 3, é.", "wet"))
    report = check_dataset(weather)
    assert found(report, weather) == [
        ("more.csv:11:5", "conflicting-rows"),
        ("more.csv:12:1", "unknown-label"),
        ("more.csv:13:4", "table-syntax"),
        ("more.csv:14:5", "duplicate-row"),
        ("plain.jsonl:2:10", "leakage"),
        ("plain.jsonl:3:10", "leakage"),
    ]
    messages = {each.code: each.message for each in report.findings}
    assert messages["duplicate-row"] == f"the row repeats {weather / 'records.jsonl'}:3"
    assert messages["leakage"] == f"the held-out prompt is also a record: {weather / 'records.jsonl'}:4"
    assert messages["conflicting-rows"].startswith('line 10 answers the same prompt with "dry"')


def test_what_a_rule_drops_is_counted_once_and_left_out(weather: Path, tmp_path: Path) -> None:
    with (weather / "records.jsonl").open("a", encoding="utf-8") as records:
        records.write(
            '{"text": "Remark 2, \\u00e9.", "label": "dry"}\n{"text": "x", "label": "snow"}\nnot json\n\n'
        )
    write(weather / "plain.jsonl", ("Is it wet?", "wet"), ("Remark 3, é.", "wet"), ("Remark 3, é.", "wet"))
    drop = "[duplicate-row, unknown-label, json-syntax, leakage]"
    (weather / "dataset.yaml").write_text(SPEC + f"rules: {{drop: {drop}, repair: [blank-line]}}\n")
    (tmp_path / "spool").mkdir()
    examined = examine_dataset(weather, tmp_path / "spool")
    assert examined.report.findings == []
    assert examined.report.ledger is not None
    assert examined.report.ledger.as_json() == {
        "rows_in": 30,
        "rows_out": 25,
        "dropped": {"duplicate-row": 2, "json-syntax": 1, "leakage": 1, "unknown-label": 1},
        "repaired": {"blank-line": 1},
        "truncated": {},
    }
    records = examined.parts["records"]
    figures = examined.report.statistics["records"]
    lines = list(records.lines())
    assert (figures.rows, figures.bytes, figures.lengths["prompt"].total()) == (24, sum(map(len, lines)), 24)
    assert figures.labels == {"dry": 14, "wet": 10}
    prompts = [json.loads(line)["input_text"] for line in records.lines()]
    assert len(prompts) == len(set(prompts)) == len(records.prompt_hashes()) == records.rows == 24
    assert records.strata() == [json.loads(line)["output_text"] for line in records.lines()]
    assert [json.loads(line) for line in examined.parts["held-out-plain"].lines()] == [
        {"input_text": "Classify: Is it wet?", "output_text": "wet"}
    ]


def test_near_rows_are_told_by_what_the_records_say_and_not_the_template(weather: Path) -> None:
    long = "the old bridge over the river was closed after the storm took two of its arches away in the night"
    with (weather / "records.jsonl").open("a") as records:
        for text in (long, long.replace("night", "morning")):
            records.write(json.dumps({"text": text, "label": "wet"}) + "\n")
    write(weather / "plain.jsonl", (long.replace("old", "stone"), "wet"))
    (weather / "template.j2").write_text(
        "Classify as wet or dry, nothing else, and be quick about it: {{ text }}"
    )
    (weather / "dataset.yaml").write_text(SPEC + "checks: {near_duplicates: 0.8, near_leakage: 0.7}\n")
    report = check_dataset(weather)
    assert found(report, weather) == [
        ("plain.jsonl:1:10", "near-leakage"),
        ("records.jsonl:22:10", "near-duplicate"),
    ]
    assert "line 21" in report.findings[1].message
    assert report.checked >= {"near-leakage", "near-duplicate"}


def test_personal_data_is_masked_and_allowed_by_entries_that_are_needed(weather: Path) -> None:
    with (weather / "records.jsonl").open("a") as records:
        records.write('{"text": "Write to rain.maker@tunestack.dev, please.", "label": "wet"}\n')
    report = check_dataset(weather)
    assert found(report, weather) == [("records.jsonl:21:10", "personal-data")]
    assert "rain.maker" not in json.dumps(json_report(report))
    entry = "  - {{kind: email-address, text: {}, reason: ours}}\n"
    (weather / "allow.yaml").write_text("allow:\n" + entry.format("rain.maker@tunestack.dev"))
    assert check_dataset(weather).findings == []
    (weather / "allow.yaml").write_text(
        "allow:\n" + entry.format("rain.maker@tunestack.dev") + entry.format("snow@tunestack.dev")
    )
    assert found(check_dataset(weather), weather) == [("allow.yaml:3:5", "allow-list")]


def test_a_label_that_is_too_rare_is_told_of(weather: Path) -> None:
    write(weather / "records.jsonl", *((f"Remark {n}.", "dry") for n in range(40)), ("Remark 41.", "wet"))
    report = check_dataset(weather)
    assert [(each.code, each.line) for each in report.findings] == [("class-balance", 0)]
    assert "`wet` has 1 of 45 rows" in report.findings[0].message


def test_the_report_and_the_lines_are_the_same_for_any_processes_and_blocks(
    weather: Path, tmp_path: Path
) -> None:
    with (weather / "records.jsonl").open("a", encoding="utf-8") as records:
        records.write(
            "\n".join(f'{{"text": "Remark {n}, é.", "label": "snow"}}\n[]' for n in range(30)) + "\n"
        )

    def run(name: str, processes: int, block_bytes: int | None) -> tuple[str, list[bytes]]:
        (tmp_path / name).mkdir()
        examined = examine_dataset(weather, tmp_path / name, processes=processes, block_bytes=block_bytes)
        return json.dumps(json_report(examined.report)), list(examined.parts["records"].lines())

    whole = run("whole", 1, None)
    assert whole == run("cut", 1, 97)
    assert whole == run("both", 2, 301)


def test_a_faulty_template_does_not_hide_what_is_wrong_with_the_records(weather: Path) -> None:
    (weather / "template.j2").write_text("Classify: {{ txt }}")
    with (weather / "records.jsonl").open("a") as records:
        records.write('{"text": "", "label": "wet"}\n')
    assert found(check_dataset(weather), weather) == [
        ("records.jsonl:21:10", "empty-text"),
        ("template.j2:1", "template-error"),
    ]


@pytest.fixture
def search(tmp_path: Path) -> Path:
    folder = tmp_path / "search"
    folder.mkdir()
    for name in ("queries", "corpus"):
        rows = [{"_id": f"{name[0]}{n}", "text": f"{name} {n}"} for n in range(12)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = "".join(f"q{n}\tc{n}\t1\n" for n in range(12))
    (folder / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + labels)
    (folder / "dataset.yaml").write_text(
        "name: search\ndescription: Which text answers.\nformat: embedding\nembedding:\n"
        "  {queries: queries.jsonl, corpus: corpus.jsonl, train_labels: train.tsv}\n"
    )
    return folder


def test_ids_of_an_embedding_set_stand_once_and_somewhere(search: Path) -> None:
    assert found(check_dataset(search), search) == []
    with (search / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "c3", "text": "another"}\n')
    with (search / "train.tsv").open("a") as labels:
        labels.write("q1\tc99\t1\nq77\tc1\t2\n")
    assert found(check_dataset(search), search) == [
        ("corpus.jsonl:13:9", "duplicate-id"),
        ("train.tsv:14:4", "unknown-id"),
        ("train.tsv:15:1", "unknown-id"),
    ]


def test_texts_that_are_instructions_need_no_other_where_the_dataset_says_so(weather: Path) -> None:
    (weather / "template.j2").write_text("{{ text }}")
    assert {finding.code for finding in check_dataset(weather).findings} == {"instruction-missing"}
    (weather / "dataset.yaml").write_text(SPEC + "checks: {instruction: false}\n")
    assert check_dataset(weather).findings == []
