"""The states of a job on Vertex AI, and what each means to us: one table, shared by every part.

Sources: ``PipelineState`` and ``JobState`` of the Vertex AI REST reference (discovery revision 20261106). The
prefixes ``PIPELINE_STATE_`` and ``JOB_STATE_`` are dropped: one word means the same in both.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """What a state means to ``up``: still going, green, or red."""

    LIVE = "live"
    SUCCESS = "success"
    RED = "red"


@dataclass(frozen=True)
class StateRule:
    """One row of the table.

    ``adoptable``: a job found in this state by its spec hash is taken over instead of submitting another (a
    succeeded one only while its model exists). ``retryable``: a retry may help when the cause is one of
    ``RetryCause``; it is always asked for, never silent. What each command does: ``state_machine``.
    """

    state: str
    terminal: bool
    outcome: Outcome
    adoptable: bool
    retryable: bool


_ROWS = (
    #         state                 terminal outcome          adoptable retryable
    StateRule("UNSPECIFIED", False, Outcome.LIVE, True, False),
    StateRule("QUEUED", False, Outcome.LIVE, True, False),
    StateRule("PENDING", False, Outcome.LIVE, True, False),
    StateRule("RUNNING", False, Outcome.LIVE, True, False),
    StateRule("UPDATING", False, Outcome.LIVE, True, False),
    StateRule("PAUSED", False, Outcome.LIVE, True, False),
    StateRule("CANCELLING", False, Outcome.LIVE, False, False),
    StateRule("SUCCEEDED", True, Outcome.SUCCESS, True, False),
    StateRule("PARTIALLY_SUCCEEDED", True, Outcome.RED, False, False),
    StateRule("FAILED", True, Outcome.RED, False, True),
    StateRule("CANCELLED", True, Outcome.RED, False, False),
    StateRule("EXPIRED", True, Outcome.RED, False, True),
)

STATES = MappingProxyType({rule.state: rule for rule in _ROWS})


class RetryCause(StrEnum):
    """Why a job ended red where the same job may end otherwise. An error in the data or the spec is none."""

    STOCKOUT = "stockout"
    PREEMPTION = "preemption"
    INTERNAL = "internal"
    DEADLINE = "deadline"

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]


_WORDS = {
    RetryCause.STOCKOUT: "no capacity or quota at that moment",
    RetryCause.PREEMPTION: "the job was preempted or aborted",
    RetryCause.INTERNAL: "an internal error of the service, or a part of it was unavailable",
    RetryCause.DEADLINE: "a deadline passed inside the job",
}

CAUSE_OF_CODE = MappingProxyType(
    {
        4: RetryCause.DEADLINE,
        8: RetryCause.STOCKOUT,
        10: RetryCause.PREEMPTION,
        13: RetryCause.INTERNAL,
        14: RetryCause.INTERNAL,
    }
)
"""``google.rpc.Code`` → cause: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE."""


def short_state(state: str) -> str:
    """``PIPELINE_STATE_RUNNING`` → ``RUNNING``."""
    return state.removeprefix("PIPELINE_STATE_").removeprefix("JOB_STATE_")


def state_rule(state: str) -> StateRule:
    """The row of a state, with or without its prefix.

    A state that this table does not know yet is live: we wait, and never submit on a guess.
    """
    short = short_state(state)
    return STATES.get(short) or StateRule(short or "UNSPECIFIED", False, Outcome.LIVE, True, False)


def retry_cause(state: str, error_code: int | None) -> RetryCause | None:
    """Why a retry may help, or None where the same job would end the same way.

    A job that EXPIRED waited for capacity longer than it was told to (``scheduling.maxWaitDuration``).
    """
    rule = state_rule(state)
    if not rule.retryable:
        return None
    if error_code is None:
        return RetryCause.STOCKOUT if rule.state == "EXPIRED" else None
    return CAUSE_OF_CODE.get(error_code)


def retry_allowed(state: str, error_code: int | None, retry_failed: object) -> bool:
    """Whether ``retryFailed`` asks for another run after a red end: True for every end, a list for its causes."""
    if isinstance(retry_failed, bool):
        return retry_failed and state_rule(state).outcome is not Outcome.SUCCESS
    if not isinstance(retry_failed, Collection):
        return False
    cause = retry_cause(state, error_code)
    return cause is not None and cause.value in retry_failed
