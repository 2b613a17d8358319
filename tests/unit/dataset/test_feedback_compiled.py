"""What was collected, and the preferences that lie in the repository, compile to both kinds of preference tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunestack.dataset import check_dataset, compile_dataset
from tunestack.dataset.feedback import CollectOptions, collect

PREFERENCES = Path(__file__).parents[3] / "datasets" / "sarcasm-preference"
FORMATS = ("rlhf-preference", "gemini-preference")


def lines(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def preferred(line: dict[str, Any]) -> tuple[str, str, str]:
    """Prompt, winner and loser of a line of either format."""
    if "choice" in line:
        return (
            line["input_text"],
            line[f"candidate_{line['choice']}"],
            line[f"candidate_{1 - line['choice']}"],
        )
    answers = {each["score"]: each["completion"]["parts"][0]["text"] for each in line["completions"]}
    return line["contents"][0]["parts"][0]["text"], answers[1.0], answers[0.0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder collected from votes on three answers to each of a dozen prompts."""
    log = tmp_path / "log.jsonl"
    votes = [
        {"prompt": f"Tell me of the number {number}.", "response": f"{word} {number}.", "rating": rating}
        for number in range(12)
        for word, rating in (("It is", 1), ("I like", 3), ("Behold", 5))
    ]
    log.write_text("".join(json.dumps(vote) + "\n" for vote in votes))
    collect([log], tmp_path / "numbers", CollectOptions(validation=6))
    return tmp_path / "numbers"


def test_several_pairs_of_one_prompt_are_no_conflict(folder: Path) -> None:
    assert check_dataset(folder).good


def test_two_pairs_that_prefer_the_opposite_are_a_conflict(folder: Path) -> None:
    records = folder / "records.jsonl"
    first = json.loads(records.read_text().splitlines()[0])
    with records.open("a") as file:
        file.write(json.dumps({**first, "choice": 1 - first["choice"]}) + "\n")
    assert check_dataset(folder).counts == {"conflicting-rows": 1}


@pytest.mark.parametrize("format", FORMATS)
def test_a_collected_folder_compiles_to_both_formats(folder: Path, tmp_path: Path, format: str) -> None:  # noqa: A002
    compiled = compile_dataset(folder, tmp_path / "compiled", format)
    assert compiled.validation is not None
    assert compiled.train.rows + compiled.validation.rows == 36
    every = [preferred(line) for line in lines(compiled.train.path) + lines(compiled.validation.path)]
    assert ("Tell me of the number 7.", "Behold 7.", "It is 7.") in every


@pytest.mark.parametrize("format", FORMATS)
def test_the_sarcastic_answers_compile_to_both_formats(tmp_path: Path, format: str) -> None:  # noqa: A002
    compiled = compile_dataset(PREFERENCES, tmp_path, format)
    assert compiled.validation is not None
    assert (compiled.train.rows, compiled.validation.rows) == (100, 20)
    assert compiled.held_out["situations"].rows == 24
    records = {
        (each["text"], each[f"candidate_{each['choice']}"], each[f"candidate_{1 - each['choice']}"])
        for each in lines(PREFERENCES / "records.jsonl")
    }
    compiled_lines = lines(compiled.train.path) + lines(compiled.validation.path)
    rendered = {
        (prompt.removeprefix("Write a sarcasm answer for the following text.\n\nText: "), *answers)
        for prompt, *answers in map(preferred, compiled_lines)
    }
    assert rendered == records
