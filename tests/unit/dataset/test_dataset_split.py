"""The split depends on the prompts alone."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from tunestack.dataset.split import validation_prompts

distinct = st.lists(st.text(max_size=8), unique=True, max_size=60)
repeated = st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from("xyz")), max_size=60)
counts = st.integers(0, 40)


@given(distinct, counts)
def test_exactly_as_many_are_chosen_as_asked(prompts: list[str], count: int) -> None:
    chosen = validation_prompts(prompts, count)
    assert chosen <= set(prompts)
    assert len(chosen) == min(count, len(prompts))


@given(repeated, counts, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_rows_does_not_matter(
    rows: list[tuple[str, str]], count: int, shuffle: random.Random, stratify: bool
) -> None:
    def split(rows: list[tuple[str, str]]) -> set[str]:
        strata = [stratum for _, stratum in rows] if stratify else None
        return validation_prompts([prompt for prompt, _ in rows], count, strata)

    shuffled = rows[:]
    shuffle.shuffle(shuffled)
    assert split(shuffled) == split(rows)


@given(repeated, counts)
def test_rows_with_one_prompt_stay_together_and_never_overshoot(
    rows: list[tuple[str, str]], count: int
) -> None:
    prompts = [prompt for prompt, _ in rows]
    chosen = validation_prompts(prompts, count, [stratum for _, stratum in rows])
    assert sum(prompt in chosen for prompt in prompts) <= count


@given(distinct, st.data(), counts)
def test_every_stratum_gives_its_share_to_within_one_row(
    prompts: list[str], data: st.DataObject, count: int
) -> None:
    strata = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(prompts), max_size=len(prompts)))
    chosen = validation_prompts(prompts, count, strata)
    count = min(count, len(prompts))
    assert len(chosen) == count
    sizes = Counter(strata)
    given_by = Counter(stratum for prompt, stratum in zip(prompts, strata, strict=True) if prompt in chosen)
    for stratum, size in sizes.items():
        assert abs(given_by[stratum] - count * size / len(prompts)) < 1


@given(distinct, st.text(max_size=8), counts)
def test_a_new_row_moves_at_most_one_other(prompts: list[str], new: str, count: int) -> None:
    assume(new not in prompts)
    before, after = validation_prompts(prompts, count), validation_prompts([*prompts, new], count)
    assert len(before - after) <= 1
    assert after - before <= {new}


def test_the_split_is_this_one_for_good() -> None:
    # A change here moves rows between train and validation in every dataset there is: a new major version.
    prompts = [f"prompt {number}" for number in range(100)]
    assert sorted(validation_prompts(prompts, 4)) == ["prompt 0", "prompt 39", "prompt 42", "prompt 86"]
