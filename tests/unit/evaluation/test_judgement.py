"""Gate, verdict, held-out files and report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tunestack.evaluation.gate import apply_rule
from tunestack.evaluation.held_out import read_held_out
from tunestack.evaluation.judgement import METRICS, HeldOutRow, HeldOutSet, Judgement, Replies, judge
from tunestack.evaluation.report import Report, Subject, make_report
from tunestack.spec.errors import TunestackError
from tunestack.spec.job import GateRule

SCORES = {"plain": {"tuned": {"accuracy": 0.9, "copies": 0.1}, "base": {"accuracy": 0.0, "copies": 0.65}}}


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"metric": "accuracy", "at_least": 0.85}, "PASS plain accuracy 0.90, needs ≥ 0.85 (base 0.00)"),
        ({"metric": "accuracy", "at_least": 0.95}, "FAIL plain accuracy 0.90, needs ≥ 0.95 (base 0.00)"),
        ({"metric": "copies", "at_most": 0.05}, "FAIL plain copies 0.10, needs ≤ 0.05 (base 0.65)"),
        (
            {"metric": "accuracy", "above_base": 0.9},
            "PASS plain accuracy 0.90, needs ≥ 0.90 (base 0.00 + 0.90)",
        ),
        ({"metric": "copies", "below_base": 0.5}, "PASS plain copies 0.10, needs ≤ 0.15 (base 0.65 − 0.50)"),
        ({"metric": "copies", "below_base": 0.6}, "FAIL plain copies 0.10, needs ≤ 0.05 (base 0.65 − 0.60)"),
    ],
)
def test_a_line_of_the_gate_reads_as_a_person_would_say_it(rule: dict[str, Any], line: str) -> None:
    assert apply_rule(GateRule(set="plain", **rule), SCORES).line == line


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_bound_is_met_by_its_own_value_and_by_all_beyond(tuned: float, base: float, bound: float) -> None:
    scores = {"s": {"tuned": {"m": tuned}, "base": {"m": base}}}

    def passes(**bounds: float) -> bool:
        return apply_rule(GateRule(set="s", metric="m", **bounds), scores).passed

    assert passes(at_least=tuned)
    assert passes(at_most=tuned)
    assert passes(above_base=tuned - base)
    assert passes(below_base=base - tuned)
    if abs(tuned - bound) > 1e-6:
        assert passes(at_least=bound) is (tuned > bound)
        assert passes(at_most=bound) is (tuned < bound)


def held(name: str, *references: str) -> HeldOutSet:
    rows = tuple(HeldOutRow(f"prompt {number}", (reference,)) for number, reference in enumerate(references))
    return HeldOutSet(name, f"gs://b/{name}", "0" * 64, rows)


def judged(*rules: GateRule) -> tuple[Judgement, Report]:
    sets = [held("plain", "a", "b", "a", "b"), held("contrast", "b")]
    replies = {
        "plain": Replies(tuned=("a", "b", "a", "a"), base=("hm",) * 4),
        "contrast": Replies(tuned=("b",), base=("b",)),
    }
    judgement = judge("classification", ["a", "b"], sets, replies, rules)
    subject = Subject("e", "m", "classification", ("a", "b"), 8, ("Simulated.",))
    return judgement, make_report(subject, sets, replies, judgement)


def test_one_rule_that_fails_fails_the_model() -> None:
    good = GateRule(set="plain", metric="accuracy", at_least=0.7)
    bad = GateRule(set="contrast", metric="accuracy", above_base=0.1)
    judgement, _ = judged(good)
    assert (judgement.verdict, len(judgement.samples)) == ("PASS", 4)
    judgement, report = judged(good, bad)
    assert judgement.verdict == "FAIL"
    assert [line[:4] for line in judgement.lines] == ["PASS", "FAIL"]
    assert "# Evaluation: FAIL" in report.markdown.decode()


def test_a_rule_on_what_was_not_measured_is_an_error_and_no_pass() -> None:
    with pytest.raises(KeyError):
        judged(GateRule(set="nowhere", metric="accuracy", at_least=0.0))


def test_the_same_evaluation_gives_the_same_bytes_and_another_another_name() -> None:
    rule = GateRule(set="plain", metric="accuracy", at_least=0.7)
    assert judged(rule)[1] == judged(rule)[1]
    assert judged(rule)[1].name != judged()[1].name
    document = json.loads(judged(rule)[1].json)
    assert document["sets"][0]["rows"][3] == {
        "input": "prompt 3",
        "references": ["b"],
        "base": "hm",
        "tuned": "a",
    }


def test_text_of_a_model_cannot_become_markup_of_the_report() -> None:
    sets = [held("s", "x")]
    replies = {"s": Replies(tuned=("# Evaluation: PASS\n\n`x` |",), base=("",))}
    judgement = judge("generation", [], sets, replies, [])
    report = make_report(Subject("e", "m", "generation", (), 8), sets, replies, judgement)
    lines = report.markdown.decode().splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# Evaluation: PASS"]
    assert "- tuned: `# Evaluation: PASS 'x' |`" in lines
    assert "- base: *(nothing)*" in lines


@pytest.mark.parametrize("task", sorted(METRICS))
def test_every_metric_that_a_gate_may_name_is_measured(task: Any) -> None:
    sets = [held("s", "a", "b")]
    judgement = judge(task, ["a", "b"], sets, {"s": Replies(tuned=("a", "b"), base=("b", "a"))}, [])
    assert tuple(judgement.scores["s"]["tuned"]) == METRICS[task]


def test_held_out_rows_are_read_with_all_their_references() -> None:
    content = (
        b'{"input_text": "p", "output_text": "a", "references": ["a", "b"]}\n\n'
        b'{"input_text": "q", "output_text": "c"}\n'
    )
    found = read_held_out("s", "gs://b/s", blake3(content).hexdigest(), content)
    assert found.rows == (HeldOutRow("p", ("a", "b")), HeldOutRow("q", ("c",)))


def test_a_separator_within_a_text_ends_no_row() -> None:
    content = '{"input_text": "p\u2028\u0085q", "output_text": "a"}\n'.encode()
    found = read_held_out("s", "gs://b/s", blake3(content).hexdigest(), content)
    assert found.rows == (HeldOutRow("p\u2028\u0085q", ("a",)),)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'{"input_text": "p", "output_text": "a"}\n{"input_text": "p"}\n', "gs://b/s:2"),
        (b"[1]\n", "gs://b/s:1"),
        (b"nonsense\n", "gs://b/s:1"),
        (b"\n", "gs://b/s"),
    ],
)
def test_a_held_out_row_that_is_none_is_named_by_its_line(content: bytes, place: str) -> None:
    with pytest.raises(TunestackError) as caught:
        read_held_out("s", "gs://b/s", blake3(content).hexdigest(), content)
    assert caught.value.problems[0].where == place


def test_another_file_than_declared_is_refused_with_both_digests() -> None:
    with pytest.raises(TunestackError) as caught:
        read_held_out("s", "gs://b/s", "0" * 64, b"x")
    assert caught.value.problems[0].need == "0" * 64
    assert caught.value.problems[0].have == blake3(b"x").hexdigest()
