"""Near duplicates: all of them, none that is not, each pair once, whatever the order."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset import near_duplicates
from tunestack.dataset.near_duplicates import (
    NearPair,
    bands,
    near_pairs,
    near_pairs_between,
    shingles,
    similarity,
)
from tunestack.spec.errors import TunestackError

VOCABULARY = [
    f"{first}{second}{third}" for first in "bdfgklmnprst" for second in "aeiou" for third in "lmnrst"
]
Pairs = dict[tuple[int, int], float]


def corpus(rows: int, seed: int) -> list[str]:
    """Texts of 5 to 120 words; two in five are an earlier one with a few words exchanged, left out or put in."""
    choose = random.Random(seed)
    texts: list[str] = []
    while len(texts) < rows:
        if texts and choose.random() < 0.4:
            words = choose.choice(texts).split()
            for _ in range(choose.randrange(1, 4)):
                at = choose.randrange(len(words))
                words[at : at + choose.randrange(2)] = choose.choices(VOCABULARY, k=choose.randrange(2))
            texts.append(" ".join(words) or "empty")
        else:
            texts.append(" ".join(choose.choices(VOCABULARY, k=choose.randrange(5, 120))))
    return texts


def by_brute_force(texts: list[str], threshold: float) -> Pairs:
    """Every pair of different texts, compared shingle by shingle."""
    sets = [shingles(text) for text in texts]
    first = {text: number for number, text in reversed(list(enumerate(texts)))}
    return {
        (later + 1, earlier + 1): share
        for earlier, later in combinations(sorted(first.values()), 2)
        if (share := similarity(sets[earlier], sets[later])) >= threshold
    }


def found(texts: list[str], threshold: float) -> Pairs:
    pairs = list(near_pairs(enumerate(texts, 1), threshold))
    assert len({pair[:2] for pair in pairs}) == len(pairs)
    return {(pair.line, pair.earlier_line): pair.similarity for pair in pairs}


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8])
def test_finds_what_brute_force_finds(threshold: float) -> None:
    texts = corpus(1_500, seed=int(threshold * 100))
    truth, told = by_brute_force(texts, threshold), found(texts, threshold)
    assert len(truth) > 100
    assert told.items() <= truth.items()
    assert len(told) >= 0.99 * len(truth)


def test_the_pairs_do_not_depend_on_the_order_and_the_later_line_is_the_finding() -> None:
    texts = list(dict.fromkeys(corpus(600, seed=1)))
    shuffled = random.Random(2).sample(range(len(texts)), len(texts))
    one = {frozenset(pair) for pair in found(texts, 0.8)}
    again = found([texts[number] for number in shuffled], 0.8)
    assert {frozenset(shuffled[line - 1] + 1 for line in pair) for pair in again} == one
    assert all(later > earlier for later, earlier in again)
    assert list(near_pairs(enumerate(texts, 1), 0.8)) == list(near_pairs(enumerate(texts, 1), 0.8))


def test_held_out_texts_near_trained_ones_are_found() -> None:
    trained = list(dict.fromkeys(corpus(400, seed=3)))
    held_out = [*corpus(50, seed=4), *(text + " indeed" for text in trained[:40]), trained[7]]
    sets = [shingles(text) for text in trained]
    truth = {
        (line, number)
        for line, text in enumerate(held_out, 1)
        for number, other in enumerate(trained, 1)
        if text != other and similarity(shingles(text), sets[number - 1]) >= 0.8
    }
    told = list(near_pairs_between(enumerate(held_out, 1), enumerate(trained, 1), 0.8))
    assert {(pair.line, pair.earlier_line) for pair in told} == truth
    assert [pair.line for pair in told] == sorted(pair.line for pair in told)
    assert len(truth) > 20


def test_equal_texts_are_duplicates_and_not_near_ones() -> None:
    text = " ".join(VOCABULARY[:20])
    assert list(near_pairs([(1, text), (2, text), (3, text.upper() + "!")], 0.8)) == [NearPair(3, 1, 1.0)]
    assert list(near_pairs_between([(1, text)], [(1, text)], 0.8)) == []


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Nice job!", "nice  job", True),
        ("Nice job!", "Nice try!", False),
        ("a b c d e", "a b c d", False),
        ("…", "!!", False),
        (
            "昨日の会議は予定より二時間も長くかかりました。",
            "昨日の会議は予定より三時間も長くかかりました。",
            True,
        ),
        (
            "昨日の会議は予定より二時間も長くかかりました。",
            "この店の餃子は母が作るものよりもおいしいです。",
            False,
        ),
    ],
)
def test_short_texts_and_scripts_without_spaces(one: str, other: str, near: bool) -> None:
    assert bool(list(near_pairs([(1, one), (2, other)], 0.5))) == near


def test_a_large_family_is_told_without_telling_every_pair_of_it() -> None:
    words = " ".join(VOCABULARY[:100])
    told = list(near_pairs(((line, f"{words} {line}") for line in range(1, 501)), 0.8))
    assert {pair.line for pair in told} == set(range(2, 501))
    assert len(told) <= 500 * near_duplicates.MOST_RELATIVES


def test_refuses_what_would_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_ROWS", 100)
    texts = list(enumerate(corpus(300, seed=5), 1))
    with pytest.raises(TunestackError, match="at most 100 different texts") as caught:
        list(near_pairs(texts, 0.8))
    assert caught.value.exit_status == 2
    # Equal texts take no room.
    assert list(near_pairs([(line, "the same words again and again") for line in range(300)], 0.8)) == []


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_refuses_what_is_no_similarity(threshold: float) -> None:
    with pytest.raises(ValueError, match="similarity"):
        list(near_pairs([(1, "a"), (2, "b")], threshold))


@given(st.floats(0.1, 1.0))
def test_a_pair_at_the_threshold_is_hardly_ever_missed(threshold: float) -> None:
    count, rows = bands(threshold)
    assert count * rows <= 128
    assert rows == 1 or 1 - (1 - threshold**rows) ** count >= 0.999


words = st.lists(st.sampled_from(VOCABULARY[:6]), max_size=9).map(" ".join)


@given(st.lists(st.one_of(words, st.text(max_size=20)), max_size=12), st.sampled_from([0.5, 0.8, 1.0]))
def test_any_texts_give_only_pairs_that_are_near(texts: list[str], threshold: float) -> None:
    assert found(texts, threshold).items() <= by_brute_force(texts, threshold).items()
