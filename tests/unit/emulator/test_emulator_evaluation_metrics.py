"""Vertex AI's computed metrics: by hand where a number can be known, by laws elsewhere."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.evaluation_metrics import AGGREGATIONS, METRICS, Unplayed, aggregate

WORDS = st.lists(st.sampled_from(["a", "dog", "ran", "home", "x1"]), min_size=1, max_size=12).map(" ".join)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"toolName": st.sampled_from("abc"), "toolInput": st.sampled_from(["", "{}", '{"k": 1}'])}
    ),
    min_size=1,
    max_size=5,
)


def pair(prediction, reference):
    return {"prediction": prediction, "reference": reference}


def calls(*names, **arguments):
    return json.dumps(
        {"content": "", "tool_calls": [{"name": name, "arguments": arguments} for name in names]}
    )


def trajectory(*names):
    return {"toolCalls": [{"toolName": name} for name in names]}


@pytest.mark.parametrize(
    ("metric", "spec", "prediction", "reference", "score"),
    [
        ("exactMatch", {}, "a", "a", 1),
        ("exactMatch", {}, "a", "A", 0),
        ("bleu", {}, "the cat sat on the mat", "the cat sat on the mat", 1),
        ("bleu", {}, "x", "y", 0),
        # Two of the reference's four words.
        ("rouge", {"rougeType": "rouge1"}, "the cat", "the cat sat down", 0.5),
        ("rouge", {"rougeType": "rouge2"}, "the cat", "the cat sat down", 1 / 3),
        ("rouge", {"rougeType": "rougeL"}, "down the", "the cat sat down", 0.25),
        ("rouge", {"rougeType": "rouge1", "useStemmer": True}, "cats", "cat", 1),
        ("toolCallValid", {}, calls("book"), "", 1),
        ("toolCallValid", {}, '{"content": "x"}', "", 0),
        ("toolCallValid", {}, '{"content": "", "tool_calls": [{"arguments": {}}]}', "", 0),
        ("toolNameMatch", {}, calls("book"), calls("book"), 1),
        ("toolNameMatch", {}, calls("look"), calls("book"), 0),
        ("toolParameterKeyMatch", {}, calls("b", a=1), calls("b", a=2, c=3), 0.5),
        ("toolParameterKvMatch", {}, calls("b", a=1, c="Oslo"), calls("b", a=2, c="oslo"), 0.5),
        (
            "toolParameterKvMatch",
            {"useStrictStringMatch": True},
            calls("b", c="Oslo"),
            calls("b", c="oslo"),
            0,
        ),
    ],
)
def test_texts_and_tool_calls_have_the_score_that_a_hand_reckons(metric, spec, prediction, reference, score):
    assert METRICS[metric](spec, pair(prediction, reference)) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "predicted", "reference", "score"),
    [
        ("trajectoryExactMatch", "ab", "ab", 1),
        ("trajectoryExactMatch", "abc", "ab", 0),
        ("trajectoryInOrderMatch", "axb", "ab", 1),
        ("trajectoryInOrderMatch", "ba", "ab", 0),
        ("trajectoryAnyOrderMatch", "bxa", "ab", 1),
        ("trajectoryAnyOrderMatch", "ab", "aab", 0),
        ("trajectoryPrecision", "abxy", "ab", 0.5),
        ("trajectoryRecall", "ab", "abxy", 0.5),
    ],
)
def test_trajectories_have_the_score_that_a_hand_reckons(metric, predicted, reference, score):
    found = {"predictedTrajectory": trajectory(*predicted), "referenceTrajectory": trajectory(*reference)}
    assert METRICS[metric]({}, found) == score


@given(text=WORDS, other=WORDS)
def test_every_score_of_texts_is_from_0_to_1_and_1_for_the_same_words(text, other):
    for name, spec in (
        ("bleu", {"useEffectiveOrder": True}),
        ("rouge", {"rougeType": "rouge1"}),
        ("rouge", {}),
    ):
        assert 0 <= METRICS[name](spec, pair(text, other)) <= 1 + 1e-9
        assert METRICS[name](spec, pair(text, text)) == pytest.approx(1)


@given(predicted=CALLS, reference=CALLS)
def test_a_stricter_match_of_trajectories_implies_the_looser_ones(predicted, reference):
    found = {"predictedTrajectory": {"toolCalls": predicted}, "referenceTrajectory": {"toolCalls": reference}}
    exact, in_order, any_order, recall = (
        METRICS[f"trajectory{name}"]({}, found)
        for name in ("ExactMatch", "InOrderMatch", "AnyOrderMatch", "Recall")
    )
    assert exact <= in_order <= any_order <= recall


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_aggregates_lie_among_the_scores(scores):
    for kind in AGGREGATIONS:
        number = aggregate(kind, scores)
        if kind not in ("STANDARD_DEVIATION", "VARIANCE"):
            assert min(scores) - 1e-9 <= number <= max(scores) + 1e-9
    assert aggregate("VARIANCE", scores) == pytest.approx(aggregate("STANDARD_DEVIATION", scores) ** 2)
    assert aggregate("AVERAGE", scores) == pytest.approx(statistics.fmean(scores))


def test_percentiles_are_between_neighbours():
    assert aggregate("PERCENTILE_P90", [0, 10]) == 9
    assert aggregate("PERCENTILE_P99", [5]) == 5


def test_what_is_no_rouge_or_cannot_be_computed_is_told():
    with pytest.raises(ValueError, match="rouge_type is rouge10"):
        METRICS["rouge"]({"rougeType": "rouge10"}, pair("a", "b"))
    with pytest.raises(Unplayed, match="sentence splitter"):
        METRICS["rouge"]({"rougeType": "rougeLsum", "splitSummaries": True}, pair("a", "b"))
