"""`tunestack dataset …`, as people and machines call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tunestack.cli import main as cli

CLASSIFICATION = Path(__file__).parents[3] / "datasets" / "sarcasm-classification"
GOOD = '{"input_text": "The bus is late.", "output_text": "no_sarcasm"}\n'
BAD = '{"input_text": "How lovely.", "output_text": 3}\n'

# What a check of a small file has no use for and would wait for.
HEAVY = (
    "asyncio",
    "dataclasses",
    "detect_secrets",
    "google.auth",
    "google.cloud.storage",
    "inspect",
    "jinja2",
    "json",
    "numpy",
    "phonenumbers",
    "pyarrow",
    "pydantic",
    "rensa",
    "rich",
    "shutil",
    "typing_extensions",
    "unicodedata",
    "yaml",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words: str) -> int:
    return cli.main(["dataset", *words])


def test_alone_it_says_what_it_can_do_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert called() == 0
    shown = capsys.readouterr().out
    for action in ("check", "compile", "stats", "split", "diff", "collect", "beam"):
        assert f"\n    {action} " in shown
    assert "tunestack dataset check train.jsonl" in shown
    assert "exit status: 0 good, 1 findings, 2 cannot run" in shown


@pytest.mark.parametrize("action", ["check", "compile", "stats", "split", "diff", "collect", "beam"])
def test_every_action_explains_itself(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        called(action, "--help")
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: tunestack dataset {action}" in shown
    assert "--json" in shown
    assert "exit status: 0" in shown


def test_a_good_file_is_summed_up_and_ends_with_0(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD)
    assert called("check", "rows.jsonl") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("The dataset is good: nothing was found.\n")
    assert "1 row · prompt 16 characters" in shown


def test_findings_end_with_1_and_a_file_that_is_not_there_with_2(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.jsonl").write_text(GOOD + BAD)
    assert called("check", "rows.jsonl") == 1
    assert "rows.jsonl:2:46  $.output_text  `output_text` is a number, not text" in capsys.readouterr().out
    assert called("check", "absent.jsonl") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error: file-unreadable: absent.jsonl does not exist" in shown.err


def test_for_machines_there_is_one_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD + BAD)
    (here / "more.jsonl").write_text(BAD)
    assert called("check", "rows.jsonl", "more.jsonl", "--json", "--html", "page.html", "--fix") == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == ""
    assert [(each["file"], each["line"], each["code"]) for each in document["findings"]] == [
        ("more.jsonl", 1, "wrong-type"),
        ("rows.jsonl", 2, "wrong-type"),
    ]
    assert document["counts"] == {"wrong-type": 2}
    assert document["statistics"]["rows.jsonl"]["rows"] == 1
    assert [patch["command"] for patch in document["patches"]] == [
        "git apply more.jsonl.patch",
        "git apply rows.jsonl.patch",
    ]
    assert called("check", "absent.jsonl", "--json") == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "file-unreadable"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "suprvised"], "there is no format 'suprvised'; did you mean 'supervised'?"),
        (["--format", "parquet"], "there is no format 'parquet'; one of supervised, code, chat, gemini"),
        (["--model", "gemini-2.5-flahs"], "did you mean 'gemini-2.5-flash'?"),
        (["--processes", "none"], "'none' is no number of processes"),
        (["--processes", "0"], "'0' is no number of processes"),
    ],
)
def test_a_misspelt_value_is_met_with_the_right_one(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        called("check", "rows.jsonl", *words)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_files_of_every_format_are_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turn = '{"role": "%s", "parts": [{"text": "a"}]}'
    (here / "rows.jsonl").write_text('{"contents": [%s, %s]}\n' % (turn % "user", turn % "user"))  # noqa: UP031
    assert called("check", "rows.jsonl", "--format", "gemini") == 1
    assert "roles-out-of-turn" in capsys.readouterr().out


def test_the_page_is_written_whole_beside_what_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.jsonl").write_text(GOOD + BAD)
    assert called("check", "rows.jsonl", "--html", "page.html") == 1
    assert capsys.readouterr().err == "written: page.html\n"
    page = (here / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<pre" in page  # the worst row, as it stands in the file
    assert sorted(path.name for path in here.iterdir()) == ["page.html", "rows.jsonl"]


def test_a_page_that_cannot_be_written_is_no_finding(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD)
    assert called("check", "rows.jsonl", "--html", "absent/page.html") == 2
    assert "cannot write the page: no such file or directory" in capsys.readouterr().err


def test_a_fix_is_a_patch_that_is_shown_and_applies(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD + "\n" + BAD)
    assert called("check", "rows.jsonl", "--fix") == 1
    shown = capsys.readouterr().out
    assert '+{"input_text": "How lovely.", "output_text": "3"}' in shown
    command = shown.splitlines()[-1].removeprefix("Read it, then apply it: ")
    subprocess.run(command, shell=True, check=True, cwd=here)  # noqa: S602 - what people paste
    assert called("check", "rows.jsonl") == 0


def test_where_nothing_can_be_mended_it_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD + "[]\n")
    assert called("check", "rows.jsonl", "--fix") == 1
    assert capsys.readouterr().out.endswith(
        "Nothing of this can be mended mechanically: there is no patch.\n"
    )


def test_the_figures_of_a_file_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD + GOOD.replace("late", "on time"))
    assert called("stats", "rows.jsonl") == 0
    shown = capsys.readouterr().out
    assert "rows.jsonl · 2 rows" in shown
    assert "Nothing is wrong." in shown
    assert called("stats", "rows.jsonl", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "findings" not in document
    assert document["statistics"]["rows.jsonl"]["lengths"]["prompt"]["max"] == 19


def test_a_folder_is_compiled_and_its_lock_then_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "weather"
    shutil.copytree(CLASSIFICATION, folder)
    (folder / "dataset.lock.json").unlink(missing_ok=True)
    assert called("compile", "weather", "--check") == 1
    assert "there is no lock" in capsys.readouterr().err
    assert not (here / ".tunestack").exists()
    assert called("compile", "weather", "--output", "out") == 0
    shown = capsys.readouterr().out
    assert "352 rows" in shown
    assert called("compile", "weather", "--check", "--json") == 0
    (dataset,) = json.loads(capsys.readouterr().out)["datasets"]
    assert dataset["digest"][:16] in shown
    records = (folder / "records.jsonl").read_text()
    (folder / "records.jsonl").write_text(records.replace("umbrella", "parasol", 1))
    assert called("compile", "weather", "--check") == 1
    assert "lock-stale" in capsys.readouterr().err
    assert called("diff", "out/sarcasm-classification/" + dataset["digest"], "weather") == 1
    assert called("diff", "weather", "weather", "--json") == 0


def test_a_refused_folder_shows_its_report_and_the_others_are_compiled(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "bad"):
        shutil.copytree(CLASSIFICATION, here / name)
    with (here / "bad" / "records.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert called("compile", "bad", "good") == 1
    shown = capsys.readouterr().out
    assert "352 rows" in shown
    assert "missing-field · 1 finding" in shown
    assert called("compile", "bad", "good", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert len(document["datasets"]) == 1
    assert document["refused"]["counts"] == {"missing-field": 1}


def test_votes_are_collected_to_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "votes.jsonl").write_text(
        '{"question": "a", "response": "b", "rating": "up"}\n{"question": "a", "response": "c", "rating": "down"}\n'
    )
    assert called("collect", "votes.jsonl", "--output", "out", "--columns", "prompt=question", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 1
    assert (here / "out" / "dataset.yaml").is_file()


def test_tokens_are_estimated_and_said_to_be_or_counted_by_a_tokenizer(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.jsonl").write_text(GOOD * 1)
    assert called("check", "rows.jsonl") == 0
    assert "an estimate, characters / 4: no tokenizer is given" in capsys.readouterr().out
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: number for number, word in enumerate(["The", "bus", "is", "late", ".", "?"])}
    counter = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    counter.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    counter.save("tokenizer.json")
    assert called("check", "rows.jsonl", "--exact-tokens", "tokenizer.json") == 0
    assert "6 tokens, counted" in capsys.readouterr().out  # "no_sarcasm" is one more word, unknown
    assert called("check", "rows.jsonl", "--exact-tokens", "absent.json") != 0
    assert "absent.json cannot be read" in capsys.readouterr().err


def test_personal_data_in_a_file_is_looked_for_when_asked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows.jsonl").write_text(GOOD.replace("bus", "post to ada@tunestack.dev"))
    assert called("check", "rows.jsonl") == 0
    assert called("check", "rows.jsonl", "--personal-data", "--html", "page.html") == 1
    assert "ada@tunestack.dev" not in capsys.readouterr().out
    assert "ada@tunestack.dev" not in (here / "page.html").read_text()


def test_the_limits_of_a_model_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rows.jsonl").write_text(GOOD.replace("late", "late " * 2_000))
    assert called("check", "rows.jsonl") == 0
    assert called("check", "rows.jsonl", "--model", "meta/llama4@llama-4-scout-17b-16e-instruct") == 1
    assert "token-limit" in capsys.readouterr().out


def test_a_small_check_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(GOOD * 1)
    script = (
        "import sys; from tunestack.cli.main import main; status = main(['dataset', 'check', sys.argv[1]]);"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(str(heavy) if heavy else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "rows.jsonl")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
