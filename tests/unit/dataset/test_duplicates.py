"""Rows with the same hash are found whatever their number, in bounded memory, and told of only once compared."""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset import duplicates
from tunestack.dataset.check import check_files
from tunestack.dataset.duplicates import Pair, leaks, pairs
from tunestack.dataset.rows import Rows
from tunestack.dataset.scan import Tally


def rows_of(hashes: Sequence[tuple[int, int]]) -> Rows:
    rows = Rows()
    rows.prompts.extend(array("Q", [prompt for prompt, _ in hashes]).tobytes())
    rows.answers.extend(array("Q", [answer for _, answer in hashes]).tobytes())
    rows.records.extend(array("Q", range(len(hashes))).tobytes())
    return rows


def expected_pairs(hashes: Sequence[tuple[int, int]]) -> list[Pair]:
    """The rule, said plainly."""
    found = []
    for row, (prompt, answer) in enumerate(hashes):
        before = [(at, each) for at, (one, each) in enumerate(hashes[:row]) if one == prompt]
        same = [at for at, each in before if each == answer]
        if before:
            found.append(Pair(row, same[0] if same else before[0][0], bool(same)))
    return found


few = st.integers(0, 3).map(lambda number: number * 0x5555_5555_5555_5555)
hashes = st.lists(st.tuples(few | st.integers(0, 2**64 - 1), few), max_size=30)


@given(hashes)
def test_every_row_is_paired_with_the_first_it_repeats_or_contradicts(given: list[tuple[int, int]]) -> None:
    assert sorted(pairs(rows_of(given))) == expected_pairs(given)


@given(hashes, hashes)
def test_every_held_out_row_that_is_trained_on_is_found(
    trained: list[tuple[int, int]], held_out: list[tuple[int, int]]
) -> None:
    prompts = [prompt for prompt, _ in trained]
    expected = [(0, row, prompts.index(one)) for row, (one, _) in enumerate(held_out) if one in prompts]
    assert sorted(leaks(rows_of(trained), [rows_of(held_out)])) == expected


@pytest.mark.parametrize("pass_hashes", [1 << 6, 1 << 9, 1 << 20])
def test_sorting_in_any_number_of_passes_finds_what_counting_finds(
    monkeypatch: pytest.MonkeyPatch, pass_hashes: int
) -> None:
    choose = random.Random(3)
    given = [(choose.choice((choose.getrandbits(64), choose.randrange(50))), n % 3) for n in range(3_000)]
    given += choose.sample(given, 200)
    counted = sorted(pairs(rows_of(given)))
    assert len(counted) > 1_000
    monkeypatch.setattr(duplicates, "PLAIN_ROWS", 0)
    monkeypatch.setattr(duplicates, "PASS_HASHES", pass_hashes)
    assert sorted(pairs(rows_of(given))) == counted
    held_out, trained = rows_of(given[:500]), rows_of(given[400:])
    found = sorted(leaks(trained, [held_out]))
    monkeypatch.setattr(duplicates, "PLAIN_ROWS", 20_000)
    assert sorted(leaks(trained, [held_out])) == found


def test_texts_that_only_share_a_hash_are_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    file = tmp_path / "rows.jsonl"
    rows = [("one", "a"), ("two", "b"), ("two", "c"), ("one", "a"), ("six", "a")]
    file.write_text("".join(json.dumps({"input_text": p, "output_text": a}) + "\n" for p, a in rows))
    real = [(found.line, found.code) for found in check_files([file]).findings]
    assert real == [(3, "conflicting-rows"), (4, "duplicate-row")]
    finish = Tally.__init__
    monkeypatch.setattr(
        Tally,
        "__init__",
        lambda tally, *arguments: (
            finish(tally, *arguments),
            setattr(tally, "_digest", lambda text, key=0: len(text).to_bytes(8, "big")),
        )[0],
    )
    report = check_files([file], processes=1)
    told = {(found.line, found.code) for found in report.findings}
    assert told <= set(real)
    assert report.total == len(report.findings)
