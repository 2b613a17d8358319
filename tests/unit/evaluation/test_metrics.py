"""The metrics and what they promise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tunestack.evaluation.classification import classification_scores, macro_f1
from tunestack.evaluation.generation import METRICS, distinct, generation_scores
from tunestack.evaluation.labels import is_label, read_label

LABELS = ["sarcasm", "no_sarcasm"]


@pytest.mark.parametrize(
    ("reply", "label", "is_one"),
    [
        ("sarcasm", "sarcasm", True),
        (" No_Sarcasm.\n", "no_sarcasm", True),
        ("**sarcasm**", "sarcasm", True),
        ('"no_sarcasm"', "no_sarcasm", True),
        ("no_sarcasm, because the speaker means it", "no_sarcasm", False),
        ("This is sarcasm and not no_sarcasm", "sarcasm", False),
        ("[sarcasm, no_sarcasm]", "sarcasm", False),
        ("sarcasms abound", None, False),
        ("sarcastic", None, False),
        ("", None, False),
        ("The text is about the weather.", None, False),
    ],
)
def test_a_label_is_read_out_of_free_text(reply: str, label: str | None, is_one: bool) -> None:
    assert read_label(reply, LABELS) == label
    assert is_label(reply, LABELS) is is_one


def test_labels_of_several_words_and_odd_signs_are_read() -> None:
    labels = ["not sarcasm", "sarcasm", "c++"]
    assert read_label("I say: not sarcasm!", labels) == "not sarcasm"
    assert read_label("c++ it is", labels) == "c++"


@given(st.text(max_size=40), st.sampled_from(LABELS), st.text(max_size=10))
def test_what_is_read_is_a_label_and_a_label_is_read(noise: str, label: str, more: str) -> None:
    assert read_label(noise, LABELS) in (*LABELS, None)
    assert read_label(f" {label} ", LABELS) == label
    if is_label(noise, LABELS):
        assert read_label(noise, LABELS) is not None
    assert read_label(f"{label} {more}", LABELS) == label


PAIRS = st.lists(
    st.tuples(st.sampled_from([*LABELS, "no idea"]), st.sampled_from(LABELS)), min_size=1, max_size=30
)


@given(PAIRS)
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    given_ = [read_label(reply, LABELS) for reply, _ in pairs]
    references = [reference for _, reference in pairs]
    expected = f1_score(
        references, [one or "none" for one in given_], labels=LABELS, average="macro", zero_division=0
    )
    assert macro_f1(given_, references, LABELS) == pytest.approx(expected)


@given(PAIRS)
def test_scores_of_a_classification_are_shares(pairs: list[tuple[str, str]]) -> None:
    replies, references = [one for one, _ in pairs], [other for _, other in pairs]
    scores = classification_scores(replies, references, LABELS)
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["accuracy"] <= scores["answered"]
    perfect = classification_scores(references, references, LABELS)
    assert (perfect["accuracy"], perfect["answered"]) == (1, 1)
    commonest = max(LABELS, key=references.count)
    constant = classification_scores([commonest] * len(references), references, LABELS)
    assert constant["accuracy"] == constant["majority"] == scores["majority"]


@pytest.mark.parametrize(("replies", "references"), [([], []), (["sarcasm"], []), ([], ["sarcasm"])])
def test_no_rows_are_no_score(replies: list[str], references: list[str]) -> None:
    with pytest.raises(ValueError, match="replies"):
        classification_scores(replies, references, LABELS)
    with pytest.raises(ValueError, match="replies"):
        generation_scores(replies, [[one] for one in references], references)


def test_a_row_without_a_reference_is_no_score() -> None:
    with pytest.raises(ValueError, match="rows of references"):
        generation_scores(["a"], [[]], ["b"])


SITUATION = "Write a sarcasm answer for the following text.\n\nText: My train was an hour late again."


def test_copying_is_told_from_picking_up_a_noun() -> None:
    scores = generation_scores(
        ["My train was an hour late again.", "What a treat, a train with a sense of humour."],
        [["How thoughtful of the train to wait for you.", "A train that gives you time to think."]] * 2,
        [SITUATION] * 2,
    )
    assert scores["copies_input"] == 0.5
    assert scores["commonest_opening"] == 0.5
    assert scores["rouge_l"] > 0
    repeats = generation_scores([SITUATION], [["x"]], [SITUATION])
    assert repeats["copies_input"] == 1


def test_the_best_reference_counts() -> None:
    references = [["entirely other words", "lucky you"], ["lucky you"]]
    scores = generation_scores(["lucky you", "lucky you"], references, ["a", "b"])
    assert scores["rouge_l"] == 1
    assert scores["copies_input"] == 0


def test_a_copy_of_a_reference_has_a_perfect_bleu_and_sentences_count_as_sacrebleu_counts_them() -> None:
    import sacrebleu

    replies = [
        "What a treat, a cold soup with a birthday party.",
        "Lucky you with all that quiet in the office.",
    ]
    references = [[replies[0], "another one"], ["Lucky you with so much quiet in that office."]]
    scores = generation_scores(replies, references, ["a", "b"])
    streams: list[Any] = [[row[0] for row in references], ["another one", None]]
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(replies, streams).score / 100)
    assert generation_scores(replies[:1], references[:1], ["a"])["bleu"] == pytest.approx(1)


@settings(deadline=None)  # the first example loads the metrics' libraries
@given(st.lists(st.text(alphabet="ab ", max_size=12), min_size=1, max_size=6))
def test_scores_of_a_generation_are_shares(replies: list[str]) -> None:
    scores = generation_scores(replies, [["a b a", "b"]] * len(replies), ["a b"] * len(replies))
    assert tuple(sorted(scores)) == METRICS
    assert all(0 <= score <= 1 + 1e-12 for score in scores.values())


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=5), st.integers(1, 3))
def test_repeating_everything_halves_variety(rows: list[list[str]], n: int) -> None:
    assert distinct([*rows, *rows], n) == pytest.approx(distinct(rows, n) / 2)
    assert distinct([list("abcdef")], n) == 1
