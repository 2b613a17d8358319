"""States of pipeline jobs and their tasks, as Google names them."""

from __future__ import annotations

ENDED = frozenset({"PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED"})
"""A job in one of these changes no more."""


class TaskFailed(Exception):
    """A task ends FAILED, and its job with it. ``status`` is a google.rpc.Code's name."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TaskCancelled(Exception):
    """A task was cancelled, and its job with it."""
