"""A stack's outputs for people, machines and shells."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tunestack.cli import engines, stack
from tunestack.cli.main import main

OUTPUTS = {"name": 'it\'s a "model" $HOME; rm', "count": 3, "plain": "gs://bucket/x", "map": {"a": [1, None]}}


class Engine:
    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        return dict(OUTPUTS)


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "find_project", lambda *_: None)
    monkeypatch.setattr(engines, "open_engine", lambda *_: Engine())


def test_a_shell_reads_every_output_back_as_it_was(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["stack", "output", "--shell"]) == 0
    script = tmp_path / "outputs.sh"
    script.write_text(capsys.readouterr().out)
    for name, value in OUTPUTS.items():
        words = ["/bin/sh", "-c", f'. {script}; printf %s "${name}"']
        read = subprocess.run(words, capture_output=True, text=True, check=True)
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        assert read.stdout == text


def test_one_output_is_assigned_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "output", "plain", "--shell"]) == 0
    assert capsys.readouterr().out == "plain=gs://bucket/x\n"


def test_json_and_shell_exclude_each_other() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stack", "output", "--json", "--shell"])
    assert ended.value.code == 2
