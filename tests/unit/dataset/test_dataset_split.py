"""The split depends on the prompts alone."""

from __future__ import annotations

import random
import subprocess
import sys
from array import array
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tunestack.catalog.limits import LIMITS, Validation, find_limits, validation_limit
from tunestack.dataset import split
from tunestack.dataset.split import prompt_hash, split_finding, validation_hashes

distinct = st.lists(st.text(max_size=8), unique=True, max_size=60)
repeated = st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from("xyz")), max_size=60)
counts = st.integers(0, 40)


@pytest.fixture(params=["few", "many"], autouse=True)
def rows_there_are(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise is kept by both ways, the one for few rows and the one for many."""
    if request.param == "many":
        np.zeros(0)  # its import is no part of what is timed
        monkeypatch.setattr(split, "_PLAIN_ROWS", 0)


def chosen_of(prompts: list[str], count: int, strata: list[str] | None = None) -> set[str]:
    hashes = [prompt_hash(prompt) for prompt in prompts]
    chosen = validation_hashes(array("Q", hashes), count, strata)
    return {prompt for prompt, each in zip(prompts, hashes, strict=True) if each in chosen}


@given(distinct, counts)
def test_exactly_as_many_are_chosen_as_asked(prompts: list[str], count: int) -> None:
    assert len(chosen_of(prompts, count)) == min(count, len(prompts))


@given(repeated, counts, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_rows_does_not_matter(
    rows: list[tuple[str, str]], count: int, shuffle: random.Random, stratify: bool
) -> None:
    def chosen(rows: list[tuple[str, str]]) -> set[str]:
        strata = [stratum for _, stratum in rows] if stratify else None
        return chosen_of([prompt for prompt, _ in rows], count, strata)

    shuffled = rows[:]
    shuffle.shuffle(shuffled)
    assert chosen(shuffled) == chosen(rows)


@given(repeated, counts)
def test_rows_with_one_prompt_stay_together_and_never_overshoot(
    rows: list[tuple[str, str]], count: int
) -> None:
    prompts = [prompt for prompt, _ in rows]
    chosen = chosen_of(prompts, count, [stratum for _, stratum in rows])
    assert sum(prompt in chosen for prompt in prompts) <= count


@given(distinct, st.data(), counts)
def test_every_stratum_gives_its_share_to_within_one_row(
    prompts: list[str], data: st.DataObject, count: int
) -> None:
    strata = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(prompts), max_size=len(prompts)))
    chosen = chosen_of(prompts, count, strata)
    count = min(count, len(prompts))
    assert len(chosen) == count
    sizes = Counter(strata)
    given_by = Counter(stratum for prompt, stratum in zip(prompts, strata, strict=True) if prompt in chosen)
    for stratum, size in sizes.items():
        assert abs(given_by[stratum] - count * size / len(prompts)) < 1


@given(distinct, st.text(max_size=8), counts)
def test_a_new_row_moves_at_most_one_other(prompts: list[str], new: str, count: int) -> None:
    assume(new not in prompts)
    before, after = chosen_of(prompts, count), chosen_of([*prompts, new], count)
    assert len(before - after) <= 1
    assert after - before <= {new}


@pytest.mark.parametrize("slice_rows", [1, 7, 1_000])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(repeated, counts, st.booleans())
def test_few_rows_and_many_are_split_by_the_same_rule(
    monkeypatch: pytest.MonkeyPatch,
    slice_rows: int,
    rows: list[tuple[str, str]],
    count: int,
    stratify: bool,
) -> None:
    monkeypatch.setattr(split, "_SLICE_ROWS", slice_rows)
    hashes = [prompt_hash(prompt) for prompt, _ in rows]
    strata = [stratum for _, stratum in rows] if stratify else None
    if count and rows:
        assert split._by_sorting(hashes, count, strata) == split._by_counting(hashes, count, strata)


def test_the_split_is_this_one_for_good() -> None:
    # A change here moves rows between train and validation in every dataset there is: a new major version.
    prompts = [f"prompt {number}" for number in range(100)]
    assert sorted(chosen_of(prompts, 4)) == ["prompt 0", "prompt 39", "prompt 42", "prompt 86"]


def test_a_hundred_thousand_rows_fill_a_stratified_split_to_the_row() -> None:
    prompts = [f"prompt {number // 2 if number % 10 == 0 else number}" for number in range(100_000)]
    strata = ["even" if len(prompt) % 2 else "odd" for prompt in prompts]
    chosen = chosen_of(prompts, 5_000, strata)
    assert sum(prompt in chosen for prompt in prompts) == 5_000


def test_rows_without_their_strata_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="3 rows have 1 strata"):
        validation_hashes([1, 2, 3], 1, ["x"])


def test_a_small_split_does_not_wait_for_numpy() -> None:
    program = (
        "import sys; from tunestack.dataset.split import validation_hashes; "
        "validation_hashes(range(1000), 5); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


GEMINI = find_limits(None, "gemini")
UNKNOWN = msgspec.structs.replace(LIMITS[0], validation=Validation())


@given(st.integers(0, 30_000), st.integers(0, 9_000))
def test_what_is_accepted_leaves_rows_to_train_on_and_the_service_takes_it(rows: int, count: int) -> None:
    assert GEMINI is not None
    found = split_finding(GEMINI, rows, count, "dataset.yaml", 11, 21)
    fits = count < max(rows, 1) and count <= validation_limit(GEMINI, rows)
    assert (found is None) == fits
    assert found is None or (found.code, found.where) == ("split-too-large", "dataset.yaml:11:21")


def test_a_number_above_the_limit_is_told_with_the_limit_and_its_source() -> None:
    assert GEMINI is not None
    found = split_finding(GEMINI, 100_000, 6_000, "dataset.yaml")
    assert found is not None
    assert "6,000 rows to validate on" in found.message
    assert "at most 5,000" in found.message
    assert GEMINI.rows_source.where in found.message
    assert found.fix == "write `validation: 5000`"


def test_no_limit_is_made_up_where_none_is_known() -> None:
    assert split_finding(UNKNOWN, 100_000, 60_000, "dataset.yaml") is None
