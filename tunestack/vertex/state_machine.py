"""What each command does with a job, by how the job stands: the state machine of every kind of job, as data.

The states themselves are ``job_state``; here they are gathered into what matters to a command.
``docs/state-machine.md`` is written from this table, and a property test walks all its paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from tunestack.vertex.job_state import Outcome, retry_allowed, state_rule


class Standing(StrEnum):
    """How a job stands, in priority order: of several jobs with one spec hash the first that applies is taken."""

    SUCCEEDED = "succeeded"
    LIVE = "live"
    STOPPING = "stopping"
    RED = "red"
    RED_RETRIED = "red, and a retry is asked for"
    MODEL_DELETED = "succeeded, model deleted"
    JOB_DELETED = "job deleted"
    UNCONFIRMED = "unconfirmed"


class Command(StrEnum):
    """What is run. ``UP_ANEW``: an ``up`` without the job in its state: a new resource, or a lost state."""

    PREVIEW = "preview"
    UP = "up"
    UP_ANEW = "up, not in the state"
    REFRESH = "refresh"
    DOWN = "down"
    IMPORT = "import"
    WATCH = "jobs watch"


class End(StrEnum):
    """What the command says of this resource."""

    GREEN = "green"
    RED = "red"
    AS_THE_JOB = "as the job ends"
    WARNS = "warns"


@dataclass(frozen=True)
class Deed:
    """What one command does. ``submits``: whether a job is sent; ``forgets``: whether the resource leaves the state."""

    words: str
    end: End
    submits: bool = False
    forgets: bool = False


@dataclass(frozen=True)
class StandingRule:
    """One row: which states it gathers, in words, and what each command does."""

    meaning: str
    deeds: Mapping[Command, Deed]


def standing(
    state: str, *, model_deleted: bool = False, error_code: int | None = None, retry_failed: object = False
) -> Standing:
    """How a job in ``state`` stands; ``retry_failed`` as the resource has it."""
    rule = state_rule(state)
    if rule.outcome is Outcome.SUCCESS:
        return Standing.MODEL_DELETED if model_deleted else Standing.SUCCEEDED
    if rule.outcome is Outcome.LIVE:
        return Standing.LIVE if rule.adoptable else Standing.STOPPING
    return Standing.RED_RETRIED if retry_allowed(state, error_code, retry_failed) else Standing.RED


_UPDATES = Deed("shows an update of `state`", End.GREEN)
_CANCELS = Deed("cancels it, waits for its end, deletes its record", End.GREEN, forgets=True)
_DELETES_RECORD = Deed("deletes its record", End.GREEN, forgets=True)
_WATCHED = Deed("shows it and waits for its end", End.AS_THE_JOB)

STATE_MACHINE: Mapping[Standing, StandingRule] = MappingProxyType(
    {
        Standing.SUCCEEDED: StandingRule(
            "SUCCEEDED, and its model is there (or it registers none)",
            {
                Command.PREVIEW: Deed("shows no change", End.GREEN),
                Command.UP: Deed("does nothing", End.GREEN),
                Command.UP_ANEW: Deed("adopts the newest", End.GREEN),
                Command.REFRESH: Deed("finds it as it is", End.GREEN),
                Command.DOWN: Deed(
                    "keeps model, endpoint, record; with `deletionPolicy: DELETE` takes away endpoint, model, record",
                    End.GREEN,
                    forgets=True,
                ),
                Command.IMPORT: Deed("takes it over", End.GREEN),
                Command.WATCH: Deed("says that it succeeded", End.GREEN),
            },
        ),
        Standing.LIVE: StandingRule(
            "QUEUED, PENDING, RUNNING, UPDATING, PAUSED (until someone resumes or cancels it), "
            "and any state that is not known yet",
            {
                Command.PREVIEW: _UPDATES,
                Command.UP: Deed("goes on waiting for its end", End.AS_THE_JOB),
                Command.UP_ANEW: Deed("adopts the newest and waits for its end", End.AS_THE_JOB),
                Command.REFRESH: Deed("says that it is not finished; the next up goes on", End.WARNS),
                Command.DOWN: _CANCELS,
                Command.IMPORT: Deed("takes it over, not finished; the next up goes on", End.WARNS),
                Command.WATCH: _WATCHED,
            },
        ),
        Standing.STOPPING: StandingRule(
            "CANCELLING: stopped by hand, by `onCancel` or by `down`",
            {
                Command.PREVIEW: _UPDATES,
                Command.UP: Deed("waits until it is CANCELLED", End.RED),
                Command.UP_ANEW: Deed(
                    "takes it over and waits until it is CANCELLED; with `retryFailed: true` submits another",
                    End.RED,
                ),
                Command.REFRESH: Deed("says that it is not finished", End.WARNS),
                Command.DOWN: Deed("waits for its end, deletes its record", End.GREEN, forgets=True),
                Command.IMPORT: Deed("takes it over, not finished", End.WARNS),
                Command.WATCH: _WATCHED,
            },
        ),
        Standing.RED: StandingRule(
            "FAILED, CANCELLED (also by hand), EXPIRED, PARTIALLY_SUCCEEDED",
            {
                Command.PREVIEW: _UPDATES,
                Command.UP: Deed("stays red, with the reason", End.RED),
                Command.UP_ANEW: Deed("takes over the newest, which stays red", End.RED),
                Command.REFRESH: Deed("says how it ended", End.WARNS),
                Command.DOWN: _DELETES_RECORD,
                Command.IMPORT: Deed("takes it over, red", End.WARNS),
                Command.WATCH: Deed("says how it ended", End.RED),
            },
        ),
        Standing.RED_RETRIED: StandingRule(
            "the same, where `retryFailed` is true or lists the cause of the end",
            {
                Command.PREVIEW: Deed("shows a replacement because of `state`", End.GREEN),
                Command.UP: Deed(
                    "submits another job, then deletes the old record", End.AS_THE_JOB, submits=True
                ),
                Command.UP_ANEW: Deed("submits another job", End.AS_THE_JOB, submits=True),
                Command.REFRESH: Deed("says how it ended", End.WARNS),
                Command.DOWN: _DELETES_RECORD,
                Command.IMPORT: Deed("takes it over, red", End.WARNS),
                Command.WATCH: Deed("says how it ended", End.RED),
            },
        ),
        Standing.MODEL_DELETED: StandingRule(
            "SUCCEEDED, and its model is gone from the registry",
            {
                Command.PREVIEW: Deed("shows no change: it asks nothing of the cloud", End.GREEN),
                Command.UP: Deed("does nothing before a refresh", End.GREEN),
                Command.UP_ANEW: Deed("submits another job", End.AS_THE_JOB, submits=True),
                Command.REFRESH: Deed(
                    "warns and forgets it: the next up tunes again", End.GREEN, forgets=True
                ),
                Command.DOWN: Deed("keeps or deletes what is left", End.GREEN, forgets=True),
                Command.IMPORT: Deed("finds nothing to take over", End.GREEN, forgets=True),
                Command.WATCH: Deed("says that it succeeded", End.GREEN),
            },
        ),
        Standing.JOB_DELETED: StandingRule(
            "the record of an unfinished or red job is gone",
            {
                Command.PREVIEW: _UPDATES,
                Command.UP: Deed("says that it no longer exists; a refresh forgets it", End.RED),
                Command.UP_ANEW: Deed("submits a job", End.AS_THE_JOB, submits=True),
                Command.REFRESH: Deed("forgets it", End.GREEN, forgets=True),
                Command.DOWN: Deed("has nothing to do", End.GREEN, forgets=True),
                Command.IMPORT: Deed("finds nothing to take over", End.GREEN, forgets=True),
                Command.WATCH: Deed("says that it no longer exists", End.RED),
            },
        ),
        Standing.UNCONFIRMED: StandingRule(
            "the submission left and its answer never came",
            {
                Command.PREVIEW: _UPDATES,
                Command.UP: Deed(
                    "looks until sure, by id or by label; goes on with the job, or sends it if it never arrived",
                    End.AS_THE_JOB,
                ),
                Command.UP_ANEW: Deed("adopts it by its label like any other", End.AS_THE_JOB),
                Command.REFRESH: Deed("says what was found", End.WARNS),
                Command.DOWN: Deed("looks until sure, then as for what it found", End.GREEN, forgets=True),
                Command.IMPORT: Deed("finds it by the spec hash in its placeholder", End.WARNS),
                Command.WATCH: Deed("says that an up makes sure", End.WARNS),
            },
        ),
    }
)
