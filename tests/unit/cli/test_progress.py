"""The bar of a long check: shown to whoever watches, and no part of the result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tunestack.cli.progress import Watched, at_work
from tunestack.dataset.processes import ONE_PROCESS_BYTES, Crew


def test_results_come_in_the_order_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(Watched(30, map)(abs, [-3, 2, -1])) == [3, 2, 1]
    assert capsys.readouterr().out == ""


def test_only_a_long_check_that_is_watched_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text("{}\n")
    with large.open("wb") as file:
        file.truncate(ONE_PROCESS_BYTES)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with at_work([small], None) as soon:
        assert soon is None
    with at_work([small], 2) as soon:
        assert soon == 2
    with at_work([small, large], 1) as long:
        assert isinstance(long, Watched)
    with at_work([f"gs://bucket/{large}"], None) as elsewhere:
        assert elsewhere is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with at_work([large], 2) as not_watched:
        assert isinstance(not_watched, Crew)
        assert list(not_watched(abs, [-3, 2])) == [3, 2]
