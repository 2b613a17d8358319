"""A row is changed by the rules that dataset.yaml names and by nothing else, and the ledger knows every row."""

from __future__ import annotations

import json
import pickle
import unicodedata
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset.findings import CODES
from tunestack.dataset.rules import DROPPABLE, Ledger, LedgerUnbalanced, Rules
from tunestack.spec.dataset import Droppable

texts = st.text(max_size=12)
turns = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "model"]), "content": texts}))
records = st.dictionaries(
    st.sampled_from("abc"), texts | st.lists(texts) | turns | st.integers() | st.booleans()
)
REPAIRS = frozenset({"strip", "normalize", "byte-order-mark", "blank-line"})
rules = st.builds(
    Rules,
    truncate=st.dictionaries(st.sampled_from("abc"), st.integers(1, 6)),
    repair=st.frozensets(st.sampled_from(sorted(REPAIRS))),
)


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return texts_of(value["content"])
    return [text for each in value for text in texts_of(each)] if isinstance(value, list) else []


@given(records)
def test_without_rules_nothing_changes(values: dict[str, Any]) -> None:
    amended = Rules().amended(values)
    assert (amended.values, amended.repaired, amended.truncated) == (values, (), ())
    assert not Rules().amend_values


@given(rules, records)
def test_a_record_that_was_amended_is_right_and_says_by_which_rules(
    rules: Rules, values: dict[str, Any]
) -> None:
    before = json.dumps(values)
    amended = rules.amended(values)
    assert json.dumps(values) == before, "the record itself is never touched"
    for column, value in amended.values.items():
        for text in texts_of(value):
            assert column not in rules.truncate or len(text) <= rules.truncate[column]
            if column not in rules.truncate:
                assert "strip" not in rules.repair or text == text.strip()
                assert "normalize" not in rules.repair or unicodedata.is_normalized("NFC", text)
    assert (amended.values != values) == bool(amended.repaired or amended.truncated)
    assert set(amended.repaired) <= rules.repair
    assert set(amended.truncated) <= set(rules.truncate)
    assert not (amended.repaired or amended.truncated) or rules.amend_values


def test_a_role_is_no_text() -> None:
    amended = Rules(truncate={"turns": 2}, repair=frozenset({"strip"})).amended(
        {"turns": [{"author": "user ", "content": " Hello "}], "n": 7}
    )
    assert amended.values == {"turns": [{"author": "user ", "content": "He"}], "n": 7}
    assert (amended.repaired, amended.truncated) == (("strip",), ("turns",))


def test_turns_that_were_decoded_already_are_amended_too() -> None:
    class Turn(NamedTuple):
        role: str
        text: str

    amended = Rules(repair=frozenset({"normalize"})).amended({"turns": (Turn("user", "e\u0301"),)})
    assert amended.values == {"turns": (Turn("user", "é"),)}


@given(st.binary(max_size=8))
def test_a_mark_and_a_blank_line_pass_only_by_their_rule(text: bytes) -> None:
    marked = b"\xef\xbb\xbf" + text
    assert Rules().without_mark(marked) is None
    assert Rules(repair=REPAIRS).without_mark(marked) == text
    assert Rules(repair=REPAIRS).without_mark(b"{" + text) is None
    assert not Rules().passes_blank(text)
    assert Rules(repair=REPAIRS).passes_blank(text) == (not text.strip())


def test_only_what_belongs_to_a_row_can_be_dropped() -> None:
    assert frozenset(CODES) > DROPPABLE
    assert frozenset(get_args(Droppable)) == DROPPABLE, "dataset.yaml can name all of these and no others"
    assert {"duplicate-row", "conflicting-rows", "leakage", "token-limit", "json-syntax"} <= DROPPABLE
    assert not {"file-unreadable", "class-balance", "too-many-rows", "truncated-line"} & DROPPABLE


def test_rules_can_be_sent_to_another_process() -> None:
    rules = Rules(frozenset({"duplicate-row"}), {"text": 5}, REPAIRS)
    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301


codes = st.dictionaries(st.sampled_from(sorted(DROPPABLE)), st.integers(1, 9), max_size=3)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    ledger = Ledger(rows_out=draw(st.integers(0, 99)))
    ledger.dropped.update(draw(codes))
    ledger.repaired.update(draw(st.dictionaries(st.sampled_from(sorted(REPAIRS)), st.integers(1, 9))))
    ledger.rows_in = ledger.rows_out + ledger.dropped.total()
    return ledger


@given(st.lists(ledgers(), max_size=5), st.integers(0, 5))
def test_ledgers_add_up_however_they_are_merged(parts: list[Ledger], cut: int) -> None:
    def merged(parts: list[Ledger]) -> Ledger:
        whole = Ledger()
        for part in parts:
            whole.merge(part)
        return whole

    whole = merged(parts)
    assert whole == merged([merged(parts[:cut]), merged(parts[cut:])])
    assert whole.as_json()["rows_in"] == sum(part.rows_in for part in parts)
    assert whole.untouched == all(part.untouched for part in parts)


def test_a_row_that_is_unaccounted_for_is_never_reported_as_fine() -> None:
    ledger = Ledger(rows_in=3, rows_out=1)
    ledger.dropped["duplicate-row"] += 1
    with pytest.raises(LedgerUnbalanced, match="3 rows came in, 1 went out, 1 were dropped"):
        ledger.as_json()


def test_the_ledger_in_one_sentence() -> None:
    ledger = Ledger(rows_in=1_240, rows_out=1_238)
    ledger.dropped.update({"duplicate-row": 2})
    ledger.truncated.update({"text": 9})
    assert ledger.sentence() == "1,240 rows in, 1,238 out; dropped: duplicate-row 2; cut: text 9"
