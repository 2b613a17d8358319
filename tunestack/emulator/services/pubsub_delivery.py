"""Pub/Sub: subscriptions that deliver by themselves, found when messages are due and each served in its own time."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tunestack.emulator.background import in_background
from tunestack.emulator.services.pubsub_exports import export_to_bucket, export_to_table
from tunestack.emulator.services.pubsub_push import push
from tunestack.emulator.services.pubsub_state import SUBSCRIPTIONS
from tunestack.emulator.services.pubsub_targets import BUCKET, PUSH, TABLE, delivered_to, problem_of
from tunestack.emulator.services.times import moment, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

_TRIED_AGAIN = timedelta(seconds=60)
"""How often a subscription that cannot write looks whether it can by now."""


@in_background
async def deliver(state: State) -> datetime | None:
    """Begin what is due; the moment when something is due next."""
    moments: list[datetime] = []
    for subscription in state.rows.list(SUBSCRIPTIONS):
        kind = delivered_to(subscription)
        if kind is None or subscription.get("detached"):
            continue
        key = state.projects.canonical(subscription["name"])
        found = state.database.one(
            "SELECT min(due), min(CASE WHEN due > ? THEN due END), min(time), count(*)"
            " FROM delivery JOIN message ON id = message WHERE subscription = ? AND acknowledged = 0",
            *(state.now(), key),
        )
        due, later, first, count = found or (None, None, None, 0)
        if not count:
            continue
        if later:
            moments.append(moment(later))
        at = moment(due)
        if kind != PUSH:
            at = max(at, _ready(state, key, kind, subscription, moment(first), count))
        if at > state.clock():
            moments.append(at)
        else:
            work = {PUSH: push, TABLE: export_to_table, BUCKET: export_to_bucket}[kind]
            state.background.beside(f"{kind} {key}", partial(work, state, key))
    return min(moments, default=None)


def _ready(state: State, key: str, kind: str, subscription: Json, first: datetime, count: int) -> datetime:
    """When what waits is written: a table at once, a file when it is old, long or large enough.

    Where it cannot be written the subscription says why in its state, and is looked at again.
    """
    config = subscription[kind]
    problem = problem_of(state, key, kind, config)
    have = ("RESOURCE_ERROR", problem[0]) if problem else ("ACTIVE", "ACTIVE")
    if have != (subscription["state"], config["state"]):
        row = {**subscription, "state": have[0], kind: {**config, "state": have[1]}}
        state.rows.put(key, row)
    if problem:
        return state.clock() + _TRIED_AGAIN
    if kind == TABLE or count >= int(config.get("maxMessages", 2**62)):
        return state.clock()
    if "maxBytes" in config:
        size = state.database.one(
            "SELECT sum(length(body)) FROM delivery JOIN message ON id = message"
            " WHERE subscription = ? AND acknowledged = 0",
            key,
        )
        if size and size[0] >= int(config["maxBytes"]):
            return state.clock()
    return first + timedelta(seconds=seconds(config["maxDuration"]))
