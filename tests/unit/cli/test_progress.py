"""The bar of a long check: shown to whoever watches, and no part of the result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tunestack.cli.progress import Watched, watched
from tunestack.dataset.sources.source import ONE_PROCESS_BYTES


def test_results_come_in_the_order_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(Watched(30, 1)(abs, [-3, 2, -1])) == [3, 2, 1]
    assert capsys.readouterr().out == ""


def test_only_a_long_check_that_is_watched_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text("{}\n")
    with large.open("wb") as file:
        file.truncate(ONE_PROCESS_BYTES)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert watched([small], None) is None
    assert watched([small], 2) == 2
    assert isinstance(watched([small, large], None), Watched)
    assert watched([f"gs://bucket/{large}"], None) is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert watched([large], 2) == 2
