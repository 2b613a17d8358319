"""A patch mends exactly the lines it must, applies with git and with patch, and changes no meaning."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.check import check_files
from tunestack.dataset.findings import Finding
from tunestack.dataset.fix import Patch, fixes
from tunestack.dataset.sources import open_source
from tunestack.dataset.unified_diff import unified_diff

APPLIERS = {"git": ["git", "apply"], "patch": ["patch", "-p1", "--quiet", "-i"]}


def check(file: Path, format: str = "supervised") -> list[Finding]:  # noqa: A002
    return sorted(check_files([file], format=format, processes=1).findings)


def patch_of(file: Path, format: str = "supervised") -> Patch:  # noqa: A002
    return fixes(check(file, format), open_source(file), root=file.parent)


def applied(patch: Patch, applier: str = "patch") -> bytes:
    """The file with the patch applied, by a real program; the file itself stays."""
    file = Path(patch.file)
    if not patch.diff:
        return file.read_bytes()
    copy = file.parent / f"applied-with-{applier}"
    copy.mkdir(exist_ok=True)
    (copy / file.name).write_bytes(file.read_bytes())
    diff = patch.write().absolute()
    done = subprocess.run([*APPLIERS[applier], str(diff)], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + str(patch)
    return (copy / file.name).read_bytes()


def row(number: int, answer: str = '"a"') -> str:
    return f'{{"input_text": "text {number}", "output_text": {answer}}}\n'


# What a line is, what it becomes (None: a person must see to it), in the format supervised.
MENDED: dict[str, tuple[str, str | None]] = {
    "byte order mark": ("\ufeff" + row(1), row(1)),
    "two byte order marks": ("\ufeff\ufeff" + row(1), row(1)),
    "blank": ("\n", ""),
    "blank with spaces": (" \t\r\n", ""),
    "byte order mark alone": ("\ufeff\n", ""),
    "number": (row(1, "7"), row(1, '"7"')),
    "number as it is written": (row(1, "-1.50e3"), row(1, '"-1.50e3"')),
    "truth value": (row(1, "true"), row(1, '"true"')),
    "misspelt field": (row(1).replace("output_text", "ouput_text"), row(1)),
    "field in another spelling": (row(1).replace("output_text", "Output-Text"), row(1)),
    "comma after the last value": (row(1).replace("}", ", }"), row(1).replace("}", " }")),
    "comma after the record": (row(1).replace("\n", ",\n"), row(1)),
    "raw tab": (row(1, '"a\tb"'), row(1, r'"a\tb"')),
    "raw escape character": (row(1, '"\x1b[1m"'), row(1, r'"\u001b[1m"')),
    "two records": (row(1).strip() + row(2), row(1) + row(2)),
    "two records with CR LF": (row(1).strip() + row(2)[:-1] + "\r\n", row(1)[:-1] + "\r\n" + row(2)[:-1] + "\r\n"),
    "same key twice": (row(1).replace("}", ', "output_text" : "a"}'), row(1)),
    "several at once": (
        "\ufeff" + row(1, "7").replace("input_text", "inputtext") + "",
        row(1, '"7"'),
    ),
    "two of the syntax": (row(1, '"\t"').replace("}", ",}").replace("\t", "x\ty"), row(1, r'"x\ty"')),
    # --- for a person
    "empty text": (row(1, '""'), None),
    "null": (row(1, "null"), None),
    "list": (row(1, '["a"]'), None),
    "same key with two values": (row(1).replace("}", ', "output_text": "b"}'), None),
    "same key with 1 and true": (row(1).replace("}", ', "x": 1, "x": true}'), None),
    "another field": (row(1).replace("output_text", "answer"), None),
    "field that comes near": (row(1).replace("input_text", "input"), None),
    "two fields for one": (row(1).replace('"output_text": "a"', '"outputtext": "a", "output-text": "b"'), None),
    "nothing before the comma": ('{"input_text": "x", "output_text": ,}\n', None),
    "two commas": (row(1).replace("}", ",,}"), None),
    "single quotes": ("{'input_text': 'x', 'output_text': 'y'}\n", None),
    "record and something": (row(1).strip() + " and so on\n", None),
    "NaN": (row(1, "NaN"), None),
    "not UTF-8": (row(1, '"\udcff"'), None),
    "half a character": (row(1, r'"\ud800"'), None),
    "text not closed": ('{"input_text": "x\n', None),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDED)
def test_what_leaves_no_doubt_is_mended_and_nothing_else(tmp_path: Path, case: str) -> None:
    line, mended = MENDED[case]
    before, after = row(90) + row(91), row(92) + row(93)
    file = tmp_path / "rows.jsonl"
    file.write_bytes((before + line + after).encode("utf-8", "surrogateescape"))
    found = check(file)
    assert found
    patch = fixes(found, open_source(file), root=tmp_path)
    if mended is None:
        assert (patch.diff, patch.fixed, list(patch.remaining)) == (b"", (), found)
        return
    assert patch.remaining == ()
    assert applied(patch).decode() == before + mended + after
    file.write_bytes(applied(patch))
    assert check(file) == []


def test_what_is_mended_and_what_is_not_may_stand_on_one_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('\ufeff{"input_text": 5, "output_text": " ", "more": 1}\n')
    patch = patch_of(file)
    assert [finding.code for finding in patch.fixed] == ["byte-order-mark", "wrong-type"]
    assert [finding.code for finding in patch.remaining] == ["empty-text", "unknown-field"]
    file.write_bytes(applied(patch))
    assert [(each.code, each.path) for each in check(file)] == [
        (each.code, each.path) for each in patch.remaining
    ]


def test_a_name_that_two_fields_could_have_is_left_to_a_person(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    line = '{"input_text": "x", "candidate": "a", "candidat": "b", "choice": "1"}\n'
    file.write_text(line)
    patch = patch_of(file, "rlhf-preference")
    assert applied(patch).decode() == line.replace('"1"', "1")
    assert {finding.code for finding in patch.remaining} == {"unknown-field"}
    file.write_text('{"input_text": "x", "candidate0": "a", "candidate1": "b", "choice": 0}\n')
    patch = patch_of(file, "rlhf-preference")
    assert patch.remaining == ()
    file.write_bytes(applied(patch))
    assert check(file, "rlhf-preference") == []


def test_of_rows_that_stand_twice_the_first_stays(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(row(1) + row(2) + row(1) + row(3) + row(1).strip())
    patch = patch_of(file)
    assert [finding.line for finding in patch.fixed] == [3, 5]
    assert applied(patch).decode() == row(1) + row(2) + row(3)


def test_the_data_is_not_touched_and_the_patch_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    content = row(1, "1") + "\n" + row(2)
    file.write_text(content)
    patch = patch_of(file)
    assert patch.write() == tmp_path / "rows.jsonl.patch"
    assert file.read_text() == content
    assert (tmp_path / "rows.jsonl.patch").read_bytes() == patch.diff
    assert str(patch) == patch.diff.decode()


def test_the_diff_is_harmless_to_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(row(1, '"\x1b[2J"').encode() + b'{"\xff": 1}\n')
    assert "\x1b" not in str(patch_of(file))


def test_the_command_applies_the_patch_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "a repository"
    folder = repository / "data sets" / 'with "quotes" and é'
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    file = folder / "my rows.jsonl"
    for here, name in (
        (repository, file.relative_to(repository)),
        (folder, Path(file.name)),
        (folder.parent, file.relative_to(folder.parent)),
        (tmp_path, file),
        (Path("/"), file),
    ):
        monkeypatch.chdir(here)
        file.write_text(row(1, "1") + row(2))
        patch = fixes(check(name), open_source(name))
        patch.write()
        subprocess.run(patch.command, shell=True, check=True, cwd=here)  # noqa: S602
        assert file.read_text() == row(1, '"1"') + row(2), here


def test_a_source_that_is_no_plain_file_of_lines_is_left_to_a_person(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text("[" + row(1, "1") + "]")
    patch = patch_of(file)
    assert (patch.diff, patch.fixed, len(patch.remaining)) == (b"", (), 1)


def test_a_file_that_is_no_data_or_changed_since_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "dataset.yaml"
    file.write_text("nam: x\nlabel: 1\n\n")
    codes = [
        "unknown-field",
        "wrong-type",
        "duplicate-key",
        "json-syntax",
        "byte-order-mark",
        "missing-field",
    ]
    found = [
        Finding(str(file), line, column, code, "$.nam", "", "write `name`")
        for line in (0, 1, 2, 9)
        for column in (0, 1, 99)
        for code in codes
    ]
    patch = fixes(found, open_source(file), root=tmp_path)
    assert (patch.diff, patch.fixed, list(patch.remaining)) == (b"", (), sorted(found))


def test_findings_of_other_files_are_left_out(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(row(1, "1"))
    two.write_text(row(1, "2"))
    patch = fixes(check(one) + check(two), open_source(two), root=tmp_path)
    assert applied(patch).decode() == row(1, '"2"')
    assert {finding.file for finding in (*patch.fixed, *patch.remaining)} == {str(two)}


def test_a_table_loses_its_mark_blank_lines_and_doubled_rows_and_gets_its_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('\ufeffinput_text,ouput_text\r\n"a\nb",c\n\n"a\nb",c\nd,e\nonly one\n', newline="")
    columns = {"input_text": "string", "output_text": "string"}
    source = open_source(file, columns=columns)

    def finding(line: int, column: int, code: str, fix: str = "") -> Finding:
        return Finding(str(file), line, column, code, "", "", fix)

    found = [
        finding(1, 1, "byte-order-mark"),
        finding(1, 13, "unknown-field", "write `output_text`"),
        finding(4, 1, "blank-line"),
        finding(5, 0, "duplicate-row"),
        finding(8, 9, "table-syntax"),
    ]
    patch = fixes(found, source, root=tmp_path)
    assert patch.fixed == tuple(found[:4])
    assert patch.remaining == (found[4],)
    for applier in APPLIERS:
        assert applied(patch, applier).decode() == 'input_text,output_text\r\n"a\nb",c\nd,e\nonly one\n'


lines = st.lists(
    st.sampled_from([b"a\n", b"b\r\n", b"\n", b" c \n", b"\xff\n", b"-- x\n", b"@@\n"]), max_size=40
)


@pytest.mark.parametrize("applier", APPLIERS)
@given(old=lines, last=st.sampled_from([b"", b"end"]), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_changes_of_lines_apply_with_git_and_with_patch(
    tmp_path_factory: pytest.TempPathFactory, applier: str, old: list[bytes], last: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"diff-{applier}"
    folder.mkdir(exist_ok=True)
    content = b"".join(old) + last
    whole = content.splitlines(keepends=True) if b"\r" not in content else [*old, *([last] if last else [])]
    new = st.lists(st.sampled_from([b"new\n", b"a\n", b"\n"]), max_size=3)
    changes = {
        number: data.draw(new)
        for number in range(1, len(whole) + 1)
        if data.draw(st.booleans()) and data.draw(st.booleans())
    }
    expected = b"".join(
        b"".join(changes[number]) if number in changes else line for number, line in enumerate(whole, 1)
    )
    diff = unified_diff(whole, changes, "any rows.jsonl")
    if not diff or not expected:
        return  # an emptied file is deleted by some
    (folder / "any rows.jsonl").write_bytes(content)
    (folder / "p").write_bytes(diff)
    done = subprocess.run([*APPLIERS[applier], "p"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "any rows.jsonl").read_bytes() == expected


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_line_is_mending_gives_no_traceback_and_no_new_finding(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    line = bytearray(row(1, data.draw(st.sampled_from(['"a"', "1", "true", "[1]", '"\t"']))).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(line) - 1))
        line[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b",", b'"', b"}", b"{", b"1", b"\t", b"\xff", b"\xef\xbb\xbf", b"\n", b" "])
        )
    file = tmp_path_factory.getbasetemp() / "mutated.jsonl"
    file.write_bytes(row(8).encode() + bytes(line) + row(9).encode())
    found = check(file)
    patch = fixes(found, open_source(file), root=file.parent)
    assert len(patch.fixed) + len(patch.remaining) == len(found)
    assert bool(patch.diff) == bool(patch.fixed)
    if not any(
        finding.code in ("json-syntax", "unknown-field") for finding in patch.fixed
    ):  # these hide others
        file.write_bytes(applied(patch))
        codes = sorted((each.code, each.path) for each in check(file))
        assert codes == sorted((each.code, each.path) for each in patch.remaining)


def test_a_record_means_the_same_after_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    for line, mended in MENDED.values():
        if mended:
            file.write_text(line, newline="")
            for each in applied(patch_of(file)).decode().splitlines():
                record = json.loads(each)
                assert set(record) == {"input_text", "output_text"}
                assert all(isinstance(value, str) for value in record.values())
