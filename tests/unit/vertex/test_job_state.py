"""One table of states, shared by all."""

from __future__ import annotations

import pytest
from google.cloud.aiplatform_v1.types import JobState, PipelineState
from hypothesis import given
from hypothesis import strategies as st

from tunestack.vertex.job_state import STATES, Outcome, retry_cause, short_state, state_rule


@pytest.mark.parametrize("enum", [JobState, PipelineState])
def test_the_table_has_every_state_of_google(enum: type[JobState] | type[PipelineState]) -> None:
    assert {short_state(state.name) for state in enum} <= STATES.keys()


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
