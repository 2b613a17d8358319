"""What the README shows of a check is what the check says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunestack.dataset.check import check_files
from tunestack.dataset.report import terminal_report

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_the_example_of_a_check_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.partition("## Datasets")[2].partition("\n## ")[0]
    rows, said = re.findall(r"```\n(.*?)\n```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.jsonl").write_text(rows + "\n")
    assert terminal_report(check_files(["train.jsonl"])) == said
