"""The command line: readable, light, and never a traceback."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tunestack.cli import main as cli
from tunestack.cli.help_formatter import help_formatter
from tunestack.cli.terminal import console

HEAVY = ("pulumi", "grpc", "torch", "httpx", "google.cloud.storage", "rich", "pydantic", "yaml", "jinja2")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in cli.COMMANDS.values():
        assert f"  {command.name}" in shown
        assert command.summary in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert "usage: tunestack " + command in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["60", "132", "0", "-5", "wide", ""])
def test_help_is_as_wide_as_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown, of_argparse = help_formatter("tunestack"), argparse.RawDescriptionHelpFormatter("tunestack")
    for formatter in (shown, of_argparse):
        formatter.add_argument(argparse.Action(["--option"], "option", help="some words " * 40))
    assert shown.format_help() == of_argparse.format_help()


def test_a_misspelt_command_is_met_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["perview"]) == 2
    assert "did you mean 'preview'?" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from tunestack.cli.main import main; main(['--help']);"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_outside_a_project_the_error_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["outputs", "--cwd", str(tmp_path)]) == 2
    assert "there is no Pulumi.yaml here" in capsys.readouterr().err
    assert cli.main(["outputs", "--cwd", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "no-project"


@pytest.mark.parametrize(
    ("color", "environment", "styled"),
    [
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
    ],
)
def test_no_style_is_left_where_colours_are_turned_off(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    color: str,
    environment: dict[str, str],
    styled: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    console(color).print("[bold]a[/bold] [red]b[/red] [dim]c[/dim]")
    assert ("\x1b[" in capsys.readouterr().out) is styled
