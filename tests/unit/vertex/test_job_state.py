"""One table of states, shared by all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.vertex.job_state import STATES, Outcome, retry_cause, short_state, state_rule

DISCOVERY = Path(__file__).parents[3] / "tunestack/emulator/discovery/aiplatform.v1.json"


@pytest.mark.parametrize("kind", ["PipelineJob", "CustomJob"])
def test_the_table_has_every_state_of_google(kind: str) -> None:
    schema = json.loads(DISCOVERY.read_text())["schemas"][f"GoogleCloudAiplatformV1{kind}"]
    states = {short_state(state) for state in schema["properties"]["state"]["enum"]}
    assert "RUNNING" in states
    assert states <= STATES.keys()


def test_only_one_state_is_green() -> None:
    assert [name for name, rule in STATES.items() if rule.outcome is Outcome.SUCCESS] == ["SUCCEEDED"]


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_state_is_live_or_over_and_nothing_red_is_adopted(state: str) -> None:
    rule = STATES[state]
    assert rule.terminal == (rule.outcome is not Outcome.LIVE)
    assert not (rule.outcome is Outcome.RED and rule.adoptable)
    assert not (rule.retryable and rule.outcome is not Outcome.RED)


@given(st.text(alphabet="ABCDEFGHIJ_", min_size=1))
def test_a_state_that_we_do_not_know_is_waited_for_and_never_submitted_again(state: str) -> None:
    if short_state(state) not in STATES:
        rule = state_rule(state)
        assert (rule.outcome, rule.adoptable, rule.terminal) == (Outcome.LIVE, True, False)


def test_a_data_error_is_no_reason_to_retry() -> None:
    assert retry_cause("FAILED", 3) is None
    assert retry_cause("FAILED", 8)
    assert retry_cause("CANCELLED", 8) is None
    assert retry_cause("FAILED", None) is None
