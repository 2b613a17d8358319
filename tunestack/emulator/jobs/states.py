"""States of jobs, as Google names them without their prefix, and the ways in which work ends early."""

from __future__ import annotations

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"})
"""A job in one of these changes no more."""

LIVE = frozenset({"QUEUED", "PENDING", "RUNNING", "PAUSED", "UPDATING"})
"""States that a script may hold a job in until it is told otherwise."""

# Discovery revision 20261106: the enums PipelineState and JobState.
PIPELINE_STATES = frozenset(
    {"QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED", "PAUSED"}
)
JOB_STATES = PIPELINE_STATES | {"EXPIRED", "UPDATING", "PARTIALLY_SUCCEEDED"}


def short_state(state: str) -> str:
    """``JOB_STATE_RUNNING`` and ``PIPELINE_STATE_RUNNING`` → ``RUNNING``."""
    return state.removeprefix("PIPELINE_STATE_").removeprefix("JOB_STATE_")


class TaskFailed(Exception):
    """A task ends FAILED, and its job with it. ``status`` is a google.rpc.Code's name."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TaskCancelled(Exception):
    """A task was cancelled, and its job with it."""


class Ended(Exception):
    """A script ends the job in another red ``state`` than FAILED and CANCELLED."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state
