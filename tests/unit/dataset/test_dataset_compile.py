"""A dataset folder compiles to the same bytes anywhere, or is refused with everything that is wrong in it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import blake3
import google_crc32c
import pytest

from tunestack.dataset import (
    CompiledDataset,
    DatasetRefused,
    check_dataset,
    check_files,
    compile_dataset,
    json_report,
    render_prompt,
    terminal_report,
)
from tunestack.dataset import compile as compiler
from tunestack.spec.errors import TunestackError

Rows = list[dict[str, object]]


def write_rows(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def classification(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    rows = [{"text": f"Remark {n} about the rain. ☂", "label": ["wet", "dry"][n % 2]} for n in range(20)]
    write_rows(folder / "records.jsonl", rows)
    write_rows(folder / "held-out" / "plain.jsonl", [{"text": "Is it wet?", "label": "wet"}])
    (folder / "template.j2").write_text("Classify: [wet, dry]\n\nText: {{ text }}\n")
    (folder / "dataset.yaml").write_text(
        """\
name: weather
description: Remarks on the weather.
format: supervised
records: records.jsonl
held_out:
  plain: held-out/plain.jsonl
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [wet, dry]
split: {validation: 4, stratify: label}
"""
    )
    return folder


@pytest.fixture
def generation(tmp_path: Path) -> Path:
    folder = tmp_path / "replies"
    write_rows(folder / "records.jsonl", [{"text": f"Text {n}.", "reply": f"Reply {n}!"} for n in range(6)])
    write_rows(folder / "situations.jsonl", [{"text": "A new text.", "references": ["One.", "Two."]}])
    (folder / "template.j2").write_text("Answer: {{ text }}")
    (folder / "dataset.yaml").write_text(
        """\
name: replies
description: Short replies.
format: supervised
records: records.jsonl
held_out: {situations: situations.jsonl}
columns: {text: string, reply: string}
template: template.j2
output_text: "{{ reply }}"
references: references
"""
    )
    return folder


def edit(path: Path, old: str, new: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert old in source
    path.write_text(source.replace(old, new), encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- what comes out -----------------------------------------------------------------------------------------


def test_a_classification_set_becomes_prompts_and_targets(classification: Path, tmp_path: Path) -> None:
    compiled = compile_dataset(classification, tmp_path / "out")
    home = tmp_path / "out" / "weather" / compiled.digest
    assert sorted(tree(home)) == ["held-out-plain.jsonl", "prompt.json", "train.jsonl", "validation.jsonl"]
    assert compiled.validation is not None
    assert (compiled.train.rows, compiled.validation.rows, compiled.held_out["plain"].rows) == (16, 4, 1)
    assert lines(compiled.held_out["plain"].path) == [
        {"input_text": "Classify: [wet, dry]\n\nText: Is it wet?", "output_text": "wet"}
    ]
    assert sorted(row["output_text"] for row in lines(compiled.validation.path)) == [
        "dry",
        "dry",
        "wet",
        "wet",
    ]
    everything = lines(compiled.train.path) + lines(compiled.validation.path)
    assert len({row["input_text"] for row in everything}) == 20


def test_the_held_out_rows_of_a_generation_set_keep_all_their_references(
    generation: Path, tmp_path: Path
) -> None:
    compiled = compile_dataset(generation, tmp_path / "out")
    assert compiled.validation is None
    assert lines(compiled.train.path)[2] == {"input_text": "Answer: Text 2.", "output_text": "Reply 2!"}
    assert lines(compiled.held_out["situations"].path) == [
        {"input_text": "Answer: A new text.", "output_text": "One.", "references": ["One.", "Two."]}
    ]


def test_digests_are_those_of_the_bytes_that_lie_there(classification: Path, tmp_path: Path) -> None:
    compiled = compile_dataset(classification, tmp_path / "out")
    assert compiled.validation is not None
    for file in (compiled.train, compiled.validation, *compiled.held_out.values()):
        content = file.path.read_bytes()
        assert file.digest == blake3.blake3(content).hexdigest()
        assert file.bytes == len(content)
        # As in Cloud Storage's object resource: base64 of the four bytes, most significant first.
        assert int.from_bytes(base64.b64decode(file.crc32c), "big") == google_crc32c.value(content)


def test_the_same_folder_gives_the_same_bytes_wherever_it_lies(classification: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another place" / "renamed"
    shutil.copytree(classification, elsewhere)
    compile_dataset(classification, tmp_path / "one")
    compile_dataset(elsewhere, tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_line_ends_do_not_change_the_result(classification: Path, tmp_path: Path) -> None:
    before = compile_dataset(classification, tmp_path / "out")
    records = classification / "records.jsonl"
    records.write_bytes(records.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert compile_dataset(classification, tmp_path / "out") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("records.jsonl", "Remark 3 ", "Remark three "), ("template.j2", "Text:", "Remark:")],
)
def test_whatever_changes_the_content_changes_the_digest(
    classification: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    before = compile_dataset(classification, tmp_path / "out")
    edit(classification / file, old, new)
    after = compile_dataset(classification, tmp_path / "out")
    assert after.digest != before.digest
    assert before.train.path.exists()


def test_what_does_not_change_the_content_does_not_change_the_digest(
    classification: Path, tmp_path: Path
) -> None:
    before = compile_dataset(classification, tmp_path / "out")
    edit(classification / "dataset.yaml", "Remarks on the weather.", "Other words for people.")
    assert compile_dataset(classification, tmp_path / "out") == before


# --- how it is written --------------------------------------------------------------------------------------


def test_an_intact_result_is_left_alone(classification: Path, tmp_path: Path) -> None:
    first = compile_dataset(classification, tmp_path / "out")
    before = first.train.path.stat()
    compile_dataset(classification, tmp_path / "out")
    after = first.train.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [each.name for each in (tmp_path / "out" / "weather").iterdir()] == [first.digest]


@pytest.mark.parametrize("damage", ["changed", "deleted", "added"])
def test_a_damaged_result_is_written_anew(classification: Path, tmp_path: Path, damage: str) -> None:
    first = compile_dataset(classification, tmp_path / "out")
    good = tree(tmp_path / "out")
    match damage:
        case "changed":
            first.train.path.write_bytes(b"{}")
        case "deleted":
            first.train.path.unlink()
        case "added":
            (first.train.path.parent / "stray").touch()
    assert compile_dataset(classification, tmp_path / "out") == first
    assert tree(tmp_path / "out") == good


def test_a_crash_while_writing_leaves_the_old_result_whole(
    classification: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_dataset(classification, tmp_path / "out")
    good = tree(tmp_path / "out")
    edit(classification / "records.jsonl", "Remark 3 ", "Remark three ")

    def full(*_: object) -> CompiledDataset:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler, "_put", full)
    with pytest.raises(TunestackError, match="no space left on device") as refused:
        compile_dataset(classification, tmp_path / "out")
    assert refused.value.exit_status == 2
    assert tree(tmp_path / "out") == good


def test_an_output_that_is_no_folder_is_an_error_for_people(classification: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(TunestackError, match="output-unwritable"):
        compile_dataset(classification, tmp_path / "out")


# --- what is refused ----------------------------------------------------------------------------------------


def found(folder: Path) -> list[tuple[str, int, int, str, str]]:
    return [
        (Path(each.file).relative_to(folder).as_posix(), each.line, each.column, each.code, each.path)
        for each in check_dataset(folder).findings
    ]


def test_every_bad_row_of_every_file_is_in_one_refusal(classification: Path, tmp_path: Path) -> None:
    records, plain = classification / "records.jsonl", classification / "held-out" / "plain.jsonl"
    edit(records, '"Remark 3 about the rain. ☂", "label": "dry"', '"Remark 3", "label": "dri"')
    with records.open("a", encoding="utf-8") as file:
        file.write('{"text": "Remark 0 about the rain. \\u2602", "label": "wet"}\n')
        file.write('{"label": "dry", "text": "Remark 2 about the rain. ☂"}\n')
        file.write('{"text": "Classify", "lable": "dry"}\n')
    with plain.open("a", encoding="utf-8") as file:
        file.write('{"text": "Remark 5 about the rain. ☂", "label": "dry"}\n')
        file.write('{"text": "Remark 6')
    with pytest.raises(DatasetRefused) as refused:
        compile_dataset(classification, tmp_path / "out")
    assert refused.value.findings == check_dataset(classification).findings
    assert found(classification) == [
        ("held-out/plain.jsonl", 2, 10, "leakage", "$.text"),
        ("held-out/plain.jsonl", 3, 10, "truncated-line", "$"),
        ("records.jsonl", 4, 31, "unknown-label", "$.label"),
        ("records.jsonl", 21, 10, "duplicate-row", "$.text"),
        ("records.jsonl", 22, 26, "conflicting-rows", "$.text"),
        ("records.jsonl", 23, 22, "unknown-field", "$.lable"),
    ]
    assert not (tmp_path / "out").exists()
    assert len(refused.value.problems) == 6


def test_the_report_lists_every_bad_row_and_ends_with_what_to_do(
    classification: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    records = Path("weather/records.jsonl")
    edit(records, '"Remark 3 about the rain. ☂", "label": "dry"', '"Remark 3", "label": "dri"')
    edit(records, '"Remark 12 about the rain. ☂", "label": "wet"', '"Remark 12", "label": 7')
    edit(
        records,
        '"Remark 14 about the rain. ☂", "label": "wet"',
        '"Remark 0 about the rain. ☂", "label": "snow"',
    )
    with pytest.raises(DatasetRefused) as refused:
        compile_dataset(Path("weather"), tmp_path / "out")
    assert str(refused.value) == (
        """\
wrong-type · 1 finding · a field has its column's type
  weather/records.jsonl:13:32  $.label  `label` is a number, not text  …", "label": 7}
  fix: put it in double quotes ("…")

unknown-label · 2 findings · a target is one of the declared labels
  weather/records.jsonl:4:31   $.label  "dri" is none of the labels wet, dry   …", "label": "dri"}  → write `dry`
  weather/records.jsonl:15:49  $.label  "snow" is none of the labels wet, dry  …", "label": "snow"}  → write one of the labels, or declare it in dataset.yaml

conflicting-rows · 1 finding · a prompt has one answer
  weather/records.jsonl:15:10  $.text  line 1 answers the same prompt with "wet", this one with "snow"  {"text": "Remark 0 about the rain. ☂", "label…
  fix: decide for one answer

4 findings in 3 lines of 1 file. Mend them, then run the same command again."""  # noqa: E501
    )


def test_the_report_for_machines_has_the_same_findings_and_the_counts(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input_text": "a", "output_text": ""}\n\n')
    report = json.loads(json.dumps(json_report(check_files([tmp_path / "rows.jsonl"]))))
    assert {key: report[key] for key in ("counts", "total", "findings")} == {
        "counts": {"blank-line": 1, "empty-text": 1},
        "total": 2,
        "findings": [
            {
                "file": str(tmp_path / "rows.jsonl"),
                "line": 1,
                "column": 36,
                "code": "empty-text",
                "path": "$.output_text",
                "message": "`output_text` is empty",
                "fix": "write the text or delete the row",
                "excerpt": '…tput_text": ""}',
            },
            {
                "file": str(tmp_path / "rows.jsonl"),
                "line": 2,
                "column": 1,
                "code": "blank-line",
                "path": "",
                "message": "the line is blank",
                "fix": "delete the line",
                "excerpt": "",
            },
        ],
    }


def test_a_report_shows_a_thousand_findings_and_counts_them_all(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n" * 1_500 + "[]\n" * 30)
    report = terminal_report(check_files([tmp_path / "rows.jsonl"]))
    assert report.count("the line is blank") == 970
    assert "blank-line · 1,500 findings" in report
    assert "… and 530 more" in report
    assert (
        sum(line.endswith("[]") for line in report.splitlines()) == 30
    )  # what is rare is not crowded out by what is frequent
    assert report.splitlines()[-1].startswith("1,530 findings in 1 file.")


def test_a_finished_file_is_checked_without_a_project(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    write_rows(file, [{"input_text": "a", "output_text": "b"}, {"input_text": "c", "output_text": "b"}])
    assert check_files([file]).findings == []
    write_rows(file, [{"input_text": "a", "output_text": "b"}, {"input_text": "a", "output_text": "c"}])
    assert [(each.where, each.code) for each in check_files([file]).findings] == [
        (f"{file}:2:16", "conflicting-rows")
    ]


def test_a_file_that_cannot_be_read_is_not_a_finding_but_a_check_that_cannot_run(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "absent.jsonl", "absent.jsonl does not exist"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(TunestackError, match=said) as refused:
            check_files([path])
        assert refused.value.exit_status == 2


def test_a_refusal_of_very_many_rows_counts_those_it_does_not_list(
    classification: Path, tmp_path: Path
) -> None:
    (classification / "records.jsonl").write_text("\n" * 1_200)
    with pytest.raises(DatasetRefused) as refused:
        compile_dataset(classification, tmp_path / "out")
    assert len(refused.value.findings) == 1_000
    assert refused.value.report.counts == {"blank-line": 1_200}
    assert "200 findings more than these 1,000" in refused.value.problems[-1].message


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "code"),
    [
        ("dataset.yaml", "records.jsonl", "record.jsonl", "dataset.yaml:4:10", "file-unreadable"),
        ("dataset.yaml", "held-out/plain.jsonl", "held-out", "dataset.yaml:6:10", "file-unreadable"),
        ("dataset.yaml", "template.j2", "absent.j2", "dataset.yaml:8:11", "file-unreadable"),
        ("dataset.yaml", "{{ label }}", "{{ lable }}", "dataset.yaml:9:14", "template-error"),
        ("dataset.yaml", "validation: 4", "validation: 20", "dataset.yaml:11:21", "split-too-large"),
        ("template.j2", "{{ text }}", "{{ txt }}", "template.j2:3", "template-error"),
        ("template.j2", "{{ text }}", "{{ text", "template.j2:3", "template-error"),
        ("template.j2", "{{ text }}", "your text", "template.j2:1", "template-error"),
    ],
)
def test_what_dataset_yaml_and_the_template_get_wrong_is_told_at_its_line(
    classification: Path, file: str, old: str, new: str, where: str, code: str
) -> None:
    edit(classification / file, old, new)
    findings = check_dataset(classification).findings
    assert (findings[0].where, findings[0].code) == (str(classification / where), code)


def test_the_instruction_must_be_inside_the_prompt(classification: Path) -> None:
    template = classification / "template.j2"
    template.write_text("{% if 'Remark 3 ' not in text %}Classify: {% endif %}{{ text }}\n")
    assert found(classification) == [("records.jsonl", 4, 10, "instruction-missing", "$.text")]
    template.write_text("{{ text }}\n")
    assert len(found(classification)) == 21


def test_a_row_that_the_template_cannot_render_is_told_with_both_lines(classification: Path) -> None:
    (classification / "template.j2").write_text(
        "Classify:\n{{ text[:9] if label == 'wet' else text.nope }}\n"
    )
    edit(classification / "records.jsonl", "Remark 1", "Note 1")
    errors = [each for each in check_dataset(classification).findings if each.code == "template-error"]
    assert [each.line for each in errors] == list(range(2, 21, 2))
    assert all("template.j2:2" in each.message for each in errors)


def test_held_out_rows_need_references_where_the_dataset_says_so(generation: Path) -> None:
    write_rows(
        generation / "situations.jsonl",
        [
            {"text": "New.", "reply": "One."},
            {"text": "Newer.", "references": []},
            {"text": "a", "references": ["", 1]},
        ],
    )
    assert [each[1:] for each in found(generation)] == [
        (1, 1, "missing-field", "$.references"),
        (1, 18, "unknown-field", "$.reply"),
        (2, 34, "empty-text", "$.references"),
        (3, 30, "empty-text", "$.references[0]"),
        (3, 34, "wrong-type", "$.references[1]"),
    ]


# --- serving ------------------------------------------------------------------------------------------------


def test_the_served_prompt_is_the_one_that_was_trained_on(classification: Path, tmp_path: Path) -> None:
    compiled = compile_dataset(classification, tmp_path / "out")
    trained = lines(compiled.held_out["plain"].path)[0]["input_text"]
    assert render_prompt(classification, "Is it wet?") == trained
    assert render_prompt(classification, {"text": "Is it wet?"}) == trained


def test_a_served_prompt_needs_every_column_of_the_template(classification: Path) -> None:
    with pytest.raises(TunestackError, match="the prompt needs text"):
        render_prompt(classification, {"txt": "a"})
    (classification / "template.j2").write_text("{{ text }} {{ label }}")
    with pytest.raises(TunestackError, match="one text is not enough"):
        render_prompt(classification, "a")


# --- what it costs ------------------------------------------------------------------------------------------


def test_checking_a_file_loads_no_heavy_package(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input_text": "a", "output_text": "b"}\nnot json\n')
    program = (
        "import pathlib, sys; import tunestack.dataset as d; "
        "print(d.terminal_report(d.check_files([pathlib.Path(sys.argv[1])]))); "
        "sys.exit(','.join({'pydantic', 'jinja2', 'yaml', 'numpy', 'rich', 'pulumi'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "rows.jsonl"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "rows.jsonl:2:1" in done.stdout
